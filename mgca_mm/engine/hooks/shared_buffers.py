"""One model on all ranks in validation and test."""

from mmengine.dist import broadcast
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class SharedBuffersHook(Hook):
    """Gives all ranks the first one's buffers before they evaluate.

    Running statistics of a batch norm that is not synchronized differ between the ranks. A checkpoint has the first
    rank's, so that is the model to evaluate, also where a run was resumed. Training does not read them. The mean of the
    ranks, which MMEngine's ``SyncBuffersHook`` takes, would be another after a resume, where all begin with the same.
    """

    priority = "LOWEST"  # after an average of the weights has taken their place

    def before_val_epoch(self, runner: Runner) -> None:
        """Broadcast the buffers of the first rank."""
        for buffer in runner.model.buffers():
            broadcast(buffer)

    before_test_epoch = before_val_epoch
