"""Training by epochs that goes on where it was interrupted."""

from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop
from torch import nn

from mgca_mm.datasets.samplers import ReproducibleSampler
from mgca_mm.errors import UserError
from mgca_mm.registry import LOOPS

# Of the message hub, which travels in checkpoints.
VALIDATED = "validated_epoch"
_BATCHES = "batches_per_epoch"
_BATCH_SIZE = "global_batch_size"


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
        self._require_same_batches()
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

    def _require_same_batches(self) -> None:
        """Look whether the batches are those of the run that is resumed.

        Raises:
            UserError: They are not, and the run stands in the middle of an epoch.
        """
        info, batches = self.runner.message_hub.runtime_info, len(self.dataloader)
        size = getattr(self.dataloader.batch_sampler, "batch_size", 1) * get_world_size()
        former, former_size = info.get(_BATCHES, batches), info.get(_BATCH_SIZE, size)
        if (former, former_size) != (batches, size):
            change = f"{former} batches of {former_size} samples an epoch before, {batches} of {size} now"
            if self._iter != self._epoch * former:
                raise UserError(
                    f"The checkpoint stands in the middle of an epoch, which has other batches now: {change}.\nResume "
                    f"with train_dataloader.batch_size × ranks = {former_size} and the same data, or from the "
                    "checkpoint of an epoch: --resume FILE"
                )
            self.runner.logger.warning(f"The epochs have other batches than those of the run that is resumed: {change}")
            self._iter = self._epoch * batches
        self.runner.message_hub.update_info(_BATCHES, batches)
        self.runner.message_hub.update_info(_BATCH_SIZE, size)

    def _validate(self) -> None:
        """Validate, unless it was done already or is not due after this epoch."""
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        info = self.runner.message_hub.runtime_info
        if self.runner.val_loop is None or self._epoch < self.val_begin or not due:
            return
        if info.get(VALIDATED) != self._epoch:
            self.runner.message_hub.update_info(VALIDATED, self._epoch)
            self.runner.val_loop.run()
