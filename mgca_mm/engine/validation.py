"""A config is checked before anything is built from it.

Every ``type`` must be registered, every argument one that its constructor takes, every value of the kind and in the
range that it asks for; an option of the command line must name something. An error names the key and the nearest one.
"""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mmengine.registry as registries
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mgca_mm.errors import UserError

from .arguments import describe, hints_of, parameters_of, suits, violated_range

_ALL = [value for value in vars(registries).values() if isinstance(value, Registry)]
# Where the types below a key are registered; other registries are asked after this one.
_REGISTRY_OF = {
    "model": registries.MODELS,
    "dataset": registries.DATASETS,
    "pipeline": registries.TRANSFORMS,
    "transforms": registries.TRANSFORMS,
    "sampler": registries.DATA_SAMPLERS,
    "batch_sampler": registries.DATA_SAMPLERS,
    "collate_fn": registries.FUNCTIONS,
    "init_cfg": registries.WEIGHT_INITIALIZERS,
    "optim_wrapper": registries.OPTIM_WRAPPERS,
    "optimizer": registries.OPTIMIZERS,
    "param_scheduler": registries.PARAM_SCHEDULERS,
    "default_hooks": registries.HOOKS,
    "custom_hooks": registries.HOOKS,
    "val_evaluator": registries.METRICS,
    "test_evaluator": registries.METRICS,
    "train_cfg": registries.LOOPS,
    "val_cfg": registries.LOOPS,
    "test_cfg": registries.LOOPS,
    "visualizer": registries.VISUALIZERS,
    "vis_backends": registries.VISBACKENDS,
}
# Arguments that a builder takes out of a config before the constructor sees it.
_TAKEN_OUT = {
    "default_hooks": {"priority"},
    "custom_hooks": {"priority"},
    "optim_wrapper": {"optimizer", "constructor", "paramwise_cfg"},
    "param_scheduler": {"convert_to_iter_based", "epoch_length"},
    "train_cfg": {"by_epoch"},
    "override": {"name"},
    "init_cfg": {"override", "layer"},
}
# Configs of layers, which MMCV and its descendants take apart in ways of their own; and functions looked up by name.
_UNCHECKED = ("norm_cfg", "conv_cfg", "act_cfg", "upsample_cfg", "nms", "plugins", "model_wrapper_cfg", "env_cfg")
_LOADER = {"dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch"}
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_UNTYPED_DEFAULTS = {"train_cfg", "val_cfg", "test_cfg", "visualizer", "log_processor", "optim_wrapper"}


def validate(cfg: Mapping[str, Any]) -> None:
    """Check a config.

    Args:
        cfg: Config of a run, whole.

    Raises:
        UserError: At the first fault, with the key, what is wrong and the nearest valid name.
    """
    run = parameters_of(Runner)[0]
    for key in cfg:
        nearest = difflib.get_close_matches(key, run, 1, cutoff=0.85)
        if key not in run and nearest and nearest[0] not in cfg:
            raise UserError(f"Config key '{key}' is unknown; did you mean '{nearest[0]}'?")
    _require_kinds("", {key: value for key, value in cfg.items() if key in run}, hints_of(Runner))
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope", "mmengine")):
        for key in run:
            if key in cfg and key not in ("cfg", *_UNCHECKED):
                _check(cfg[key], key, key, _REGISTRY_OF.get(key, registries.MODELS))


def _check(node: Any, path: str, key: str, registry: Registry) -> None:
    """Check a part of a config.

    Args:
        node: The part.
        path: Its dotted name.
        key: The last name of a dict that leads to it.
        registry: Where its types are registered.
    """
    if isinstance(node, list | tuple):
        items: Iterable = enumerate(node)
    elif isinstance(node, Mapping):
        items = node.items()
        if isinstance(node.get("type"), str):
            _check_call(node, path, key, registry)
        elif key in _LOADERS:
            _check_arguments(node, path, DataLoader, _LOADER)
    else:
        return
    typed = [name for name, child in items if isinstance(child, Mapping) and "type" in child]
    for name, child in node.items() if isinstance(node, Mapping) else enumerate(node):
        if name in _UNCHECKED:
            continue
        child_path = f"{path}.{name}"
        if (
            isinstance(child, Mapping)
            and "type" not in child
            and "type" not in (node if isinstance(node, Mapping) else {})
            and typed
            and key not in _LOADERS
        ):
            siblings = [other for other in typed if isinstance(other, str)]
            raise UserError(f"Config key '{child_path}' has no type{_or_nearest(str(name), siblings)}")
        child_key = name if isinstance(name, str) and key not in ("default_hooks",) else key
        _check(child, child_path, child_key, _REGISTRY_OF.get(child_key, registry))


def _check_call(node: Mapping, path: str, key: str, registry: Registry) -> None:
    """Check a dict with a type: that the type exists and takes the arguments."""
    name = node["type"]
    constructor = _find(name, node.get("_scope_"), registry)
    if constructor is None:
        raise UserError(
            f"Config key '{path}.type': '{name}' is not registered{_or_nearest(name, _names(registry))}\n"
            "A class of your own needs custom_imports=dict(imports=['its.module'])."
        )
    _check_arguments(node, path, constructor, _TAKEN_OUT.get(key, set()))


def _check_arguments(node: Mapping, path: str, constructor: Any, taken_out: set[str]) -> None:
    parameters, takes_any = parameters_of(constructor)
    known = {*parameters, *taken_out} - {"self"}
    given = {key: value for key, value in node.items() if key not in ("type", "_scope_", "_delete_")}
    for key in given:
        if key not in known and not takes_any:
            name = getattr(constructor, "__name__", str(constructor))
            raise UserError(f"Config key '{path}.{key}': {name} has no such argument{_or_nearest(key, known)}")
    _require_kinds(f"{path}.", given, hints_of(constructor))
    if constructor is DataLoader or constructor.__module__.startswith(("mgca_mm.", "mmengine.", "torch.optim")):
        for key, value in given.items():
            requirement = violated_range(key, value)
            if requirement:
                raise UserError(f"Config key '{path}.{key}' {requirement}, got {value!r}.")


def _require_kinds(prefix: str, values: Mapping[str, Any], hints: Mapping[str, Any]) -> None:
    for key, value in values.items():
        if key in hints and not suits(value, hints[key]):
            raise UserError(
                f"Config key '{prefix}{key}' must be {describe(hints[key])}, got {type(value).__name__} {value!r:.60}."
            )


def _find(name: str, scope: str | None, registry: Registry) -> Any:
    """What a type stands for, in the registry it belongs to or else in any other."""
    scope = scope or DefaultScope.get_current_instance().scope_name
    for candidate in (registry, *_ALL):
        try:
            found = candidate.children.get(scope, candidate).get(name)
        except RuntimeError:  # not in there
            continue
        if found is not None:
            return found
    return None


def _names(registry: Registry) -> Iterator[str]:
    """Every name of a registry, with its scope and without."""
    yield from registry.module_dict
    for child in registry.children.values():
        for name in child.module_dict:
            yield from (name, f"{child.scope}.{name}")


def _or_nearest(name: str, names: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, list(names), 1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else "."
