"""What a line of the log says, and the file of scalars in the work dir, without which a run can go on."""

import logging
import re
from collections.abc import Callable

from mmengine.logging import print_log
from mmengine.runner import LogProcessor
from mmengine.visualization import LocalVisBackend

from mgca_mm.errors import require_positive

_EVERYTHING_BUT_RATES = re.compile(r"^(?!.*(lr|momentum|weight_decay)$)")
_TIMES = re.compile(r"time$")


class PlainLogProcessor(LogProcessor):
    """``LogProcessor`` with one rule for all values.

    A line of the training holds means over the last ``window_size`` iterations, of rates the current values; a line of
    a validation or test holds the results of that validation. :func:`mgca_mm.engine.install` puts it in the place of
    MMEngine's, which averages the names that match a pattern, in validations over all of them so far.

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
