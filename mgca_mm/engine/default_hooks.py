"""Hooks of every run, also of another library's config, beside MMEngine's own default hooks."""

import functools
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from .config_files import CONFIGS

_OF_MMENGINE = {"runtime_info", "timer", "sampler_seed", "logger", "param_scheduler", "checkpoint"}


@functools.cache
def our_hooks() -> dict[str, dict]:
    """Default hooks of our configs that MMEngine's runner does not have."""
    hooks = Config.fromfile(CONFIGS / "_base_" / "default_runtime.py").default_hooks.to_dict()
    return {name: hook for name, hook in hooks.items() if name not in _OF_MMENGINE}


def with_our_hooks(hooks: Mapping[str, Any] | None) -> dict[str, Any]:
    """``default_hooks`` of a config, and ours: what it says of one of them is added to that one, None takes it away."""
    hooks = dict(hooks or {})
    ours = {}
    for name, default in our_hooks().items():
        hook = hooks.pop(name, default)
        ours[name] = {**default, **hook} if isinstance(hook, Mapping) else hook
    return hooks | ours
