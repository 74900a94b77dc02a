"""How many samples all ranks together have skipped."""

from collections.abc import Iterator

from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import Dataset

from mgca_mm.datasets.broken_samples import StrictDataset
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
        self._datasets: list[StrictDataset] = []

    def before_train(self, runner: Runner) -> None:
        """Find the data sets that skip."""
        self._datasets = [part for part in _parts(runner.train_dataloader.dataset) if part.on_error == "skip"]

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Exchange, now and then."""
        if self.every_n_train_iters(runner, self.interval):
            self._exchange()

    def after_train_epoch(self, runner: Runner) -> None:
        """Exchange."""
        self._exchange()

    def _exchange(self) -> None:
        for dataset in self._datasets:
            dataset.exchange_broken()


def _parts(dataset: Dataset) -> Iterator[StrictDataset]:
    """Our data sets within MMEngine's wrappers."""
    if isinstance(dataset, StrictDataset):
        yield dataset
    for part in getattr(dataset, "datasets", [getattr(dataset, "dataset", None)]):
        if part is not None:
            yield from _parts(part)
