"""What a line of the log says, and the file of scalars in the work dir, without which a run can go on."""

import logging
import re
from collections.abc import Callable, Mapping
from datetime import timedelta

from mmengine.logging import print_log
from mmengine.runner import EpochBasedTrainLoop, LogProcessor, Runner
from mmengine.visualization import LocalVisBackend

from mgca_mm.errors import require_positive

from .batch import samples_an_iteration
from .screen import fitted, line

_EVERYTHING_BUT_RATES = re.compile(r"^(?!.*(lr|momentum|weight_decay)$)")
_TIMES = re.compile(r"time$")
_LOSS = re.compile(r"(^|[./_])loss")
_ACCURACY = re.compile(r"(^|[./_])acc(_|$)")
_RESULT = re.compile(r"^(?!.*time$)(?!(.*[./_])?loss)")

Scalars = Mapping[str, object]


class PlainLogProcessor(LogProcessor):
    """``LogProcessor`` with one rule for all values.

    A line of the training holds means over the last ``window_size`` iterations, of rates the current values; a line of
    a validation or test holds the results of that validation. :func:`mgca_mm.engine.install` puts it in the place of
    MMEngine's, which averages the names that match a pattern, in validations over all of them so far. On the screen of
    our runner a line is short: how far the training is, images a second of all ranks, losses and accuracies.

    Args:
        window_size: Iterations.
        **kwargs: As in :class:`mmengine.runner.LogProcessor`, but for ``mean_pattern``.
    """

    def __init__(self, window_size: int = 10, **kwargs):
        super().__init__(window_size, **kwargs)
        require_positive(window_size=window_size)

    def _collect_scalars(self, custom_cfg: list[dict], runner, mode: str, reserve_prefix: bool = False) -> dict:
        self.mean_pattern = _EVERYTHING_BUT_RATES if mode == "train" else _TIMES
        return super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix)

    def get_log_after_iter(self, runner: Runner, batch_idx: int, mode: str) -> tuple[dict, str]:
        """Scalars and line, as MMEngine's; within an evaluation there is nothing to say on the screen."""
        tag, text = super().get_log_after_iter(runner, batch_idx, mode)
        if mode != "train":
            return tag, line(text)
        parts = [_how_far(runner)]
        if "eta" in runner.message_hub.runtime_info:
            parts.append(f"eta {timedelta(seconds=int(runner.message_hub.get_info('eta')))}")
        if seconds := tag.get("time", tag.get("train/time")):
            parts.append(f"{samples_an_iteration(runner) / seconds:.3g} images/s")
        return tag, line(text, fitted([*parts, *_losses(tag), *_accuracies(tag)]))

    def get_log_after_epoch(self, runner: Runner, batch_idx: int, mode: str, *args, **kwargs) -> tuple[dict, str]:
        """Scalars and line of an evaluation, as MMEngine's."""
        tag, text = super().get_log_after_epoch(runner, batch_idx, mode, *args, **kwargs)
        parts = [f"epoch {runner.epoch}/{runner.max_epochs}"] if mode == "val" and _counts_epochs(runner) else []
        return tag, line(text, fitted([*parts, mode, *_losses(tag), *_numbers(tag, _RESULT)]))


def _how_far(runner: Runner) -> str:
    if not _counts_epochs(runner):
        return f"iteration {runner.iter + 1}/{runner.max_iters}"
    length = len(runner.train_dataloader)
    return f"epoch {runner.epoch + 1}/{runner.max_epochs}  {runner.iter % length + 1:>{len(str(length))}}/{length}"


def _counts_epochs(runner: Runner) -> bool:
    return isinstance(runner._train_loop, EpochBasedTrainLoop)  # which runner.train_loop would build


def _losses(tag: Scalars) -> list[str]:
    """The loss, and its parts without that word."""
    losses = sorted(_numbers(tag, _LOSS), key=lambda text: not text.startswith("loss "))
    return [text.replace("loss_", "", 1) for text in losses]


def _accuracies(tag: Scalars) -> list[str]:
    """All in one, such as those of both directions of retrieval."""
    values = [text.rpartition(" ")[2] for text in _numbers(tag, _ACCURACY, digits=3)]
    return [f"acc {'/'.join(values)}"] if values else []


def _numbers(tag: Scalars, names: re.Pattern, digits: int = 4) -> list[str]:
    numbers = [(name, value) for name, value in tag.items() if isinstance(value, float) and names.search(name)]
    return [f"{name} {value:.{digits}g}" for name, value in numbers]


class EnduringLocalVisBackend(LocalVisBackend):
    """``LocalVisBackend`` for disks that can be full.

    :func:`mgca_mm.engine.install` puts it in the place of MMEngine's, which ends the training where a line of
    ``scalars.json`` cannot be written. Here that is said once, the lines are lost, and training goes on.
    """

    _is_told = False

    def add_scalar(self, *args, **kwargs) -> None:
        """Record a scalar, as in MMEngine's."""
        self._try(super().add_scalar, *args, **kwargs)

    def add_scalars(self, *args, **kwargs) -> None:
        """Record scalars, as in MMEngine's."""
        self._try(super().add_scalars, *args, **kwargs)

    def _try(self, add: Callable[..., None], *args, **kwargs) -> None:
        try:
            add(*args, **kwargs)
            self._is_told = False
        except OSError as error:
            if not self._is_told:
                reason = error.strerror or type(error).__name__
                print_log(f"The scalars cannot be written ({reason}); training goes on.", "current", logging.ERROR)
            self._is_told = True
