"""How many samples all ranks together have skipped."""

from mmengine.hooks import Hook
from mmengine.runner import Runner

from mgca_mm.datasets.broken_samples import strict_parts
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class BrokenSamplesHook(Hook):
    """Tells ranks which samples the others have skipped (``on_error='skip'``), so that at most one in 1,000 is, in all.

    The log, which is that of the first rank, names those of every rank. A run that is resumed counts anew.

    Args:
        interval: Iterations between two exchanges; there is one after each epoch, too.

    Raises:
        ValueError: ``interval`` is below 1.
        UserError: Too many samples are broken, on every rank.
    """

    priority = "LOWEST"  # An epoch is saved before it is found to have skipped too many.

    def __init__(self, interval: int = 50):
        if interval < 1:
            raise ValueError(f"interval must be at least 1, got {interval}")
        self.interval = interval

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Tell the ranks of each other's broken samples every ``interval`` iterations."""
        if self.every_n_train_iters(runner, self.interval):
            _exchange(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Tell the ranks of each other's broken samples at the end of an epoch."""
        _exchange(runner)


def _exchange(runner: Runner) -> None:
    for part in strict_parts(runner.train_dataloader.dataset):
        part.exchange_broken()
