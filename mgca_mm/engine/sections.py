"""Rules of a config's sections that no constructor's type hints tell."""

import logging
import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch.distributed
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.runner import Runner

from mgca_mm.errors import UserError

from .arguments import describe, hints_of, or_nearest, parameters_of, suits, violated_range
from .param_groups import MergedGroupsOptimWrapperConstructor

# A run has all of these or none.
_TOGETHER = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)
_ENVIRONMENT = {"cudnn_benchmark": bool, "mp_cfg": dict, "dist_cfg": dict, "resource_limit": int}  # MMEngine's set-up
_ENVIRONMENT |= {"float32_matmul_precision": str}  # PrivateRunner's
_PRECISIONS = ("highest", "high", "medium")
_PROCESSES = {"mp_start_method": str, "opencv_num_threads": int}
_AUTO_SCALE = {"base_batch_size": int, "enable": bool}
_LEVELS = ("CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG")
# Of MMEngine's DefaultOptimWrapperConstructor and ours, which take them from a dict.
_PARAMWISE = (
    *("custom_keys", "bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult", "dwconv_decay_mult"),
    *("dcn_offset_lr_mult", "bypass_duplicate"),
)


def check_sections(cfg: Mapping[str, Any]) -> None:
    """Check what :func:`mgca_mm.engine.validation.validate` cannot tell by looking at constructors.

    Raises:
        UserError: At the first fault, with the key and what is wrong.
    """
    for keys in _TOGETHER:
        given = [key for key in keys if cfg.get(key) is not None]
        if given and len(given) < len(keys):
            missing = ", ".join(f"'{key}'" for key in keys if key not in given)
            raise UserError(f"Config key '{given[0]}' needs {missing}, too: give all or none.")
    level = cfg.get("log_level", "INFO")
    _require(level in _LEVELS or level in map(logging.getLevelName, _LEVELS), "log_level", " or ".join(_LEVELS), level)
    _check_arguments("randomness", cfg.get("randomness"), Runner.set_randomness)
    _check_environment(cfg.get("env_cfg") or {})
    _check_keys("auto_scale_lr", cfg.get("auto_scale_lr") or {}, _AUTO_SCALE)
    if cfg.get("auto_scale_lr"):
        size = cfg["auto_scale_lr"].get("base_batch_size")
        _require(size is not None and size > 0, "auto_scale_lr.base_batch_size", "a number of at least 1", size)
    _check_optimisation(cfg.get("optim_wrapper") or {})
    model = cfg["model"]
    if "alignments" in model and not model["alignments"]:
        raise UserError("Config key 'model.alignments' must name at least one alignment.")
    _check_text_model(model.get("text_encoder") or {})


def _check_environment(section: Mapping[str, Any]) -> None:
    _check_keys("env_cfg", section, _ENVIRONMENT)
    processes = section.get("mp_cfg") or {}
    _check_keys("env_cfg.mp_cfg", processes, _PROCESSES)
    methods = multiprocessing.get_all_start_methods()
    method = processes.get("mp_start_method", methods[0])
    _require(method in methods, "env_cfg.mp_cfg.mp_start_method", " or ".join(methods), method)
    precision = section.get("float32_matmul_precision", "highest")
    _require(precision in _PRECISIONS, "env_cfg.float32_matmul_precision", " or ".join(_PRECISIONS), precision)
    backends = torch.distributed.Backend.backend_list
    backend = (section.get("dist_cfg") or {}).get("backend", backends[0])
    _require(backend in backends, "env_cfg.dist_cfg.backend", " or ".join(backends), backend)


def _check_optimisation(wrapper: Mapping[str, Any]) -> None:
    clip = wrapper.get("clip_grad")
    if isinstance(clip, Mapping):
        by_value = clip.get("type") == "value"
        function = torch.nn.utils.clip_grad_value_ if by_value else torch.nn.utils.clip_grad_norm_
        given = {key: value for key, value in clip.items() if key != "type"}
        _check_arguments("optim_wrapper.clip_grad", given, function)
    constructor = wrapper.get("constructor", "DefaultOptimWrapperConstructor")
    with OPTIM_WRAPPER_CONSTRUCTORS.switch_scope_and_registry(None) as registry:
        found = registry.get(constructor)
    if found is None:
        raise UserError(f"Config key 'optim_wrapper.constructor': '{constructor}' is not registered.")
    if found in (DefaultOptimWrapperConstructor, MergedGroupsOptimWrapperConstructor):
        _require_known("optim_wrapper.paramwise_cfg", wrapper.get("paramwise_cfg") or {}, _PARAMWISE)


def _check_text_model(encoder: Mapping[str, Any]) -> None:
    """Check the arguments of a randomly initialised text model, of which transformers takes any."""
    config = encoder.get("config")
    if encoder.get("type") not in ("TextEncoder", "mgca_mm.TextEncoder") or config is None:
        return
    from transformers import CONFIG_MAPPING, AutoConfig

    path, name = "model.text_encoder.config", config.get("model_type")
    if name not in CONFIG_MAPPING:
        raise UserError(f"Config key '{path}.model_type': no model '{name}'{or_nearest(str(name), CONFIG_MAPPING)}")
    known = AutoConfig.for_model(name).to_dict()
    _require_known(path, config, known)
    for key, value in config.items():
        default = known[key]
        if isinstance(default, bool | int | float | str) and not suits(value, type(default)):
            raise UserError(f"Config key '{path}.{key}' must be {describe(type(default))}, got {value!r:.60}.")
        if type(default) is int and key.endswith(("size", "layers", "heads")):
            _require(value >= 1, f"{path}.{key}", "a number of at least 1", value)
        if type(default) is float and key.endswith(("dropout", "dropout_prob")):
            _require(0 <= value < 1, f"{path}.{key}", "a number of at least 0 and below 1", value)
    whole = known | dict(config)
    if "hidden_size" in whole and "num_attention_heads" in whole:
        size, heads = whole["hidden_size"], whole["num_attention_heads"]
        _require(size % heads == 0, f"{path}.hidden_size", f"a multiple of num_attention_heads, {heads}", size)
    layers, summed = whole.get("num_hidden_layers"), encoder.get("num_summed_layers", 1)
    if layers is not None and isinstance(summed, int):
        what = f"at most the number of layers, {layers}"
        _require(summed <= layers, "model.text_encoder.num_summed_layers", what, summed)


def _check_arguments(path: str, given: Mapping[str, Any] | None, function: Callable) -> None:
    """Check a section whose entries are the arguments of a function."""
    _require_known(path, given or {}, parameters_of(function)[0])
    hints = hints_of(function) | ({"seed": int | None} if "seed" in (given or {}) else {})
    for key, value in (given or {}).items():
        _require(key not in hints or suits(value, hints[key]), f"{path}.{key}", describe(hints.get(key)), value)
        requirement = violated_range(key, value)
        if requirement:
            raise UserError(f"Config key '{path}.{key}' {requirement}, got {value!r}.")


def _check_keys(path: str, given: Mapping[str, Any], kinds: Mapping[str, type]) -> None:
    _require_known(path, given, kinds)
    for key, value in given.items():
        _require(value is None or suits(value, kinds[key]), f"{path}.{key}", describe(kinds[key]), value)


def _require_known(path: str, given: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            raise UserError(f"Config key '{path}.{key}': there is no such argument{or_nearest(key, known)}")


def _require(is_right: bool, path: str, what: str, value: Any) -> None:
    if not is_right:
        raise UserError(f"Config key '{path}' must be {what}, got {value!r:.60}.")
