"""MMEngine's runner, which writes down no paths and resumes from what is whole."""

import signal
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.logging import MMLogger
from mmengine.model import is_model_wrapper
from mmengine.runner import BaseLoop, Runner
from torch import nn

from mgca_mm.checkpoints.reading import read_checkpoint
from mgca_mm.checkpoints.schemes import is_trusted
from mgca_mm.checkpoints.writing import is_whole, newest_first
from mgca_mm.datasets.seeding import seed_sample
from mgca_mm.errors import UserError
from mgca_mm.registry import RUNNERS

from .privacy import PathFilter, without_paths


@RUNNERS.register_module()
class PrivateRunner(Runner):
    """``Runner`` whose log, config dump and event files name no folder, and which resumes from whole checkpoints only.

    MMEngine writes the whole config into all of them and into each checkpoint. Here it is the one of
    :func:`mgca_mm.engine.privacy.without_paths`; what is built is built from the paths as they are. MMEngine resumes
    from the file that ``last_checkpoint`` names, whatever it holds.

    Args:
        *args: As in :class:`mmengine.runner.Runner`.
        cfg: The config that is written down.
        **kwargs: As in :class:`mmengine.runner.Runner`.
    """

    def __init__(self, *args, cfg: Config | dict | None = None, **kwargs):
        shown, paths = without_paths(cfg if isinstance(cfg, Config) else Config(cfg or {}))
        self._path_filter = PathFilter(paths)
        super().__init__(*args, cfg=shown, **kwargs)

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """The logger, with its messages freed of paths."""
        logger = super().build_logger(*args, **kwargs)
        logger.addFilter(self._path_filter)
        return logger

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """The loop, with samples whose augmentation depends on (seed, epoch, sample) alone."""
        loop = super().build_train_loop(loop)
        pipeline = getattr(loop.dataloader.dataset, "pipeline", None)
        if isinstance(pipeline, Compose):
            pipeline.transforms.insert(0, seed_sample)
        return loop

    def train(self) -> nn.Module:
        """Train; SIGTERM means afterwards what it meant before, also if an error has ended the training."""
        former = signal.getsignal(signal.SIGTERM)
        try:
            return super().train()
        finally:
            signal.signal(signal.SIGTERM, former)

    def load_or_resume(self) -> None:
        """Resume from the newest checkpoint of the work dir that is whole and of this model, or from the one named.

        Raises:
            UserError: If the one named is not.
        """
        if self._has_loaded or not self._resume:
            return super().load_or_resume()
        if self._load_from is not None:
            fault = self._fault(self._load_from)
            if fault:
                raise UserError(f"Checkpoint '{self._load_from}' cannot be resumed from: {fault}")
            chosen = self._load_from
        else:
            chosen = self._newest_usable()
        if chosen is None:
            self.logger.warning(
                "There is no checkpoint in the work dir to resume from: training starts at the beginning"
            )
            return None
        self.resume(str(chosen))
        self._has_loaded = True
        return None

    def _newest_usable(self) -> Path | None:
        for path in newest_first(self.work_dir):
            fault = self._fault(path)
            if fault is None:
                self.logger.info(f"Resuming from {path.name}")
                return path
            self.logger.warning(f"{path.name} is passed over: {fault}")
        return None

    def _fault(self, path: str | Path) -> str | None:
        """Why a checkpoint cannot be resumed from, None if it can."""
        try:
            if not is_whole(path):
                return "it is damaged (its checksum is another than when it was written)"
            content = read_checkpoint(path, trust=is_trusted())
        except (UserError, OSError) as error:
            return str(error)
        for part in ("meta", "state_dict", "optimizer", "param_schedulers", "message_hub"):
            if not isinstance(content.get(part), dict | list):
                return f"it has no '{part}'; start from its weights instead: --cfg-options load_from=FILE"
        model = self.model.module if is_model_wrapper(self.model) else self.model
        shapes = {name: value.shape for name, value in model.state_dict().items() if hasattr(value, "shape")}
        found = {name: value.shape for name, value in content["state_dict"].items() if hasattr(value, "shape")}
        different = [name for name in shapes.keys() | found.keys() if shapes.get(name) != found.get(name)]
        if different:
            return f"it is of another model: {len(different)} of {len(shapes)} tensors differ, such as {min(different)}"
        return None
