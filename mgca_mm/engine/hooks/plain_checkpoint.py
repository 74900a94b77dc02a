"""Checkpoints of tensors and plain data only."""

from mmengine.hooks import Hook

from mgca_mm.checkpoints.plain import from_plain, to_plain
from mgca_mm.distributed import unwrapped
from mgca_mm.engine.param_groups import merge_groups, split_groups
from mgca_mm.models.data_preprocessor import ImageReportDataPreprocessor
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class PlainCheckpointHook(Hook):
    """Reduces what is saved to tensors and plain data, without config text and paths, and restores it on resume.

    The optimizer is saved with one group a parameter, whatever groups the run has.
    """

    priority = "LOWEST"  # After every hook that adds something to a checkpoint.

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Reduce a checkpoint to tensors and plain data, and say how its encoder's images are normalized."""
        preprocessor = getattr(unwrapped(runner.model), "data_preprocessor", None)
        if isinstance(preprocessor, ImageReportDataPreprocessor):
            levels = {name: [float(getattr(preprocessor, name))] * 3 for name in ("mean", "std")}
            checkpoint["meta"]["data_preprocessor"] = levels
        to_plain(checkpoint)
        split_groups(checkpoint, runner)

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Restore what was reduced, for the run to resume from."""
        from_plain(checkpoint, runner.work_dir)
        merge_groups(checkpoint, runner)
