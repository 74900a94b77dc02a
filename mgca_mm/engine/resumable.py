"""Whether a checkpoint holds what a run would have written, seen before anything of it is taken.

A checkpoint may be of another run, of another version, edited or made by somebody else. What it decides by is compared
with the run's own model, optimizer and schedulers: the same names, kinds and shapes, and numbers that are numbers.
"""

import copy
import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.optim import OptimWrapper
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor, nn

from mgca_mm.checkpoints.plain import is_history
from mgca_mm.distributed import unwrapped

from .hooks.waiting_gradients import WAITING
from .loops import VALIDATED
from .pretrained import different_tensors

# Of the message hub, which travels in checkpoints.
SETTINGS_KEY = "run_settings"
# Of checkpoints that have no settings.
FORMER_NAMES = {"batches an epoch": "batches_per_epoch", "samples an iteration": "global_batch_size"}
_COUNTS = {"batches an epoch", "samples a step", "samples an iteration", "ranks"}  # of settings
# Of a scheduler: its place in the schedule. All else is what the schedule is.
PLACE = ("last_step", "_global_step", "_last_value", "verbose")
_MOST_ITERATIONS = 10**9  # no training has so many
_WEIGHTS_ALONE = "; start from its weights instead: --cfg-options load_from=FILE"


class _UnlikeError(Exception):
    """Something is not as a run of this config writes it; the text is the rest of a sentence about the checkpoint."""


def fault_of(content: Mapping[str, Any], runner: Runner) -> str | None:
    """Why a run, built from its config, cannot be resumed from a checkpoint: the rest of a sentence; None if it can."""
    try:
        for part in ("meta", "state_dict", "optimizer", "message_hub"):
            _require(isinstance(content.get(part), dict), f"has no '{part}'{_WEIGHTS_ALONE}")
        _check_model(content, runner)
        _check_hub(content["message_hub"])
        _check_place(content, runner)
        if isinstance(runner.optim_wrapper, OptimWrapper):
            _check_optimizer(content, runner)
            _check_schedulers(content, runner)
    except _UnlikeError as error:
        return f"it {error}"
    return None


def settings_in(info: Mapping[str, Any]) -> dict[str, Any]:
    """What the run of a checkpoint depended on, given its ``runtime_info``; little of old ones, which have few."""
    return info.get(SETTINGS_KEY) or {new: info[old] for new, old in FORMER_NAMES.items() if old in info}


def is_kept(scheduler: Any, schedule: Mapping[str, Any]) -> bool:
    """Whether a scheduler takes its state from a checkpoint as a whole, since it depends on what was measured."""
    return getattr(scheduler, "need_val_args", False) and schedule.keys() == scheduler.state_dict().keys()


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise _UnlikeError(otherwise)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST_ITERATIONS


def _is_single(value: Any) -> bool:
    single = isinstance(value, int | float | np.number) or (isinstance(value, Tensor) and value.dim() == 0)
    return single and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    return _is_single(value) and math.isfinite(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _check_model(content: Mapping[str, Any], runner: Runner) -> None:
    model = unwrapped(runner.model).state_dict()
    different = different_tensors(content["state_dict"], model)
    first = "".join(different[:1])
    _require(not different, f"is of another model: {len(different)} of {len(model)} tensors differ, such as {first}")
    averages = [hook.ema_model.state_dict() for hook in runner.hooks if hasattr(hook, "ema_model")]
    if averages and "ema_state_dict" in content:
        different = different_tensors(content["ema_state_dict"], averages[0])
        _require(not different, f"has an average of another model: {len(different)} tensors differ")
    waiting = content.get(WAITING) or dict(gradients={}, place=[])
    alike = isinstance(waiting, dict) and isinstance(waiting.get("gradients"), dict)
    alike = alike and isinstance(waiting.get("place"), list) and all(map(_is_count, waiting["place"]))
    names = waiting["gradients"].keys() & model.keys() if alike else set()
    alike = alike and not different_tensors(waiting["gradients"], {name: model[name] for name in names})
    _require(alike, f"has '{WAITING}' of another model")


# Beginnings of names in runtime_info by which a run decides → whether a value is one that a run writes.
_INFO: dict[str, Callable[[Any], bool]] = {
    VALIDATED: _is_count,
    "skipped_steps": _is_count,
    "last_ckpt": _is_text,
    "interrupted_ckpt": _is_text,
    "best_ckpt": _is_text,
    "best_score": _is_number,
    "keep_ckpt_ids": lambda value: isinstance(value, list) and all(map(_is_count, value)),
    "former_best_ckpts": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "early_stopping_": lambda value: (
        isinstance(value, dict)
        and all(_is_count(value.get(name)) for name in ("wait_count", "patience"))
        and _is_single(value.get("best_score"))  # infinite before the first validation
        and isinstance(value.get("stopped"), bool)
    ),
    SETTINGS_KEY: lambda value: (
        isinstance(value, dict)
        and all(map(_is_text, value))
        and all(_is_count(value[name]) and value[name] > 0 for name in _COUNTS & value.keys())
    ),
    **dict.fromkeys(FORMER_NAMES.values(), lambda value: _is_count(value) and value > 0),
}


def _check_hub(hub: Mapping[str, Any]) -> None:
    for part in ("log_scalars", "runtime_info", "resumed_keys"):
        whole = isinstance(hub.get(part), dict) and all(map(_is_text, hub[part]))
        _require(whole, f"has no 'message_hub.{part}' as a run writes it")
    for name, value in hub["log_scalars"].items():
        _require(isinstance(value, HistoryBuffer) or is_history(value), f"has no history of numbers under '{name:.80}'")
    _require(all(type(kept) is bool for kept in hub["resumed_keys"].values()), "has odd 'message_hub.resumed_keys'")
    for name, value in hub["runtime_info"].items():
        sound = all(is_sound(value) for kind, is_sound in _INFO.items() if name.startswith(kind))
        _require(sound, f"has an odd '{name:.80}' in message_hub.runtime_info")


def _check_place(content: Mapping[str, Any], runner: Runner) -> None:
    """The counters, and that epoch and iteration belong together."""
    meta = content["meta"]
    for name in ("epoch", "iter"):
        _require(_is_count(meta.get(name)), f"has no number of its {name}: {meta.get(name)!r:.40}")
    seed = meta.get("seed")
    _require(
        seed is None or (type(seed) is int and 0 <= seed < 2**32), f"has no whole number as its seed: {seed!r:.40}"
    )
    if isinstance(runner.train_loop, IterBasedTrainLoop):
        return
    length = len(runner.train_loop.dataloader)
    length = settings_in(content["message_hub"]["runtime_info"]).get("batches an epoch", length)
    epoch, iteration = meta["epoch"], meta["iter"]
    _require(
        epoch * length <= iteration <= (epoch + 1) * length,
        f"says that {iteration} iterations are {epoch} epochs, each of which has {length}{_WEIGHTS_ALONE}",
    )


def _check_optimizer(content: Mapping[str, Any], runner: Runner) -> None:
    wrapper, found = runner.optim_wrapper, content["optimizer"]
    own = wrapper.state_dict()
    groups, own_groups = found.get("param_groups"), own["param_groups"]
    others = f"has an optimizer with other parameter groups{_WEIGHTS_ALONE}"
    _require(isinstance(groups, list) and len(groups) == len(own_groups), others)
    pairs = list(zip(groups, own_groups, strict=True))
    for group, own_group in pairs:  # by position, so that the numbers are those of this run
        _require(isinstance(group, dict) and group.get("params") == own_group["params"], others)
    if "base_param_settings" in own:
        pairs.append((found.get("base_param_settings"), own["base_param_settings"]))
    for group, own_group in pairs:
        _require(isinstance(group, dict) and all(map(_is_text, group)) and "lr" in group, others)
        for name in own_group.keys() & group.keys():
            _require_alike(group[name], own_group[name], f"its optimizer's {name}")
    if "loss_scaler" in own and "loss_scaler" in found:
        _require_alike(found["loss_scaler"], own["loss_scaler"], "its loss scaler")
    _check_moments(content, wrapper)


def _check_moments(content: Mapping[str, Any], wrapper: OptimWrapper) -> None:
    """What the optimizer keeps of each parameter."""
    optimizer, info = wrapper.optimizer, content["message_hub"]["runtime_info"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    kept, expected = content["optimizer"].get("state"), _kept_of_a_parameter(optimizer)
    _require(isinstance(kept, dict), "has no state of its optimizer")
    former = settings_in(info)
    counts = former.get("samples a step", 0) // former.get("samples an iteration", 1) or wrapper._accumulative_counts
    steps = content["meta"]["iter"] // counts - info.get("skipped_steps", 0)
    # A loss scaler skips the first steps without telling.
    is_adam = isinstance(optimizer, torch.optim.Adam)  # while SGD begins its momentum where there was none
    needs_state = is_adam and steps > 0 and "loss_scaler" not in content["optimizer"]
    _require(bool(kept) or not needs_state, f"has an optimizer without its state{_WEIGHTS_ALONE}")
    for number, values in kept.items():
        known = _is_count(number) and number < len(parameters) and isinstance(values, dict)
        _require(known, "has an optimizer's state of no parameter")
        for name, example in expected.items():
            value, shape = values.get(name), parameters[number].shape if example.dim() else ()
            fits = isinstance(value, Tensor) and value.shape == shape and (value.dim() > 0 or bool(value.isfinite()))
            fits = fits or (value is None and not is_adam)
            _require(fits, f"has no {name} in its optimizer's state that fits parameter {number}")


def _kept_of_a_parameter(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """What Adam, AdamW or SGD keeps of a parameter, seen by a step of its copy; others are not looked at."""
    if not isinstance(optimizer, torch.optim.Adam | torch.optim.SGD):
        return {}
    probe = nn.Parameter(torch.zeros(2, 3))
    probe.grad = torch.zeros(2, 3)
    twin = copy.copy(optimizer)
    twin.state = defaultdict(dict)
    plain = dict(params=[probe], capturable=False, foreach=False, fused=False)
    twin.param_groups = [{**optimizer.param_groups[0], **plain}]
    twin.step()
    return twin.state[probe]


def _check_schedulers(content: Mapping[str, Any], runner: Runner) -> None:
    """Their places; where the config has another schedule, it is the config's."""
    if not runner.param_schedulers:
        return
    found = content.get("param_schedulers") or []
    former = settings_in(content["message_hub"]["runtime_info"])
    had_none = former.get("param_scheduler", "") in (None, [])
    _require(isinstance(found, list) and (bool(found) or had_none), f"has no 'param_schedulers'{_WEIGHTS_ALONE}")
    for schedule in found:
        whole = (
            isinstance(schedule, dict)
            and all(map(_is_text, schedule))
            and _is_count(schedule.get("_global_step"))
            and (_is_count(schedule.get("last_step")) or schedule.get("last_step") == -1)  # before the first validation
            and isinstance(schedule.get("_last_value"), list)
            and all(map(_is_number, schedule["_last_value"]))
        )
        _require(whole, "has a schedule without its place")
    for schedule, own in zip(found, runner.param_schedulers, strict=False):
        if is_kept(own, schedule):
            _require_alike(schedule, own.state_dict(), "its schedule")


def _require_alike(found: Any, own: Any, name: str) -> None:
    """Require the kind, shape and keys of a value of the run itself, and a finite number where that is one."""
    children: list[tuple] = []
    if isinstance(own, Mapping):
        alike = isinstance(found, dict) and found.keys() == own.keys()
        children = [(found[key], own[key], f"{name}.{key}") for key in own] if alike else []
    elif isinstance(own, list | tuple):
        alike = isinstance(found, list | tuple) and len(found) == len(own)
        children = [(*pair, name) for pair in zip(found, own, strict=True)] if alike else []
    elif isinstance(own, Tensor) and own.dim() > 0:
        alike = isinstance(found, Tensor) and found.shape == own.shape
    elif own is None or isinstance(own, bool | str):  # such as foreach and fused: one of them, or left to torch
        alike = found is None or type(found) is type(own) or (own is None and isinstance(found, bool))
    else:
        alike = _is_number(found) or (not isinstance(own, Tensor) and not math.isfinite(own) and type(found) is float)
    _require(alike, f"has an odd value for {name}: {found!r:.40}")
    for child in children:
        _require_alike(*child)
