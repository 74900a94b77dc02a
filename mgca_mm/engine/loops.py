"""Training loops that go on where they were interrupted."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner
from torch import nn
from torch.utils.data import DataLoader

from mgca_mm.errors import require_positive
from mgca_mm.registry import LOOPS

# Of the message hub, which travels in checkpoints: the iteration after which the last validation was done.
VALIDATED = "last_validation"


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resumes in the middle of an epoch, with the samples that are left of it.

    MMEngine would begin the epoch anew. A validation that the interruption has prevented is made up for.

    Args:
        runner: The runner.
        dataloader: Loader or its config.
        max_epochs: Epochs in all.
        val_interval: Epochs between validations.
        **kwargs: As in :class:`mmengine.runner.EpochBasedTrainLoop`. The loader needs a :class:`ReproducibleSampler`
            for an epoch to be resumed; :class:`mgca_mm.engine.resume.Resumption` begins it anew otherwise.
    """

    def __init__(self, runner: Runner, dataloader: DataLoader | dict, max_epochs: int, val_interval: int = 1, **kwargs):
        require_positive(max_epochs=max_epochs, val_interval=val_interval)
        super().__init__(runner, dataloader, max_epochs, val_interval=val_interval, **kwargs)

    def run(self) -> nn.Module:
        """Train for the epochs that are left."""
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
        if done > 0:
            self.dataloader.sampler.start = done * self.dataloader.batch_size
        self.runner.call_hook("before_train_epoch")
        self.runner.model.train()
        for idx, data_batch in enumerate(self.dataloader, start=done):
            self.run_iter(idx, data_batch)
        self.runner.call_hook("after_train_epoch")
        self._epoch += 1

    def _validate(self) -> None:
        """Validate, if this is due after this epoch."""
        self._decide_current_val_interval()
        due = self._epoch % self.val_interval == 0 or self._epoch == self._max_epochs
        if self._epoch >= self.val_begin and due:
            validate_once(self)


@LOOPS.register_module()
class ResumableIterTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that makes up for a validation that an interruption has prevented.

    Args:
        runner: The runner.
        dataloader: Loader or its config.
        max_iters: Iterations in all.
        val_interval: Iterations between validations.
        **kwargs: As in :class:`mmengine.runner.IterBasedTrainLoop`.
    """

    def __init__(
        self, runner: Runner, dataloader: DataLoader | dict, max_iters: int, val_interval: int = 1000, **kwargs
    ):
        require_positive(max_iters=max_iters, val_interval=val_interval)
        super().__init__(runner, dataloader, max_iters, val_interval=val_interval, **kwargs)

    def run(self) -> nn.Module:
        """Train for the iterations that are left."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")  # to the hooks, all of it is one epoch
        if not self.fast_forward_on_resume:
            self.dataloader_iterator.skip_iter(self._iter)
        if self._iter > 0:
            self._validate()
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            self._validate()
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model

    def _validate(self) -> None:
        """Validate, if this is due after this iteration."""
        self._decide_current_val_interval()
        due = self._iter % self.val_interval == 0 or self._iter == self._max_iters
        if self._iter >= self.val_begin and due:
            validate_once(self)


def validate_once(loop: EpochBasedTrainLoop | IterBasedTrainLoop) -> None:
    """Validate, unless there is no validation or it was done before the run was interrupted."""
    runner = loop.runner
    if runner.val_loop is not None and runner.message_hub.get_info(VALIDATED) != loop.iter:
        runner.message_hub.update_info(VALIDATED, loop.iter)
        runner.val_loop.run()
