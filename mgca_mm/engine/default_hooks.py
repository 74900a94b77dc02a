"""Hooks of every run, also of another library's config, beside MMEngine's own default hooks."""

# Name among default_hooks → config. A config changes one under its name.
DEFAULT_HOOKS = dict(
    step_seed=dict(type="mgca_mm.StepSeedHook"),
    shared_buffers=dict(type="mgca_mm.SharedBuffersHook"),
    waiting_gradients=dict(type="mgca_mm.WaitingGradientsHook"),
    non_finite=dict(type="mgca_mm.NonFiniteGuardHook"),
    broken_samples=dict(type="mgca_mm.BrokenSamplesHook"),
    plain_checkpoint=dict(type="mgca_mm.PlainCheckpointHook"),
    termination=dict(type="mgca_mm.TerminationHook"),
)
