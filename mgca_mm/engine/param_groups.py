"""The optimizer's parameter groups: one for each set of settings in a run, one for each parameter in its checkpoints.

MMEngine makes one a parameter under ``paramwise_cfg``, and an optimizer launches its kernels group by group. An
optimizer's state is kept by the place of a parameter in the groups: in checkpoints it must not depend on settings.
"""

from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError
from mgca_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

# Of a scheduler's state: a number for each group, and after them one for the optimizer's ``base_param_settings``.
_OF_EACH_GROUP = ("base_values", "_last_value", "min_values")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedGroupsOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """``DefaultOptimWrapperConstructor`` whose parameters of the same settings share a group."""

    def add_params(self, params: list[dict], module: nn.Module, prefix: str = "", **kwargs: Any) -> None:
        """Add the groups of a module, in place; once those of the whole model are there, merge them.

        Raises:
            UserError: Two modules share a parameter, without ``bypass_duplicate``.
        """
        super().add_params(params, module, prefix, **kwargs)  # which comes back here for each child, with its name
        if prefix:
            return
        parameters = [parameter for group in params for parameter in group["params"]]
        if len(set(parameters)) < len(parameters):  # torch refuses it in two groups; twice in one, it is stepped twice
            raise UserError(
                "Modules of the model share a parameter: with optim_wrapper.paramwise_cfg.bypass_duplicate=True it has "
                "the settings of the first one."
            )
        merged: list[dict] = []
        for group in params:
            settings = without_parameters(group)
            same = next((other for other in merged if without_parameters(other) == settings), None)
            if same is None:
                merged.append(group)
            else:
                same["params"] += group["params"]
        params[:] = merged


def split_groups(content: dict[str, Any], runner: Runner) -> None:
    """Give a checkpoint of a run one group a parameter, in the order of the model, in place.

    So MMEngine's constructor has it, and it depends on no settings. A single group stays one, as there.
    """
    numbers = _numbers(runner)
    if "optimizer" in content and len(numbers) > 1:
        group_of = {number: position for position, own in enumerate(numbers) for number in own}
        order = sorted(group_of)
        origins, members = [group_of[number] for number in order], [[number] for number in order]
        _regroup(content, origins, members, dict(enumerate(chain(*numbers))))


def merge_groups(content: dict[str, Any], runner: Runner) -> None:
    """Give a checkpoint that has one group a parameter, or a single one of all, the groups of a run, in place.

    A group has the settings that its first parameter had; any other checkpoint, whatever it holds, stays as it is.
    """
    numbers, found = _numbers(runner), content.get("optimizer")
    if not any(numbers) or not isinstance(found, dict) or not isinstance(found.get("state"), dict):
        return
    groups = found.get("param_groups")
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return
    now = {number: position for position, number in enumerate(chain(*numbers))}
    former, order = [group.get("params") for group in groups], sorted(now)
    if not all(isinstance(own, list) and all(isinstance(number, int) for number in own) for own in former):
        return
    if former == [[number] for number in order]:
        origins = [min(own, default=0) for own in numbers]
    elif former == [order] and len(numbers) > 1:
        origins = [0] * len(numbers)
    else:
        return
    _regroup(content, origins, [[now[number] for number in own] for own in numbers], now)


def without_parameters(group: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a parameter group."""
    return {name: value for name, value in group.items() if name != "params"}


def _numbers(runner: Runner) -> list[list[int]]:
    """Of the parameters of each group of a run: their numbers among all that its optimizer has, in the model's order.

    None without an optimizer, or with several.
    """
    if not isinstance(runner.optim_wrapper, OptimWrapper):
        return []
    groups = [group["params"] for group in runner.optim_wrapper.optimizer.param_groups]
    trained = dict.fromkeys(chain(*groups))
    order = [parameter for parameter in unwrapped(runner.model).parameters() if parameter in trained]
    number_of = {parameter: number for number, parameter in enumerate(dict.fromkeys([*order, *trained]))}
    return [[number_of[parameter] for parameter in group] for group in groups]


def _regroup(
    content: dict[str, Any], origins: list[int], members: list[list[int]], number_of: Mapping[int, int]
) -> None:
    """Give a checkpoint other groups, in place.

    Args:
        content: Of the checkpoint.
        origins: Of each new group: place of the former one that it has its settings from.
        members: Of each new group: numbers of its parameters.
        number_of: Former number of a parameter → its new one.
    """
    found = content["optimizer"]
    former = found["param_groups"]
    content["optimizer"] = new = dict(found)
    new["state"] = {number_of.get(number, number): kept for number, kept in found["state"].items()}
    new["param_groups"] = [{**former[origin], "params": own} for origin, own in zip(origins, members, strict=True)]
    # With several groups, MMEngine schedules the optimizer's own settings as one more, the last.
    if len(origins) == 1:
        new.pop("base_param_settings", None)
    else:
        if len(former) == 1:
            new["base_param_settings"] = {**former[0], "params": torch.zeros(1)}
        origins = [*origins, -1]
    schedules = content.get("param_schedulers")
    for schedule in schedules if isinstance(schedules, list) else ():
        for name in _OF_EACH_GROUP:
            values = schedule.get(name) if isinstance(schedule, dict) else None
            if isinstance(values, list) and len(values) == len(former) + (len(former) > 1):
                schedule[name] = [values[origin] for origin in origins]
