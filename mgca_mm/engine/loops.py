"""Training loops that go on where they were interrupted."""

from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop
from torch import nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import LOOPS

# Of the message hub, which travels in checkpoints: the iteration after which the last validation was done.
VALIDATED = "last_validation"


@LOOPS.register_module()
class ResumableTrainLoop(EpochBasedTrainLoop):
    """``EpochBasedTrainLoop`` that resumes in the middle of an epoch, with the samples that are left of it.

    MMEngine would begin the epoch anew. A validation that the interruption has prevented is made up for. The loader
    needs a :class:`ReproducibleSampler`; :class:`mgca_mm.engine.resume.Resumption` begins the epoch anew otherwise.
    Arguments are MMEngine's; ``max_epochs`` and ``val_interval`` count epochs.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        require_positive(max_epochs=self.max_epochs, val_interval=self.val_interval)

    def run(self) -> nn.Module:
        """Train for the epochs that are left."""
        self.runner.call_hook("before_train")
        if self._epoch > 0 and self._iter == self._epoch * len(self.dataloader):
            _validate_if_due(self, self._epoch, self._max_epochs)
        while self._epoch < self._max_epochs and not self.stop_training:
            self.run_epoch()
            _validate_if_due(self, self._epoch, self._max_epochs)
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


@LOOPS.register_module()
class ResumableIterTrainLoop(IterBasedTrainLoop):
    """``IterBasedTrainLoop`` that makes up for a validation that an interruption has prevented.

    Arguments are MMEngine's; ``max_iters`` and ``val_interval`` count iterations.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        require_positive(max_iters=self.max_iters, val_interval=self.val_interval)

    def run(self) -> nn.Module:
        """Train for the iterations that are left."""
        self.runner.call_hook("before_train")
        self.runner.call_hook("before_train_epoch")  # to the hooks, all of it is one epoch
        if not self.fast_forward_on_resume:
            self.dataloader_iterator.skip_iter(self._iter)
        if self._iter > 0:
            _validate_if_due(self, self._iter, self._max_iters)
        while self._iter < self._max_iters and not self.stop_training:
            self.runner.model.train()
            self.run_iter(next(self.dataloader_iterator))
            _validate_if_due(self, self._iter, self._max_iters)
        self.runner.call_hook("after_train_epoch")
        self.runner.call_hook("after_train")
        return self.runner.model


def _validate_if_due(loop: EpochBasedTrainLoop | IterBasedTrainLoop, done: int, end: int) -> None:
    """Validate after so many epochs or iterations, unless there is no validation or an interrupted run has done it."""
    loop._decide_current_val_interval()
    due = done >= loop.val_begin and (done % loop.val_interval == 0 or done == end)
    runner = loop.runner
    if due and runner.val_loop is not None and runner.message_hub.get_info(VALIDATED) != loop.iter:
        runner.message_hub.update_info(VALIDATED, loop.iter)
        runner.val_loop.run()
