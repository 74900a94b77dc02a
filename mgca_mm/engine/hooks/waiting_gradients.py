"""Gradients that wait for their step, in checkpoints."""

from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mgca_mm.distributed import unwrapped
from mgca_mm.registry import HOOKS

WAITING = "waiting_gradients"  # in a checkpoint


@HOOKS.register_module()
class WaitingGradientsHook(Hook):
    """Saves what ``accumulative_counts`` has gathered where a checkpoint falls between two steps, and restores it.

    So it is at the end of an epoch whose iterations are no multiple of the count.
    """

    def __init__(self):
        self._loaded: dict = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the gradients, if any wait."""
        if "optimizer" in checkpoint and gradients_wait(runner):
            gradients = {name: p.grad.cpu() for name, p in _parameters(runner) if p.grad is not None}
            checkpoint[WAITING] = dict(gradients=gradients, place=_place(runner))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep them until the model and the optimizer are resumed."""
        self._loaded = checkpoint.get(WAITING, {})

    def before_train(self, runner: Runner) -> None:
        """Give them back, if the run goes on between the same two steps."""
        loaded, self._loaded = self._loaded, {}
        if not loaded or not gradients_wait(runner) or list(loaded["place"]) != _place(runner):
            return
        for name, parameter in _parameters(runner):
            if name in loaded["gradients"]:
                parameter.grad = loaded["gradients"][name].to(parameter)
        runner.logger.info("The gradients of the iterations since the last step are restored")


def average_waiting_gradients(runner: Runner) -> None:
    """Average over the ranks what each of them has gathered, before one of them saves it.

    In the run itself as well, so that it stays equal to one that is resumed; the step averages in any case.
    """
    if gradients_wait(runner):
        for _, parameter in _parameters(runner):
            if parameter.grad is not None:
                all_reduce(parameter.grad, "mean")


def gradients_wait(runner: Runner) -> bool:
    """Whether iterations have gathered gradients for a step that has not been taken."""
    wrapper = runner.optim_wrapper
    return isinstance(wrapper, OptimWrapper) and not wrapper.should_update()


def _place(runner: Runner) -> list[int]:
    """Iterations so far, and how many make a step."""
    return [runner.optim_wrapper.inner_count, runner.optim_wrapper._accumulative_counts]


def _parameters(runner: Runner) -> list[tuple[str, nn.Parameter]]:
    return list(unwrapped(runner.model).named_parameters())
