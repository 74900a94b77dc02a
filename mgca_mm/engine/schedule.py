"""``max_epochs`` on top of a recipe: the loop and the schedule follow it."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mgca_mm.errors import UserError

from .config_files import assignments, base_files


def follow_max_epochs(cfg: Config, path: Path, options: Mapping[str, Any]) -> None:
    """Change the length of a training, in place: that of its loop and, in proportion, that of its schedule.

    The length is what the command line says, ``max_epochs`` or ``train_cfg.max_epochs``; else what is set nearest to
    the config's own file: the variable ``max_epochs`` on top of our recipes, or the loop's. A schedule follows if it
    has been written for the whole of the length that there was before; one that ends earlier stays as it is. So does
    the schedule of a loop that counts iterations, ``train_cfg.max_iters``. The options are not merged into ``cfg`` yet.

    Raises:
        UserError: ``max_epochs`` is asked for where the loop counts iterations.
    """
    loop = cfg.get("train_cfg") or {}
    by_epoch = "max_epochs" in loop
    if "max_epochs" in options and not by_epoch:
        raise UserError("--cfg-options max_epochs: this training counts iterations; set train_cfg.max_iters.")
    key = "max_epochs" if by_epoch else "max_iters"
    lengths = [loop.get(key)]
    if by_epoch and "max_epochs" in cfg:
        lengths.insert(1 if _sets_loop_last(path) else 0, cfg.max_epochs)
    wanted = options.get("max_epochs", options.get(f"train_cfg.{key}", lengths[0]))
    if not all(isinstance(number, int) and number > 0 for number in (wanted, *lengths)):
        return  # which the validation will refuse
    schedulers = cfg.get("param_scheduler") or []
    schedulers = schedulers if isinstance(schedulers, list) else [schedulers]
    end = max((_end(each) for each in schedulers if each.get("by_epoch", True) == by_epoch), default=0)
    if end in lengths and end != wanted and "param_scheduler" not in options:
        cfg.param_scheduler = list(_stretched(schedulers, wanted / end, by_epoch))
    loop[key] = wanted
    if by_epoch and "max_epochs" in cfg:
        cfg.max_epochs = wanted


def _stretched(schedulers: list[Mapping[str, Any]], factor: float, by_epoch: bool) -> Iterator[dict[str, Any]]:
    """Schedulers of a training that is so many times as long, in whole epochs; one that none is left for goes."""
    for scheduler in schedulers:
        if scheduler.get("by_epoch", True) != by_epoch:
            yield scheduler
            continue
        new = {**scheduler}
        for key in new.keys() & {"begin", "end"}:
            new[key] = round(scheduler[key] * factor)
        for key in new.keys() & {"T_max", "step_size"}:
            new[key] = max(1, round(scheduler[key] * factor))
        if "milestones" in new:
            new["milestones"] = [round(milestone * factor) for milestone in scheduler["milestones"]]
        if new.get("end", math.inf) <= new.get("begin", 0):
            continue
        if scheduler.get("T_max") == scheduler.get("end", 0) - scheduler.get("begin", 0):
            new["T_max"] = new["end"] - new.get("begin", 0)
        yield new


def _end(scheduler: Mapping[str, Any]) -> int:
    """The epoch that a scheduler has been written to end at; 0 where it names none."""
    return scheduler.get("end", scheduler.get("begin", 0) + scheduler.get("T_max", 0))


def _sets_loop_last(path: Path) -> bool:
    """Whether the loop's length is set nearer to a config's file, among those that it builds on, than the variable."""
    files = [path]
    for file in files:  # which grows
        assigned = assignments(file)
        if "max_epochs" in assigned.get("train_cfg", ""):
            return True
        if "max_epochs" in assigned:
            return False
        files += base_files(file)
    return True
