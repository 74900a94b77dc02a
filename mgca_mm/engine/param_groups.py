"""The optimiser's parameter groups: one for each set of settings, also where a checkpoint has one for each parameter.

MMEngine makes one a parameter under ``paramwise_cfg``, and an optimiser launches its kernels group by group.
"""

from collections.abc import Mapping
from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError
from mgca_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS

# Of a scheduler's state: a number for each group, and after them one for the optimiser's ``base_param_settings``.
_OF_EACH_GROUP = ("base_values", "_last_value", "min_values")


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedGroupsOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """``DefaultOptimWrapperConstructor`` whose parameters of the same settings share a group.

    Args:
        optim_wrapper_cfg: As in :class:`mmengine.optim.DefaultOptimWrapperConstructor`.
        paramwise_cfg: Likewise. None: all parameters are one group, as there.
    """

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


def merge_groups(content: dict[str, Any], runner: Runner) -> None:
    """Give a checkpoint that has one group a parameter the groups of a run, in place.

    State is kept by the number of a parameter: there in the order of the model, here in that of the groups. Any other
    checkpoint stays as it is, also one of which the settings within a group of the run differ.

    Args:
        content: Of a checkpoint, whatever it holds.
        runner: With its model and, where it trains, its optimiser.
    """
    wrapper, found = runner.optim_wrapper, content.get("optimizer")
    if not isinstance(wrapper, OptimWrapper) or not isinstance(found, dict) or not isinstance(found.get("state"), dict):
        return
    groups, numbers = found.get("param_groups"), _former_numbers(wrapper, unwrapped(runner.model))
    in_order = [number for members in numbers for number in members]
    if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
        return
    if not _are_equal([group.get("params") for group in groups], [[number] for number in sorted(in_order)]):
        return
    settings = [without_parameters(group) for group in groups]
    if not all(_are_equal(settings[number], settings[members[0]]) for members in numbers for number in members):
        return
    now = {number: position for position, number in enumerate(in_order)}
    content["optimizer"] = merged = dict(found)
    merged["state"] = {now.get(number, number): kept for number, kept in found["state"].items()}
    merged["param_groups"] = [{**settings[own[0]], "params": [now[number] for number in own]} for own in numbers]
    firsts = [own[0] for own in numbers]
    if wrapper.base_param_settings is None:  # a single group, which has no need of them
        merged.pop("base_param_settings", None)
    else:
        firsts.append(len(groups))
    schedules = content.get("param_schedulers")
    for schedule in schedules if isinstance(schedules, list) else ():
        for name in _OF_EACH_GROUP:
            values = schedule.get(name) if isinstance(schedule, dict) else None
            if isinstance(values, list) and len(values) == len(groups) + 1:
                schedule[name] = [values[first] for first in firsts]


def without_parameters(group: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a parameter group."""
    return {name: value for name, value in group.items() if name != "params"}


def _former_numbers(wrapper: OptimWrapper, model: nn.Module) -> list[list[int]]:
    """Of the parameters of each group: their numbers in the order in which MMEngine's constructor comes to them."""
    groups = [group["params"] for group in wrapper.optimizer.param_groups]
    trained = dict.fromkeys(parameter for group in groups for parameter in group)
    order = dict.fromkeys([*(parameter for parameter in model.parameters() if parameter in trained), *trained])
    number_of = {parameter: number for number, parameter in enumerate(order)}
    return [[number_of[parameter] for parameter in group] for group in groups if group]


def _are_equal(one: Any, other: Any) -> bool:
    """Whether two values of a checkpoint are equal, where that can be said at all."""
    try:
        return one == other
    except (RuntimeError, ValueError):  # arrays, or lists nested too deep
        return False
