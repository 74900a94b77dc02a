"""A config is checked before anything is built from it.

Every ``type`` must be registered, every argument one that its constructor takes, every value of the kind and in the
range that it asks for; an option of the command line must name something. An error names the key and the nearest one.
"""

import difflib
import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import mmengine.registry as registries
from mmengine.config import Config
from mmengine.registry import DefaultScope, Registry
from mmengine.runner import Priority, Runner, get_priority
from torch.utils.data import DataLoader

from mgca_mm.errors import UserError

from .arguments import describe, hints_of, or_nearest, parameters_of, suits, suits_engine, suits_roughly, violated_range
from .sections import check_sections

_ALL = [value for value in vars(registries).values() if isinstance(value, Registry)]
# Where the types below a key are registered; other registries are asked after this one. First those of the runner.
_SECTIONS = {
    "optim_wrapper": registries.OPTIM_WRAPPERS,
    "param_scheduler": registries.PARAM_SCHEDULERS,
    "default_hooks": registries.HOOKS,
    "custom_hooks": registries.HOOKS,
    "val_evaluator": registries.METRICS,
    "test_evaluator": registries.METRICS,
    "train_cfg": registries.LOOPS,
    "val_cfg": registries.LOOPS,
    "test_cfg": registries.LOOPS,
    "visualizer": registries.VISUALIZERS,
    "log_processor": registries.LOG_PROCESSORS,
}
_REGISTRY_OF = {
    "dataset": registries.DATASETS,
    "pipeline": registries.TRANSFORMS,
    "transforms": registries.TRANSFORMS,
    "sampler": registries.DATA_SAMPLERS,
    "batch_sampler": registries.DATA_SAMPLERS,
    "collate_fn": registries.FUNCTIONS,
    "init_cfg": registries.WEIGHT_INITIALIZERS,
    "optimizer": registries.OPTIMIZERS,
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
_UNCHECKED = ("norm_cfg", "conv_cfg", "act_cfg", "upsample_cfg", "nms", "model_wrapper_cfg", "env_cfg")
_LOADER = {"dataset", "sampler", "batch_sampler", "collate_fn", "worker_init_fn", "num_batch_per_epoch"}
_OPEN = ("env_cfg.", "randomness.", "model.text_encoder.config.")  # validate() knows what can be in there
_LOADERS = ("train_dataloader", "val_dataloader", "test_dataloader")
_OURS = ("mgca_mm.", "mmengine.", "torch.optim")
_RANGED = ("mgca_mm.", "mmengine.runner", "mmengine.optim", "mmengine.hooks", "torch.optim")
# What a class of another library does with its arguments, only that library knows: below it, a name must be nearly that
# of another one to count as misspelt. These keys begin anew; all libraries of the ecosystem build them alike.
_ALWAYS_BUILT = {"dataset", "pipeline", "backbone", "neck", "head", "bbox_head", "decode_head", "data_preprocessor"}
_NEARLY = 0.85


def validate(cfg: Config | Mapping[str, Any]) -> None:
    """Check a config.

    Args:
        cfg: Config of a run, whole.

    Raises:
        UserError: At the first fault, with the key, what is wrong and the nearest valid name.
    """
    run = parameters_of(Runner)[0]
    for key in cfg:
        nearest = difflib.get_close_matches(key, run, 1, cutoff=_NEARLY)
        if key not in run and nearest and nearest[0] not in cfg:
            raise UserError(f"Config key '{key}' is unknown; did you mean '{nearest[0]}'?")
    if "model" not in cfg:
        raise UserError("The config has no 'model'.")
    _require_kinds("", {key: value for key, value in cfg.items() if key in run}, Runner)
    scope = cfg.get("default_scope") or "mmengine"
    try:
        importlib.import_module(f"{scope}.registry")
    except (ModuleNotFoundError, TypeError, ValueError) as error:  # the latter for what is no name
        raise UserError(f"Config key 'default_scope': '{scope}' is not installed.") from error
    with DefaultScope.overwrite_default_scope(scope):
        for key in run:
            if key in cfg and key not in ("cfg", *_UNCHECKED):
                _check(_typed(key, cfg[key]), key, key, _SECTIONS.get(key, registries.MODELS), strict=True)
        check_sections(cfg)


def require_known_options(cfg: Mapping[str, Any], options: Iterable[str]) -> None:
    """Check that each option of the command line names a key, or one that could be there.

    Below a dict with a type any name passes here: its constructor decides, in :func:`validate`.

    Args:
        cfg: Config before the options are merged into it.
        options: Dotted keys.

    Raises:
        UserError: With the nearest key.
    """
    for option in options:
        node: Any = cfg
        for depth, name in enumerate(option.split(".")):
            if isinstance(node, list | tuple):
                if not name.isdigit() or int(name) >= len(node):
                    raise UserError(f"--cfg-options {option}: the list has {len(node)} entries; write a number below.")
                node = node[int(name)]
                continue
            if not isinstance(node, Mapping) or ("type" in node and name not in node):
                break
            known = {*node, *(parameters_of(Runner)[0] if depth == 0 else ())}
            if depth == 1 and option.startswith(_LOADERS):
                known |= {*parameters_of(DataLoader)[0], *_LOADER}
            if name not in known and not option.startswith(_OPEN):
                raise UserError(f"--cfg-options {option}: the config has no '{name}'{or_nearest(name, known)}")
            node = node.get(name)
            if node is None:
                break


def _typed(key: str, node: Any) -> Any:
    """A section with the type that the runner gives it where it has none."""
    if not isinstance(node, Mapping) or "type" in node:
        return node
    if key == "train_cfg":
        return {"type": "EpochBasedTrainLoop" if node.get("by_epoch", True) else "IterBasedTrainLoop", **node}
    defaults = {
        "optim_wrapper": "OptimWrapper",
        "val_cfg": "ValLoop",
        "test_cfg": "TestLoop",
        "visualizer": "Visualizer",
        "log_processor": "LogProcessor",
    }
    return {"type": defaults[key], **node} if key in defaults else node


def _check(node: Any, path: str, key: str, registry: Registry, strict: bool) -> None:
    """Check a part of a config.

    Args:
        node: The part.
        path: Its dotted name.
        key: Last of the names that says what it is: ``custom_hooks`` for ``custom_hooks.0``.
        registry: Where its types are registered.
        strict: Whether an unknown name is a fault though no other is near.
    """
    if not isinstance(node, Mapping | list | tuple):
        return
    children = list(node.items() if isinstance(node, Mapping) else enumerate(node))
    is_call = isinstance(node, Mapping) and isinstance(node.get("type"), str)
    if is_call:
        constructor = _constructor(node, path, registry, strict)
        if constructor is None:
            return
        _check_arguments(node, path, constructor, _TAKEN_OUT.get(key, set()), strict)
        strict = _module(constructor).startswith(_OURS)
    elif key in _LOADERS:
        _check_arguments(node, path, DataLoader, _LOADER, strict)
    elif strict:
        _require_types(children, path)
    for name, child in children:
        if name not in _UNCHECKED:
            # A list, and a dict that is no call, hold things of one kind: hooks, alignments, steps of a pipeline.
            kind = name if is_call or key in _LOADERS or name in _REGISTRY_OF else key
            _check(child, f"{path}.{name}", kind, _REGISTRY_OF.get(kind, registry), strict or kind in _ALWAYS_BUILT)


def _require_types(children: list[tuple[Any, Any]], path: str) -> None:
    """Refuse a config without a type among others that have one."""
    typed = [str(name) for name, child in children if isinstance(child, Mapping) and "type" in child]
    for name, child in children:
        if typed and isinstance(child, Mapping) and "type" not in child:
            raise UserError(f"Config key '{path}.{name}' has no type{or_nearest(str(name), typed)}")


def _constructor(node: Mapping, path: str, registry: Registry, strict: bool) -> Any:
    """What a type stands for; None where it is not registered and may be another library's own name for something."""
    name = node["type"]
    constructor = _find(name, node.get("_scope_"), registry)
    if constructor is not None:
        return constructor
    names = list(_names())
    if not strict and not difflib.get_close_matches(name, names, 1, cutoff=_NEARLY):
        return None
    raise UserError(
        f"Config key '{path}.type': '{name}' is not registered{or_nearest(name, names)}\n"
        "A class of your own needs custom_imports=dict(imports=['its.module'])."
    )


def _check_arguments(node: Mapping, path: str, constructor: Any, taken_out: set[str], strict: bool) -> None:
    parameters, takes_any = parameters_of(constructor)
    known = {*parameters, *taken_out} - {"self"}
    given = {key: value for key, value in node.items() if key not in ("type", "_scope_", "_delete_")}
    for key in given:
        if key in known or takes_any:
            continue
        if strict or difflib.get_close_matches(key, known, 1, cutoff=_NEARLY):
            name = getattr(constructor, "__name__", str(constructor))
            raise UserError(f"Config key '{path}.{key}': {name} has no such argument{or_nearest(key, known)}")
    _require_kinds(f"{path}.", given, constructor)
    for key in _REGISTRY_OF.keys() & given.keys():
        if isinstance(given[key], int | float):
            raise UserError(f"Config key '{path}.{key}' must be a config, got {given[key]!r}.")
    if "priority" in taken_out and "priority" in given:
        _require_priority(f"{path}.priority", given["priority"])
    if constructor is DataLoader or _module(constructor).startswith(_RANGED):
        for key, value in given.items():
            requirement = violated_range(key, value)
            if requirement:
                raise UserError(f"Config key '{path}.{key}' {requirement}, got {value!r}.")


def _require_kinds(prefix: str, values: Mapping[str, Any], constructor: Any) -> None:
    hints = hints_of(constructor)
    module = _module(constructor)
    if constructor in (Runner, DataLoader) or module.startswith(("mgca_mm.", "torch.optim")):
        fits = suits
    else:
        fits = suits_engine if module.startswith("mmengine.") else suits_roughly
    for key, value in values.items():
        if key in hints and not fits(value, hints[key]):
            raise UserError(
                f"Config key '{prefix}{key}' must be {describe(hints[key])}, got {type(value).__name__} {value!r:.60}."
            )


def _require_priority(path: str, value: Any) -> None:
    try:
        get_priority(value)
    except (KeyError, TypeError, ValueError) as error:
        names = ", ".join(priority.name for priority in Priority)
        raise UserError(
            f"Config key '{path}' must be a number of 0 to 100 or one of {names}, got {value!r}."
        ) from error


def _module(constructor: Any) -> str:
    return getattr(constructor, "__module__", None) or ""  # a partial function has none


def _find(name: str, scope: str | None, registry: Registry) -> Any:
    """What a type stands for, in the registry it belongs to or else in any other."""
    scope = scope or DefaultScope.get_current_instance().scope_name
    for candidate in (registry, *_ALL):
        try:
            found = candidate.children.get(scope, candidate).get(name)
        except (RuntimeError, TypeError, ValueError):  # not in there, or no name at all
            continue
        if found is not None:
            return found
    return None


def _names() -> Iterator[str]:
    """Every registered name, as the config may write it."""
    current = DefaultScope.get_current_instance().scope_name
    for registry in _ALL:
        yield from registry.module_dict
        for scope, child in registry.children.items():
            for name in child.module_dict:
                yield f"{scope}.{name}"
                if scope == current:
                    yield name
