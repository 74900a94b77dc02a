"""A config is checked before anything is built from it, for what MMEngine would pass over in silence or tell too late.

Every ``type`` must be registered, every argument one that its constructor takes and of the kind that it asks for; an
option of the command line must name something. An error names the key and the nearest valid name. Whether a number is
in its range only the constructor knows (:mod:`mgca_mm.engine.config_errors`).
"""

import difflib
import importlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import mmengine.registry as registries
import torch
from mmengine.config import Config
from mmengine.optim import DefaultOptimWrapperConstructor
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Priority, Runner, get_priority

from mgca_mm.errors import UserError, or_nearest

from .param_groups import MergedGroupsOptimWrapperConstructor
from .signatures import describe, hints_of, parameters_of, suits
from .untyped_sections import UNTYPED

_REGISTRIES = [value for value in vars(registries).values() if isinstance(value, Registry)]
# Arguments that a builder takes out of a config before the constructor sees it.
_LOADER = ("dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch")
_TAKEN_OUT = {
    "default_hooks": ("priority",),
    "custom_hooks": ("priority",),
    "optim_wrapper": ("optimizer", "constructor", "paramwise_cfg"),
    "param_scheduler": ("convert_to_iter_based", "epoch_length"),
    "train_cfg": ("by_epoch",),
    "train_dataloader": _LOADER,
    "val_dataloader": _LOADER,
    "test_dataloader": _LOADER,
    "init_cfg": ("override", "layer"),
    "override": ("name",),
}
# Numbers that torch and MMEngine take although nothing can be trained with 0 or less of them.
_POSITIVE = ("lr", "max_norm", "clip_value", "prefetch_factor", "start_factor", "T_max", "base_batch_size")
# Configs of layers, which MMCV and its descendants take apart in ways of their own; and functions looked up by name.
_UNCHECKED = ("norm_cfg", "conv_cfg", "act_cfg", "upsample_cfg", "nms", "model_wrapper_cfg")
# What a class of another library does with its arguments, only that library knows: below it, a name must be nearly that
# of another one to count as misspelt. These keys begin anew; all libraries of the ecosystem build them alike.
_ALWAYS_BUILT = {"dataset", "pipeline", "backbone", "neck", "head", "bbox_head", "decode_head", "data_preprocessor"}
_OURS = ("mgca_mm.", "mmengine.", "torch.optim.", "torch.utils.data.", "torch.nn.utils.")
_NEARLY = 0.85
# A run has all of these or none.
_TOGETHER = (
    ("train_dataloader", "train_cfg", "optim_wrapper"),
    ("val_dataloader", "val_cfg", "val_evaluator"),
    ("test_dataloader", "test_cfg", "test_evaluator"),
)
_OPEN = ("env_cfg.", "randomness.", "model.text_encoder.config.")  # what can be in there is checked elsewhere


def validate(cfg: Config | Mapping[str, Any]) -> None:
    """Check a config.

    Args:
        cfg: Config of a run, whole.

    Raises:
        UserError: At the first fault, with the key, what is wrong and the nearest valid name.
    """
    if cfg.get("model") is None:
        raise UserError("The config has no 'model'.")
    _check_arguments(cfg, "", Runner, (), strict=False)
    for keys in _TOGETHER:
        given = [key for key in keys if cfg.get(key) is not None]
        if given and len(given) < len(keys):
            missing = ", ".join(f"'{key}'" for key in keys if key not in given)
            raise UserError(f"Config key '{given[0]}' needs {missing}, too: give all or none.")
    scope = cfg.get("default_scope") or "mmengine"
    try:
        importlib.import_module(f"{scope}.registry")
    except (ModuleNotFoundError, TypeError, ValueError) as error:  # the latter for what is no name
        raise UserError(f"Config key 'default_scope': '{scope}' is not installed.") from error
    with DefaultScope.overwrite_default_scope(scope):
        for key in parameters_of(Runner)[0]:
            if key in cfg and key not in ("cfg", *_UNCHECKED):
                _check(cfg[key], key, key, strict=True)


def require_known_options(cfg: Mapping[str, Any], options: Mapping[str, Any]) -> None:
    """Check that each option of the command line names a key, or one that could be there.

    Below a dict with a type any name passes here: its constructor decides, in :func:`validate`. Among dicts with types,
    such as hooks, a new one needs its type.

    Args:
        cfg: Config before the options are merged into it.
        options: Dotted key → value.

    Raises:
        UserError: With the nearest key.
    """
    for option, value in options.items():
        node: Any = cfg
        above = ""
        for name in option.split("."):
            path = f"{above}.{name}".lstrip(".")
            if isinstance(node, list | tuple):
                if not name.isdigit() or int(name) >= len(node):
                    raise UserError(f"--cfg-options {option}: the list has {len(node)} entries; write a number below.")
                node, above = node[int(name)], path
                continue
            is_new = f"{path}.type" in options or (path == option and isinstance(value, Mapping) and "type" in value)
            if not isinstance(node, Mapping) or ("type" in node and name not in node) or is_new:
                break
            known = {*node, *(parameters_of(Runner)[0] if not above else ())}
            if above in UNTYPED and not isinstance(UNTYPED[above], str):
                known |= {*parameters_of(UNTYPED[above])[0], *_TAKEN_OUT.get(above, ())}
            if name not in known and not option.startswith(_OPEN):
                hint = f"\nA new one needs its type: {path}.type=NAME" if _are_typed(node.values()) else ""
                raise UserError(f"--cfg-options {option}: the config has no '{name}'{or_nearest(name, known)}{hint}")
            node, above = node.get(name), path
            if node is None:
                break


def _check(node: Any, path: str, key: str, strict: bool) -> None:
    """Check a part of a config.

    Args:
        node: The part.
        path: Its dotted name.
        key: Last of the names that says what it is: ``custom_hooks`` for ``custom_hooks.0``.
        strict: Whether an unknown name is a fault though no other is near.
    """
    if not isinstance(node, Mapping | list | tuple):
        return
    children = list(node.items() if isinstance(node, Mapping) else enumerate(node))
    constructor = _constructor(node, path, key, strict) if isinstance(node, Mapping) else None
    if constructor is not None:
        _check_arguments(node, f"{path}.", constructor, _TAKEN_OUT.get(key, ()), strict)
        strict = _module(constructor).startswith(_OURS)
    elif isinstance(node, Mapping) and isinstance(node.get("type"), str):
        return  # another library's own name for something
    elif strict and _are_typed(child for _, child in children):
        for name, child in children:
            if isinstance(child, Mapping) and "type" not in child:
                raise UserError(f"Config key '{path}.{name}' has no type{or_nearest(str(name), map(str, node))}")
    for name, child in children:
        if name not in _UNCHECKED and not (name == "paramwise_cfg" and _groups_parameters_itself(node)):
            # A list, and a dict that is no call, hold things of one kind: hooks, alignments, steps of a pipeline.
            kind = name if constructor is not None or name in _ALWAYS_BUILT else key
            _check(child, f"{path}.{name}", kind, strict or kind in _ALWAYS_BUILT)


def _constructor(node: Mapping, path: str, key: str, strict: bool) -> Callable | None:
    """What a dict gives arguments to; None where that is nothing, or something that another library knows."""
    if key == "clip_grad":
        by_value = node.get("type") == "value"
        return torch.nn.utils.clip_grad_value_ if by_value else torch.nn.utils.clip_grad_norm_
    if path == "optim_wrapper" and "constructor" in node:
        _registered(node["constructor"], "optim_wrapper.constructor", node, strict=True)
    if isinstance(node.get("type"), str):
        return _registered(node["type"], f"{path}.type", node, strict)
    implied = UNTYPED.get(path)
    if path == "train_cfg":
        implied = "EpochBasedTrainLoop" if node.get("by_epoch", True) else "IterBasedTrainLoop"
    if path == "optim_wrapper" and _groups_parameters_itself(node):
        implied = dict  # which takes any argument
    return _find(implied, None) if isinstance(implied, str) else implied


def _groups_parameters_itself(wrapper: Any) -> bool:
    """Whether an ``optim_wrapper`` has a constructor of another library, which alone knows its arguments."""
    name = wrapper.get("constructor") if isinstance(wrapper, Mapping) else None
    known = (DefaultOptimWrapperConstructor, MergedGroupsOptimWrapperConstructor)
    return name is not None and _find(name, wrapper.get("_scope_")) not in known


def _check_arguments(node: Mapping, prefix: str, constructor: Any, taken_out: Iterable[str], strict: bool) -> None:
    names, takes_any = parameters_of(constructor)
    known = {*names, *taken_out} - {"self"}
    given = {key: value for key, value in node.items() if key not in ("type", "_scope_")}
    hints, module = hints_of(constructor), _module(constructor)
    for key, value in given.items():
        if key not in known and not takes_any:
            if strict or difflib.get_close_matches(key, known - given.keys(), 1, cutoff=_NEARLY):
                owner = getattr(constructor, "__name__", str(constructor))
                raise UserError(f"Config key '{prefix}{key}' is no argument of {owner}{or_nearest(key, known)}")
        elif key in hints and not _fits(value, hints[key], module):
            got = f"got {type(value).__name__} {value!r:.60}"
            raise UserError(f"Config key '{prefix}{key}' must be {describe(hints[key])}, {got}.")
        elif key in _POSITIVE and module.startswith(_OURS) and isinstance(value, int | float) and not value > 0:
            raise UserError(f"Config key '{prefix}{key}' must be above 0, got {value!r}.")
        elif key == "priority" and key in taken_out:
            _require_priority(f"{prefix}{key}", value)


def _fits(value: Any, hint: Any, module: str) -> bool:
    """Whether a value is what a library asks for by a hint, as far as it means what it writes."""
    if not module.startswith(_OURS):  # hints that nothing enforces are often narrower than what is taken
        return not isinstance(value, str) or suits(value, hint) or not suits(0, hint)
    if module.startswith("mmengine.") and (value is None or (isinstance(value, float) and value.is_integer())):
        return True  # 2.0 for 2, None for a default
    return suits(value, hint)


def _require_priority(path: str, value: Any) -> None:
    try:
        get_priority(value)
    except (KeyError, TypeError, ValueError) as error:
        names = ", ".join(priority.name for priority in Priority)
        raise UserError(
            f"Config key '{path}' must be a number of 0 to 100 or one of {names}, got {value!r}."
        ) from error


def _are_typed(nodes: Iterable[Any]) -> bool:
    return any(isinstance(node, Mapping) and "type" in node for node in nodes)


def _module(constructor: Any) -> str:
    return getattr(constructor, "__module__", None) or ""  # a partial function has none


def _registered(name: Any, path: str, node: Mapping, strict: bool) -> Any:
    """What a name stands for; None where it is not registered and may be another library's own name for something."""
    found = _find(name, node.get("_scope_"))
    if found is not None:
        return found
    names = list(_names())
    if not strict and not difflib.get_close_matches(name, names, 1, cutoff=_NEARLY):
        return None
    raise UserError(
        f"Config key '{path}': '{name}' is not registered{or_nearest(str(name), names)}\n"
        "A class of your own needs custom_imports=dict(imports=['its.module'])."
    )


def _find(name: Any, scope: str | None) -> Any:
    """What a type stands for, in whichever registry; none has a name of another one for something else."""
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
        for scope, child in registry.children.items():
            for name in child.module_dict:
                yield f"{scope}.{name}"
                if scope == current:
                    yield name
