"""Errors of constructors, reported with the key of the config that their arguments stand under."""

import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mmengine.registry import build_from_cfg, build_scheduler_from_cfg
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

from mgca_mm import errors
from mgca_mm.errors import UserError

from .batch import scale_learning_rate
from .signatures import parameters_of

_REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    UserError,
    ValueError,
)
# What builds something from a part of a config: the code, and its argument that holds the part.
_BUILDERS = {
    build_from_cfg.__code__: "cfg",
    build_scheduler_from_cfg.__code__: "cfg",
    Runner.build_dataloader.__code__: "dataloader",
}
# What is set up from a section, or builds from what is no longer as it stands in the config.
_SECTIONS = {
    set_multi_processing.__code__: "env_cfg.mp_cfg",
    scale_learning_rate.__code__: "auto_scale_lr",
    Runner.set_randomness.__code__: "randomness",
    Runner.build_logger.__code__: "log_level",
    Runner.build_log_processor.__code__: "log_processor",
    Runner.build_visualizer.__code__: "visualizer",
    Runner.build_model.__code__: "model",
    Runner._init_model_weights.__code__: "model",
    Runner.build_train_loop.__code__: "train_cfg",
    Runner.build_val_loop.__code__: "val_cfg",
    Runner.build_test_loop.__code__: "test_cfg",
    Runner.build_optim_wrapper.__code__: "optim_wrapper",
    Runner.build_param_scheduler.__code__: "param_scheduler",
}


@contextmanager
def errors_named_by_key(cfg: Mapping[str, Any]) -> Iterator[None]:
    """Name the key of the whole config whose part cannot be built; what no constructor raises passes as it is.

    Raises:
        UserError: A constructor has refused its arguments.
    """
    try:
        yield
    except _REFUSALS as error:
        frames, lines = zip(*traceback.walk_tb(error.__traceback__), strict=True)
        keys = [_SECTIONS[frame.f_code] for frame in frames if frame.f_code in _SECTIONS]
        parts = [frame.f_locals[_BUILDERS[frame.f_code]] for frame in frames if frame.f_code in _BUILDERS]
        sections = {key: cfg[key] for key in parameters_of(Runner)[0] if key in cfg}
        keys += filter(None, (_key_of(part, sections) for part in parts))
        if not keys:
            raise
        reason = str(error)
        if not isinstance(error, UserError):
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            places = [(frame.f_globals["__name__"], line) for frame, line in zip(frames, lines, strict=True)]
            where = "{}, line {}".format(*[place for place in places if place[0] != errors.__name__][-1])
            reason = f"{kind}{' '.join(reason.split()):.300}\n({where})"
        raise UserError(f"Config key '{keys[-1]}': {reason}") from error


def _key_of(part: Any, sections: Mapping[str, Any]) -> str | None:
    """Dotted name of what a part was in the config, where it may have fewer entries; None if it was nothing there."""
    if not isinstance(part, Mapping):
        return None
    nodes = [(len(node), key, node) for key, node in dicts_below(sections) if node]
    found = [item for item in nodes if {name: part.get(name) for name in item[2]} == dict(item[2])]
    return max(found, key=lambda item: item[0], default=(0, None))[1]


def datasets_of(loader: Mapping[str, Any] | None) -> Iterator[Mapping[str, Any]]:
    """The data sets of a loader's config, without what wraps them."""
    dataset = (loader or {}).get("dataset") or {}
    for each in dataset.get("datasets", [dataset]):
        if "dataset" in each:
            yield from datasets_of(each)
        else:
            yield each


def dicts_below(node: Any, above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every dict below a node, with its dotted name."""
    for name, child in node.items() if isinstance(node, Mapping) else enumerate(node):
        if isinstance(child, Mapping):
            yield f"{above}{name}", child
        if isinstance(child, Mapping | list | tuple):
            yield from dicts_below(child, f"{above}{name}.")
