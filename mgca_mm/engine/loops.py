"""Training by epochs that goes on where it was interrupted."""

from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mgca_mm.datasets.samplers import ReproducibleSampler
from mgca_mm.registry import LOOPS

_VALIDATED = "validated_epoch"  # of the message hub, which travels in checkpoints


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resumes in the middle of an epoch, with the samples that are left of it.

    MMEngine would begin the epoch anew. A validation that the interruption has prevented is made up for.

    Args:
        **kwargs: As in :class:`mmengine.runner.EpochBasedTrainLoop`. The loader needs a :class:`ReproducibleSampler`
            for an epoch to be resumed.
    """

    def run(self) -> nn.Module:
        """Train."""
        self.runner.call_hook("before_train")
        if self._epoch > 0 and self._iter == self._epoch * len(self.dataloader):
            self._validate()
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            self._validate()
        self.runner.call_hook("after_train")
        return self.runner.model

    def run_epoch(self) -> None:
        """Train for what is left of the epoch."""
        done = self._iter - self._epoch * len(self.dataloader)
        if not 0 <= done <= len(self.dataloader):
            done = 0  # the epoch has another number of iterations than when it was interrupted
        sampler = self.dataloader.sampler
        if done > 0 and isinstance(sampler, ReproducibleSampler):
            sampler.start = done * self.dataloader.batch_size
        elif done > 0:
            self.runner.logger.warning(
                f"{done} iterations of this epoch are done again: {type(sampler).__name__} always starts at its "
                "beginning. Use train_dataloader.sampler.type='ReproducibleSampler'."
            )
            self._iter, done = self._iter - done, 0
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _validate(self) -> None:
        """Validate, unless it was done already or is not due after this epoch."""
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        info = self.runner.message_hub.runtime_info
        if self.runner.val_loop is None or self._epoch < self.val_begin or not due:
            return
        if info.get(_VALIDATED) != self._epoch:
            self.runner.message_hub.update_info(_VALIDATED, self._epoch)
            self.runner.val_loop.run()
