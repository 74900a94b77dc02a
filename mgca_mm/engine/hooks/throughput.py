"""Images per second in the training log."""

import time

from mmengine.dist import get_world_size
from mmengine.hooks import Hook

from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class ThroughputHook(Hook):
    """Logs ``images_per_s``: images of all ranks, data loading included, from one iteration's end to the next's."""

    _last_end: float | None = None

    def before_train_epoch(self, runner) -> None:
        """Validation and checkpoints between epochs do not count."""
        self._last_end = None

    def after_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None, outputs=None) -> None:
        """Add the iteration's rate to the log."""
        now = time.perf_counter()
        if self._last_end is not None:
            images = len(data_batch["data_samples"]) * get_world_size()
            runner.message_hub.update_scalar("train/images_per_s", images / (now - self._last_end))
        self._last_end = now
