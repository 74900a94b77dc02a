"""MMEngine's runner, which writes down no paths and resumes from what is intact."""

import signal
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_gather_object, broadcast_object_list
from mmengine.hooks import CheckpointHook, Hook, LoggerHook
from mmengine.logging import MMLogger
from mmengine.optim import OptimWrapper
from mmengine.runner import BaseLoop, IterBasedTrainLoop, LogProcessor, Runner
from torch import nn
from torch.utils.data import DataLoader

from mgca_mm.checkpoints.reading import read_checkpoint
from mgca_mm.checkpoints.schemes import is_trusted
from mgca_mm.checkpoints.writing import newest_first
from mgca_mm.datasets.seeding import seed_samples
from mgca_mm.datasets.tokenization import tokenize_once
from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError
from mgca_mm.registry import RUNNERS

from .batch import samples_a_rank, scale_learning_rate
from .config_errors import errors_named_by_key
from .config_files import our_hooks, with_our_hooks
from .hooks.progress import ProgressHook
from .hooks.waiting_gradients import average_waiting_gradients
from .installation import install
from .own_classes import follow_classes
from .param_groups import merge_groups
from .pretrained import require_complete_parts
from .privacy import PathFilter, without_paths
from .resumable import SETTINGS_KEY, fault_of
from .resume import Resumption, settings_of
from .screen import prints_in_log, show_little
from .vocabulary import follow_vocabulary
from .work_dir import hold_work_dir

_RESUMABLE = {
    "EpochBasedTrainLoop": "mgca_mm.ResumableTrainLoop",
    "IterBasedTrainLoop": "mgca_mm.ResumableIterTrainLoop",
}


@RUNNERS.register_module()
class PrivateRunner(Runner):
    """``Runner`` whose log, config dump and event files name no folder, and which resumes from intact checkpoints only.

    MMEngine writes the whole config into all of them and into each checkpoint. Here it is the one of
    :func:`mgca_mm.engine.privacy.without_paths`; what is built is built from the paths as they are. MMEngine resumes
    from the file that ``last_checkpoint`` names, whatever it holds. Making one calls :func:`mgca_mm.engine.install`.

    Raises:
        UserError: Something cannot be built as the config says.
    """

    def __init__(self, *args, cfg: Config | dict | None = None, **kwargs):
        install()
        self._full_cfg = cfg if isinstance(cfg, Config) else Config(cfg or {})
        shown, paths = without_paths(self._full_cfg)
        self._path_filter = PathFilter(paths)
        with errors_named_by_key(self._full_cfg):
            super().__init__(*args, cfg=shown, **kwargs)

    @classmethod
    def from_cfg(cls, cfg: Config) -> "PrivateRunner":
        """Build a runner as MMEngine does, its config's classes and vocabulary those of the prepared folder."""
        follow_classes(cfg, required=True)
        follow_vocabulary(cfg)
        return super().from_cfg(cfg)

    def setup_env(self, env_cfg: dict) -> None:
        """Set up processes and libraries; on GPUs also how exactly fp32 matrices are multiplied.

        What autocast does not touch, the losses among them, is multiplied in TF32 (10 bits of mantissa) by
        ``float32_matmul_precision='high'``, as convolutions are in any case; ``'highest'``, torch's default, is fp32.
        """
        super().setup_env(env_cfg)
        if get_device() == "cuda" and "float32_matmul_precision" in env_cfg:
            torch.set_float32_matmul_precision(env_cfg["float32_matmul_precision"])

    def build_logger(self, *args, **kwargs) -> MMLogger:
        """The logger, with its messages freed of paths, and few of them on the screen."""
        logger = super().build_logger(*args, **kwargs)
        show_little(logger)
        logger.addFilter(self._path_filter)
        return logger

    def register_default_hooks(self, hooks: dict[str, Hook | dict | None] | None = None) -> None:
        """Register MMEngine's default hooks and ours, as changed by ``hooks``; None takes one away."""
        hooks = with_our_hooks(hooks)
        super().register_default_hooks({k: v for k, v in hooks.items() if v is not None or k not in our_hooks()})

    @staticmethod
    def build_dataloader(dataloader: DataLoader | dict, *args, **kwargs) -> DataLoader:
        """The loader, which pins memory only where a device takes from it (torch warns elsewhere).

        What its data set prints meanwhile, as pycocotools does, goes to the log file.
        """
        if isinstance(dataloader, dict) and get_device() == "cpu":
            dataloader = {**dataloader, "pin_memory": False}
        with prints_in_log():
            return Runner.build_dataloader(dataloader, *args, **kwargs)

    def build_log_processor(self, log_processor: LogProcessor | dict) -> LogProcessor:
        """The log processor; ours also where the config names none, for which MMEngine would not look it up."""
        if isinstance(log_processor, dict):
            log_processor = {"type": "mmengine.LogProcessor", **log_processor}
        return super().build_log_processor(log_processor)

    def build_train_loop(self, loop: BaseLoop | dict) -> BaseLoop:
        """The loop, with samples whose augmentation depends on (seed, epoch, sample) alone, tokenized in advance.

        Of MMEngine's two loops it is the resumable one.
        """
        is_new = isinstance(loop, dict)  # MMEngine comes here with its own loop, too
        if is_new:
            loop = dict(loop)
            untyped = "EpochBasedTrainLoop" if loop.pop("by_epoch", True) else "IterBasedTrainLoop"
            kind = loop.get("type", untyped)
            loop["type"] = _RESUMABLE.get(kind, kind)
        with errors_named_by_key(self._full_cfg):
            built = super().build_train_loop(loop)
        if is_new and len(built.dataloader) == 0:
            fitting = {"batch_size": samples_a_rank(built.dataloader)}
            self._train_dataloader.update(fitting)
            self.cfg.get("train_dataloader", {}).update(fitting)  # which is written down
            built = super().build_train_loop(loop)
        loop = built
        if isinstance(loop, IterBasedTrainLoop):
            for hook in self.hooks:
                if isinstance(hook, LoggerHook):
                    hook.log_metric_by_epoch = False  # its epoch is 0 throughout
        seed_samples(loop.dataloader.dataset)
        if is_new:
            tokenize_once(loop.dataloader.dataset)
        return loop

    def train(self) -> nn.Module:
        """Train; SIGTERM means afterwards what it meant before, also if an error has ended the training.

        Raises:
            UserError: Another training writes into the work dir, or something cannot be built as the config says.
        """
        former = signal.getsignal(signal.SIGTERM)
        try:
            with hold_work_dir(self.work_dir), errors_named_by_key(self._full_cfg):
                super().dump_config()
                return super().train()
        finally:
            self._close_bars()
            signal.signal(signal.SIGTERM, former)

    def test(self) -> dict:
        """Test the model and return the metrics.

        Raises:
            UserError: Something cannot be built as the config says.
        """
        try:
            with errors_named_by_key(self._full_cfg):
                return super().test()
        finally:
            self._close_bars()

    def dump_config(self) -> None:
        """Do nothing: :meth:`train` writes it, so that the config beside checkpoints is that of their training."""

    def scale_lr(self, optim_wrapper: OptimWrapper, auto_scale_lr: dict | None = None) -> None:
        """Scale the learning rate as ``auto_scale_lr`` says, accumulated iterations counted, and say what a step is."""
        scale_learning_rate(self)

    def _close_bars(self) -> None:
        """Leave the terminal clean, also to the message of an error."""
        for hook in self.hooks:
            if isinstance(hook, ProgressHook):
                hook.close()

    def _init_model_weights(self) -> None:
        with errors_named_by_key(self._full_cfg):
            super()._init_model_weights()

    def load_or_resume(self) -> None:
        """Resume from the newest checkpoint of the run that is intact and of this model, or from the one named.

        Without ``resume``, load the weights of ``load_from``, each part of the model as a whole or not at all.

        Raises:
            UserError: If the one named cannot be used, or there are checkpoints, but none to resume from.
        """
        if self._has_loaded:
            return
        if not self._resume:
            if self._load_from is not None:
                require_complete_parts(unwrapped(self.model), self._load_from)
            super().load_or_resume()
        elif (chosen := self._named_or_newest()) is not None:
            self.resume(str(chosen))
        else:
            self.logger.warning(
                "There is no checkpoint in the work dir to resume from: training starts at the beginning"
            )
        self._has_loaded = True
        if isinstance(self._train_loop, BaseLoop):
            self.message_hub.update_info(SETTINGS_KEY, settings_of(self))

    def resume(self, filename: str, *args, **kwargs) -> None:
        """Resume from a checkpoint; what the config says of the schedule and the optimizer holds.

        Raises:
            UserError: The config cannot be combined with the checkpoint.
        """
        seed, sampler = self.seed, self.train_dataloader.sampler
        resumption = Resumption(self)
        super().resume(filename, *args, **kwargs, resume_param_scheduler=False)
        if getattr(sampler, "seed", None) == seed:
            sampler.seed = self.seed  # of the run that is resumed
        resumption.settle(self._schedules)

    def save_checkpoint(self, *args, save_optimizer: bool = True, **kwargs) -> None:
        """Save a checkpoint, on the first rank; all come here."""
        if save_optimizer:
            average_waiting_gradients(self)
        super().save_checkpoint(*args, save_optimizer=save_optimizer, **kwargs)

    def load_checkpoint(self, *args, **kwargs) -> dict:
        """Load a checkpoint, and keep the states of its schedulers."""
        with prints_in_log():
            checkpoint = super().load_checkpoint(*args, **kwargs)
        self._schedules = checkpoint.get("param_schedulers", [])
        return checkpoint

    def _named_or_newest(self) -> str | Path | None:
        """The checkpoint named, or the first rank's newest that every rank can resume from; None if there is none."""
        if self._load_from is not None:
            if fault := self._fault_on_any_rank(self._load_from):
                raise UserError(f"Checkpoint '{self._load_from}' cannot be resumed from: {fault}")
            return self._load_from
        templates = [hook.filename_tmpl for hook in self.hooks if isinstance(hook, CheckpointHook)]
        found = [newest_first(self.work_dir, list(filter(None, templates)))]
        broadcast_object_list(found)
        for path in found[0]:
            if not (fault := self._fault_on_any_rank(path)):
                self.logger.info(f"Resuming from {path.name}")
                return path
            self.logger.warning(f"{path.name} is passed over: {fault}")
        if found[0]:
            raise UserError(
                f"None of the {len(found[0])} checkpoints of this run can be resumed from; the last, "
                f"{found[0][-1].name}: {fault}\nStart anew in another folder: --work-dir DIR"
            )
        return None

    def _fault_on_any_rank(self, path: str | Path) -> str | None:
        """Why a checkpoint cannot be resumed from, None if it can."""
        try:
            content = read_checkpoint(path, trust=is_trusted())
            merge_groups(content, self)  # as PlainCheckpointHook does it when the checkpoint is loaded
            fault = fault_of(content, self)
        except (UserError, OSError) as error:
            fault = str(error)
        return next(filter(None, all_gather_object(fault)), None)
