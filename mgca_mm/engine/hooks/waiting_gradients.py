"""Gradients that wait for their step, in checkpoints."""

import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mgca_mm.distributed import unwrapped
from mgca_mm.registry import HOOKS

_KEY = "waiting_gradients"


@HOOKS.register_module()
class WaitingGradientsHook(Hook):
    """Saves what ``accumulative_counts`` has gathered where a checkpoint falls between two steps, and restores it.

    So it is at the end of an epoch whose iterations are no multiple of the count. Each rank has gathered gradients of
    its own; they are averaged over the ranks when they are saved, in the run itself as well, so that it stays equal to
    one that is resumed. The step averages over the ranks in any case.
    """

    def __init__(self):
        self._loaded: dict[str, Tensor] = {}

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Add the gradients, if any wait."""
        wrapper = runner.optim_wrapper
        if "optimizer" not in checkpoint or not isinstance(wrapper, OptimWrapper) or wrapper.should_update():
            return
        waiting = {name: p.grad for name, p in _parameters(runner) if p.grad is not None}
        if get_world_size() > 1:
            for gradient in waiting.values():
                dist.all_reduce(gradient)
                gradient /= get_world_size()
        checkpoint[_KEY] = {name: gradient.cpu() for name, gradient in waiting.items()}

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Keep them until the model and the optimiser are resumed."""
        self._loaded = checkpoint.get(_KEY, {})

    def before_train(self, runner: Runner) -> None:
        """Give them back, where the run goes on between two steps."""
        loaded, self._loaded = self._loaded, {}
        wrapper = runner.optim_wrapper
        if not loaded or not isinstance(wrapper, OptimWrapper) or wrapper.should_update():
            return
        for name, parameter in _parameters(runner):
            if name in loaded:
                parameter.grad = loaded[name].to(parameter)
        runner.logger.info(f"{len(loaded)} gradients of the iterations since the last step are restored")


def _parameters(runner: Runner) -> list[tuple[str, nn.Parameter]]:
    return list(unwrapped(runner.model).named_parameters())
