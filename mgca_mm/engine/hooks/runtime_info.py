"""Losses in the log without a wait for the device at every iteration."""

import torch
from mmengine.hooks import LoggerHook, RuntimeInfoHook

from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class DeferredRuntimeInfoHook(RuntimeInfoHook):
    """``RuntimeInfoHook`` that reads the losses from the device once for each line of the log.

    MMEngine's own hook converts every logged scalar at every iteration, and each conversion waits until the GPU has
    finished: the GPU then idles while the next step is prepared. Here the tensors are kept and read together where the
    logger needs them, at the end of an epoch, and before a checkpoint is written. The log is the same.
    """

    def __init__(self):
        self._pending: list[tuple[str, torch.Tensor]] = []
        self._interval = 1

    def before_train(self, runner) -> None:
        """Find the logging interval."""
        super().before_train(runner)
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval = min(intervals, default=50)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        """Keep the iteration's scalars; hand all over where a line of the log is due."""
        if outputs is not None:
            self._pending += [(key, torch.as_tensor(value).detach()) for key, value in outputs.items()]
        if (
            self.is_last_train_iter(runner)
            or self.every_n_inner_iters(batch_idx, self._interval)
            or self.end_of_epoch(runner.train_dataloader, batch_idx)
        ):
            self._flush(runner)

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Complete the history of the losses in a checkpoint that is written between two lines of the log."""
        if self._pending:
            self._flush(runner)
            checkpoint["message_hub"] = runner.message_hub.state_dict()

    def _flush(self, runner) -> None:
        """Hand the kept scalars to the message hub, in order, after a single copy from the device."""
        values = torch.stack([value.double() for _, value in self._pending]).tolist() if self._pending else []
        for (key, _), value in zip(self._pending, values, strict=True):
            runner.message_hub.update_scalar(f"train/{key}", value)
        self._pending.clear()
