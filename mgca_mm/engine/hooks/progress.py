"""What a run is, said in a few lines at its start, and how far it has come."""

import os

import torch
from mmengine.device import get_device
from mmengine.dist import is_main_process
from mmengine.hooks import Hook, LoggerHook
from mmengine.runner import BaseLoop, IterBasedTrainLoop, Runner
from torch.utils.data import DataLoader

from mgca_mm.distributed import unwrapped
from mgca_mm.engine.screen import line
from mgca_mm.progress import Progress
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class ProgressHook(Hook):
    """Says what a run trains or tests, on what and where, and shows how far an epoch or evaluation is.

    On a terminal that is a bar. Elsewhere the lines of the log tell it; where none has come for a while, as in an
    evaluation, one of this hook does. Only the first rank speaks.
    """

    priority = "VERY_HIGH"  # What a run is comes before what other hooks have to say.

    def __init__(self):
        self._bars: dict[str, Progress] = {}

    def before_train(self, runner: Runner) -> None:
        """Say what is trained."""
        loop = runner.train_loop
        counts = [f"{len(loop.dataloader.dataset):,} to train"]
        if runner.val_loop is not None:
            counts.append(f"{len(runner.val_loop.dataloader.dataset):,} to validate")
        parameters = list(unwrapped(runner.model).parameters())
        total = sum(parameter.numel() for parameter in parameters)
        trained = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
        share = "all trained" if total == trained else f"{_count(trained)} trained"
        _say_config(runner, ", ".join(counts), loop.dataloader)
        runner.logger.info(f"model       {_kind(runner)}, {_count(total)} parameters, {share}")
        runner.logger.info(f"device      {_device()}, {_precision(runner)}")
        if isinstance(loop, IterBasedTrainLoop):
            runner.logger.info(f"iterations  {runner.max_iters:,}")
        else:
            runner.logger.info(f"epochs      {runner.max_epochs} × {len(loop.dataloader)} iterations")
        _say_folder(runner)

    def before_test(self, runner: Runner) -> None:
        """Say what is tested, unless it was trained before."""
        if isinstance(runner._train_loop, BaseLoop):
            return
        loader = runner.test_loop.dataloader
        _say_config(runner, f"{len(loader.dataset):,} to test", loader)
        runner.logger.info(f"model       {_kind(runner)}")
        runner.logger.info(f"device      {_device()}")
        _say_folder(runner)

    def before_train_epoch(self, runner: Runner) -> None:
        """Begin a bar, where an interrupted epoch goes on from there."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            self._begin(runner, "train", "iteration", loop.max_iters, loop.iter)
        else:
            title, length = f"epoch {loop.epoch + 1}/{loop.max_epochs}", len(loop.dataloader)
            self._begin(runner, "train", title, length, loop.iter - loop.epoch * length)

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin a bar."""
        self._begin(runner, "val", "val", len(runner.val_loop.dataloader))

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin a bar."""
        self._begin(runner, "test", "test", len(runner.test_loop.dataloader))

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = "train") -> None:
        """Go on, in silence where a line of the log is due."""
        bar = self._bars.get(mode)
        if bar is None:
            return
        intervals = [hook.interval for hook in runner.hooks if isinstance(hook, LoggerHook)]
        if mode == "train" and (
            self.end_of_epoch(runner.train_dataloader, batch_idx)
            or any(self.every_n_inner_iters(batch_idx, interval) for interval in intervals)
        ):
            bar.heard()
        bar.update()

    def _after_epoch(self, runner: Runner, mode: str = "train") -> None:
        """End a bar; that of an evaluation when its metrics are computed."""
        if mode in self._bars:
            self._bars.pop(mode).close()

    def close(self) -> None:
        """Take all bars away."""
        for mode in list(self._bars):
            self._bars.pop(mode).close()

    def _begin(self, runner: Runner, mode: str, title: str, total: int, done: int = 0) -> None:
        if is_main_process():
            self._bars[mode] = Progress(title, total, done, runner.logger.info)


def _say_config(runner: Runner, counts: str, loader: DataLoader) -> None:
    if getattr(runner.cfg, "filename", None):
        runner.logger.info(f"config      {runner.cfg.filename}")
    runner.logger.info(f"data        {counts}, {type(loader.dataset).__name__}")


def _say_folder(runner: Runner) -> None:
    log = os.path.join(os.path.basename(runner.log_dir), f"{runner.timestamp}.log")
    runner.logger.info(line(f"folder      <work_dir>, of which {log}", f"folder      {runner.work_dir}, log {log}"))


def _kind(runner: Runner) -> str:
    return type(unwrapped(runner.model)).__name__


def _count(number: int) -> str:
    return f"{number / 1e6:.3g} M" if number >= 1e5 else f"{number:,}"


def _device() -> str:
    return torch.cuda.get_device_name() if get_device() == "cuda" else get_device()


def _precision(runner: Runner) -> str:
    """What the forward pass is computed in."""
    wrapper = runner.optim_wrapper
    if not getattr(wrapper, "enabled", hasattr(wrapper, "loss_scaler")):
        return "fp32"
    return str(getattr(wrapper, "cast_dtype", torch.bfloat16) or torch.float16).removeprefix("torch.")
