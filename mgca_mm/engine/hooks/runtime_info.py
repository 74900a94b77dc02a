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
        self._pending: list[dict[str, torch.Tensor]] = []
        self._interval = 1

    def before_train(self, runner) -> None:
        """Find the logging interval."""
        super().before_train(runner)
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        self._interval = min(intervals, default=50)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        """Keep the iteration's scalars; hand all over where a line of the log is due."""
        if outputs is not None:
            self._pending.append({key: torch.as_tensor(value).detach() for key, value in outputs.items()})
        is_last = runner.iter + 1 == runner.max_iters
        if (
            is_last
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
        tensors = [value.double() for scalars in self._pending for value in scalars.values()]
        values = iter(torch.stack(tensors).tolist() if tensors else [])
        for scalars in self._pending:
            for key in scalars:
                runner.message_hub.update_scalar(f"train/{key}", next(values))
        self._pending.clear()
