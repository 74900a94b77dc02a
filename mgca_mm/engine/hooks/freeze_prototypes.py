"""Prototypes without gradient at the start of training."""

from mmengine.hooks import Hook

from mgca_mm.distributed import unwrapped
from mgca_mm.errors import require_not_negative
from mgca_mm.models.alignments import PrototypeAlignment
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class FreezePrototypesHook(Hook):
    """Keeps the gradient from every :class:`PrototypeAlignment` during the first epochs (docs/protocol.md#objectives).

    Args:
        num_epochs: How many passes over the data, counted from the first iteration of the run, resumed or not, and
            also where the loop counts iterations instead of epochs.
    """

    def __init__(self, num_epochs: int = 1):
        require_not_negative(num_epochs=num_epochs)
        self.num_epochs = num_epochs

    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        """Set ``frozen`` for the iteration that begins."""
        frozen = runner.iter // len(runner.train_dataloader) < self.num_epochs
        for module in unwrapped(runner.model).modules():
            if isinstance(module, PrototypeAlignment):
                module.frozen = frozen
