"""A config is checked before anything is built from it, for what MMEngine would ignore silently or report too late.

Every ``type`` must be registered, every argument one that its constructor takes and of the kind that it asks for; an
option of the command line must name something. An error names the key and the nearest valid name. Whether a number is
in its range only the constructor knows (:mod:`mgca_mm.engine.config_errors`).
"""

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import mmengine.registry as registries
import torch.distributed
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Priority, Runner, get_priority
from torch.utils.data import DataLoader

from mgca_mm.errors import UserError, or_nearest

from .param_groups import MergedGroupsOptimWrapperConstructor
from .signatures import describe, hints_of, parameters_of, suits

_REGISTRIES = [value for value in vars(registries).values() if isinstance(value, Registry)]
# Arguments that a builder takes out of a config before the constructor sees it.
_TAKEN_OUT = {
    "default_hooks": ("priority",),
    "custom_hooks": ("priority",),
    "optim_wrapper": ("optimizer", "constructor", "paramwise_cfg"),
    "param_scheduler": ("convert_to_iter_based", "epoch_length"),
    "train_cfg": ("by_epoch",),
    "init_cfg": ("override", "layer"),
    "override": ("name",),
}
_OF_LOADERS = {"dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch"}
# Numbers that torch and MMEngine take although nothing can be trained with 0 or less of them.
_POSITIVE = ("lr", "max_norm", "clip_value", "prefetch_factor", "start_factor", "T_max", "base_batch_size")
_NOT_NEGATIVE = ("gamma", "begin")
# Configs of layers, which MMCV and its descendants take apart in ways of their own; and functions looked up by name.
_UNCHECKED = ("norm_cfg", "conv_cfg", "act_cfg", "upsample_cfg", "nms", "model_wrapper_cfg")
# What a class of another library does with its arguments, only that library knows: below it, a name must be nearly that
# of another one to count as misspelled. These keys begin anew; all libraries of the ecosystem build them alike.
_ALWAYS_BUILT = {"dataset", "pipeline", "backbone", "neck", "head", "bbox_head", "decode_head", "data_preprocessor"}
_KNOWN = ("mgca_mm.", "mmengine.", "torch.optim.", "torch.utils.data.", "torch.nn.utils.")
_NEARLY = 0.85
_LAYER_DECAY = "LearningRateDecayOptimWrapperConstructor"
# What only another constructor than the config's takes.
_REMEDIES = {
    "optim_wrapper.paramwise_cfg.layer_decay_rate": " by itself.\nSet optim_wrapper.constructor="
    f"'mmpretrain.{_LAYER_DECAY}', which takes it."
}
# What can be in there is checked elsewhere.
_OPEN = ("env_cfg.", "randomness.", "optim_wrapper.paramwise_cfg.", "model.text_encoder.config.")
# MMEngine passes over what it does not know in sections without a type.
# Place → names and type hints of what may stand there, or the type that the runner takes where none is named.
_UNTYPED = {
    "randomness": {"seed": int | None, "diff_rank_seed": bool, "deterministic": bool},
    "env_cfg": {
        "cudnn_benchmark": bool,
        "mp_cfg": dict | None,
        "dist_cfg": dict,
        "resource_limit": int | None,
        "float32_matmul_precision": Literal["highest", "high", "medium"],  # PrivateRunner's
    },
    "env_cfg.mp_cfg": {"mp_start_method": str, "opencv_num_threads": int},
    "env_cfg.dist_cfg": {
        **dict.fromkeys(parameters_of(torch.distributed.init_process_group)[0], Any),
        "backend": Literal[tuple(torch.distributed.Backend.backend_list)],  # of which one process would say nothing
        "init_backend": str,
        "init_method": str,
        "timeout": float,
        "port": int,
    },
    "auto_scale_lr": {"enable": bool, "base_batch_size": int},
    "train_dataloader": DataLoader,
    "val_dataloader": DataLoader,
    "test_dataloader": DataLoader,
    "optim_wrapper": "OptimWrapper",
    "optim_wrapper.clip_grad": torch.nn.utils.clip_grad_norm_,
    "optim_wrapper.paramwise_cfg": {
        "custom_keys": dict,
        **dict.fromkeys(("bias_lr_mult", "bias_decay_mult", "norm_decay_mult", "flat_decay_mult"), float),
        **dict.fromkeys(("dwconv_decay_mult", "dcn_offset_lr_mult"), float),
        "bypass_duplicate": bool,
    },
    "train_cfg": "EpochBasedTrainLoop",
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "visualizer": "Visualizer",
    "log_processor": "LogProcessor",
}


def validate(cfg: Config | Mapping[str, Any]) -> None:
    """Check the complete config of a run.

    Raises:
        UserError: At the first fault, with the key, what is wrong and the nearest valid name.
    """
    if cfg.get("model") is None:
        raise UserError("The config has no 'model'.")
    _check_arguments(cfg, "", Runner, set(), strict=False)
    for split, third in dict(train="optim_wrapper", val="val_evaluator", test="test_evaluator").items():
        keys = (f"{split}_dataloader", f"{split}_cfg", third)
        missing = [key for key in keys if cfg.get(key) is None]
        if 0 < len(missing) < len(keys):
            given = next(key for key in keys if key not in missing)
            raise UserError(f"Config key '{given}' needs {' and '.join(map(repr, missing))}, too: give all or none.")
    with _in_scope(cfg.get("default_scope") or "mmengine", "default_scope"):
        for key in parameters_of(Runner)[0]:
            if key in cfg and key not in ("cfg", *_UNCHECKED):
                _check(cfg[key], key, key, strict=True)


def require_known_options(cfg: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Check that each option, a dotted key, names a key of the config before it is merged, or one that could be there.

    Below a dict with a type any name passes here: its constructor decides, in :func:`validate`. Among dicts with types,
    such as hooks, a new one needs its type.

    Raises:
        UserError: With the nearest key.
    """
    for option, value in options.items():
        node: Any = cfg
        names = option.split(".")
        for depth, name in enumerate(names):
            above, path = ".".join(names[:depth]), ".".join(names[: depth + 1])
            if isinstance(node, list | tuple):
                if not name.isdigit() or int(name) >= len(node):
                    raise UserError(f"--cfg-options {option}: the list has {len(node)} entries; write a number below.")
                node = node[int(name)]
                continue
            if not isinstance(node, Mapping) or ("type" in node and name not in node):
                break
            known = {*node, *((*parameters_of(Runner)[0], "max_epochs") if depth == 0 else ())}
            if _UNTYPED.get(above) is DataLoader:
                known |= {*parameters_of(DataLoader)[0], *_OF_LOADERS}
            is_new = f"{path}.type" in options or (path == option and _is_typed(value))
            if name not in known and not is_new and not option.startswith(_OPEN):
                among_typed = depth > 0 and any(map(_is_typed, node.values()))
                hint = f"\nA new one needs its type: {path}.type=NAME" if among_typed else ""
                raise UserError(f"--cfg-options {option}: the config has no '{name}'{or_nearest(name, known)}{hint}")
            node = node.get(name)
            if node is None:
                break


@contextmanager
def _in_scope(scope: Any, key: str) -> Iterator[None]:
    """Look names up among those of a library."""
    try:
        importlib.import_module(f"{scope}.registry")
    except (ModuleNotFoundError, TypeError, ValueError) as error:  # the latter for what is no name
        is_ours = scope in ("mmdet", "mmseg")
        remedy = "\nInstall it: pip install 'mgca_mm[dense]', or bash tools/setup_env.sh" if is_ours else ""
        raise UserError(f"Config key '{key}': '{scope}' is not installed.{remedy}") from error
    with DefaultScope.overwrite_default_scope(scope):
        yield


def _check(node: Any, path: str, key: str, strict: bool) -> None:
    """Check a part of a config.

    ``path`` is its dotted name, ``key`` the last of the names that says what it is: ``custom_hooks`` for
    ``custom_hooks.0``. Where it is not ``strict``, an unknown name is a fault only if another one is near.
    """
    if not isinstance(node, Mapping | list | tuple):
        return
    if isinstance(node, Mapping) and "_scope_" in node and path != "optim_wrapper":
        # What comes from a library's config, and all below, is built there; the wrapper's constructor is not.
        with _in_scope(node["_scope_"], f"{path}._scope_"):
            _check({name: child for name, child in node.items() if name != "_scope_"}, path, key, strict)
        return
    children = list(node.items() if isinstance(node, Mapping) else enumerate(node))
    constructor = _constructor(node, path, strict) if isinstance(node, Mapping) else None
    if constructor is not None:
        taken_out = _OF_LOADERS if constructor is DataLoader else set(_TAKEN_OUT.get(key, ()))
        _check_arguments(node, f"{path}.", constructor, taken_out, strict)
        strict = _is_known(constructor)
    elif isinstance(node, Mapping) and isinstance(node.get("type"), str):
        return  # another library's own name for something
    elif strict and (typed := [str(name) for name, child in children if _is_typed(child)]):
        for name, child in children:
            if isinstance(child, Mapping) and "type" not in child:
                raise UserError(f"Config key '{path}.{name}' has no type{or_nearest(str(name), typed)}")
    for name, child in children:
        if name not in _UNCHECKED and not (name == "paramwise_cfg" and _has_own_constructor(node)):
            # A list, and a dict that is no call, hold things of one kind: hooks, alignments, steps of a pipeline.
            kind = name if constructor is not None or name in _ALWAYS_BUILT else key
            _check(child, f"{path}.{name}", kind, strict or kind in _ALWAYS_BUILT)


def _constructor(node: Mapping, path: str, strict: bool) -> Callable | Mapping | None:
    """What a dict holds the arguments of; None where that is nothing, or something that another library knows."""
    if path == "optim_wrapper" and "constructor" in node:
        # Looked up where the run is, whatever scope the base config was in that the rest of this dict is from.
        found = _registered(node["constructor"], "optim_wrapper.constructor", {}, strict=True)
        if getattr(found, "__name__", "") == _LAYER_DECAY:
            _check_layer_decay(node)
    if path == "optim_wrapper.clip_grad":
        return torch.nn.utils.clip_grad_value_ if node.get("type") == "value" else _UNTYPED[path]
    if isinstance(node.get("type"), str):
        return _registered(node["type"], f"{path}.type", node, strict)
    if path == "optim_wrapper" and _has_own_constructor(node):
        return dict  # which takes any argument
    if path == "train_cfg" and not node.get("by_epoch", True):
        return _find("IterBasedTrainLoop", None)
    implied = _UNTYPED.get(path)
    return _find(implied, None) if isinstance(implied, str) else implied


def _check_layer_decay(wrapper: Mapping) -> None:
    """Check what mmpretrain's constructor passes over, or writes into its log without having it."""
    path, settings = "optim_wrapper.paramwise_cfg", wrapper.get("paramwise_cfg")
    if isinstance(settings, Mapping):
        _check_arguments(settings, f"{path}.", {**_UNTYPED[path], "layer_decay_rate": float}, set(), strict=True)
    optimizer = wrapper.get("optimizer")
    if isinstance(optimizer, Mapping) and optimizer.get("weight_decay") is None:
        raise UserError(f"Config key 'optim_wrapper.optimizer.weight_decay': {_LAYER_DECAY} needs it; 0 is none.")


def _has_own_constructor(wrapper: Any) -> bool:
    """Whether an ``optim_wrapper`` has a constructor of another library, which alone knows its arguments."""
    name = wrapper.get("constructor") if isinstance(wrapper, Mapping) else None
    known = (DefaultOptimWrapperConstructor, MergedGroupsOptimWrapperConstructor)
    return name is not None and _find(name, None) not in known


def _check_arguments(node: Mapping, prefix: str, constructor: Any, taken_out: set[str], strict: bool) -> None:
    is_section = isinstance(constructor, Mapping)
    names, takes_any = (constructor, False) if is_section else parameters_of(constructor)
    hints = constructor if is_section else hints_of(constructor)
    known = {*names, *taken_out} - {"self"}
    given = {key: value for key, value in node.items() if key not in ("type", "_scope_")}
    for key, value in given.items():
        path = f"{prefix}{key}"
        if key not in known and not takes_any:
            if strict or difflib.get_close_matches(key, known - given.keys(), 1, cutoff=_NEARLY):
                owner = prefix.strip(".") if is_section else getattr(constructor, "__name__", str(constructor))
                hint = _REMEDIES.get(path) or or_nearest(key, known)
                raise UserError(f"Config key '{path}' is no argument of {owner}{hint}")
        elif not _is_known(constructor):
            continue  # hints that nothing enforces are often narrower than what is taken
        elif key in hints and not _fits(value, hints[key], constructor):
            got = f"got {type(value).__name__} {value!r:.60}"
            raise UserError(f"Config key '{path}' must be {describe(hints[key])}, {got}.")
        elif key in _NOT_NEGATIVE and isinstance(value, int | float) and not value >= 0:
            raise UserError(f"Config key '{path}' must not be negative, got {value!r}.")
        elif key in _POSITIVE and isinstance(value, int | float) and not value > 0:
            raise UserError(f"Config key '{path}' must be above 0, got {value!r}.")
        elif key == "priority" and key in taken_out:
            try:
                get_priority(value)
            except (KeyError, TypeError, ValueError) as error:
                wanted = f"a number of 0 to 100 or one of {', '.join(priority.name for priority in Priority)}"
                raise UserError(f"Config key '{path}' must be {wanted}, got {value!r}.") from error


def _is_known(constructor: Any) -> bool:
    """Whether it is one of ours, of MMEngine's or torch's."""
    return isinstance(constructor, Mapping) or (getattr(constructor, "__module__", None) or "").startswith(_KNOWN)


def _fits(value: Any, hint: Any, constructor: Any) -> bool:
    """Whether a value is what is asked for."""
    if not getattr(constructor, "__module__", "").startswith("mmengine."):
        return suits(value, hint)
    # MMEngine takes 2.0 for 2, None for a default, and more than a text where its hint asks for one.
    number = int(value) if isinstance(value, float) and value.is_integer() else value
    return hint is str or value is None or suits(value, hint) or suits(number, hint)


def _is_typed(node: Any) -> bool:
    return isinstance(node, Mapping) and "type" in node


def _registered(name: Any, path: str, node: Mapping, strict: bool) -> Any:
    """What a name stands for; None where it is not registered and may be another library's own name for something."""
    found = _find(name, node.get("_scope_"))
    names = list(_names()) if found is None else []
    if found is None and (strict or difflib.get_close_matches(name, names, 1, cutoff=_NEARLY)):
        raise UserError(
            f"Config key '{path}': '{name}' is not registered{or_nearest(str(name), names)}\n"
            "A class of your own needs custom_imports=dict(imports=['its.module'])."
        )
    return found


def _find(name: Any, scope: str | None) -> Any:
    """What a type stands for, in the first registry that has it: hardly a name is in two of them."""
    scope = scope or DefaultScope.get_current_instance().scope_name
    for registry in _REGISTRIES:
        try:
            found = registry.children.get(scope, registry).get(name)
        except (RuntimeError, TypeError, ValueError):  # not in there, or no name at all
            continue
        if found is not None:
            return found
    return None


def _names() -> Iterator[str]:
    """Every registered name, as the config may write it."""
    current = DefaultScope.get_current_instance().scope_name
    for registry in _REGISTRIES:
        yield from registry.module_dict
        yield from registry.children[current].module_dict if current in registry.children else ()
        yield from (f"{scope}.{name}" for scope, child in registry.children.items() for name in child.module_dict)
