"""What a line of the log says."""

import re

from mmengine.runner import LogProcessor

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
