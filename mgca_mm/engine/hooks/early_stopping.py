"""Early stopping that a resumed run goes on with."""

from mmengine.hooks import EarlyStoppingHook
from mmengine.runner import Runner

from mgca_mm.errors import require_not_negative


class ResumableEarlyStoppingHook(EarlyStoppingHook):
    """``EarlyStoppingHook`` with its state in checkpoints.

    :func:`mgca_mm.engine.install` puts it in the place of MMEngine's, which counts from zero after a resume, and trains
    on after a stop. Here a run that has stopped stays so, unless its ``patience`` is another one now.
    """

    priority = "LOW"  # Before the hook that saves what was decided.

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        require_not_negative(patience=self.patience)
        self._key = f"early_stopping_{self.monitor}"

    def before_train(self, runner: Runner) -> None:
        """Go on from what the checkpoint says."""
        state = runner.message_hub.get_info(self._key)
        if state is not None:
            self.wait_count, self.best_score = state["wait_count"], state["best_score"]
            runner.train_loop.stop_training = state["stopped"] and state["patience"] == self.patience

    def after_val_epoch(self, runner: Runner, metrics: dict) -> None:
        """Decide, and leave what was decided to the checkpoint."""
        super().after_val_epoch(runner, metrics)
        if runner.train_loop.stop_training:
            runner.logger.info(f"{self.monitor} is no better after {self.wait_count} validations: training stops")
        state = dict(wait_count=self.wait_count, best_score=self.best_score, patience=self.patience)
        runner.message_hub.update_info(self._key, state | dict(stopped=runner.train_loop.stop_training))
