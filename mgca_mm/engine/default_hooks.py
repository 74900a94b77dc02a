"""Hooks of every run, also of another library's config, beside MMEngine's own default hooks."""

from collections.abc import Mapping
from typing import Any

OUR_HOOKS = dict(
    step_seed=dict(type="mgca_mm.StepSeedHook"),
    shared_buffers=dict(type="mgca_mm.SharedBuffersHook"),
    waiting_gradients=dict(type="mgca_mm.WaitingGradientsHook"),
    non_finite=dict(type="mgca_mm.NonFiniteGuardHook"),
    broken_samples=dict(type="mgca_mm.BrokenSamplesHook"),
    plain_checkpoint=dict(type="mgca_mm.PlainCheckpointHook"),
    termination=dict(type="mgca_mm.TerminationHook"),
)


def with_our_hooks(hooks: Mapping[str, Any] | None) -> dict[str, Any]:
    """``default_hooks`` of a config, and ours: what it says of one of them is added to that one, None takes it away."""
    hooks = dict(hooks or {})
    ours = {}
    for name, default in OUR_HOOKS.items():
        hook = hooks.pop(name, default)
        ours[name] = {**default, **hook} if isinstance(hook, Mapping) else hook
    return hooks | ours
