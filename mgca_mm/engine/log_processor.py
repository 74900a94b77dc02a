"""What a line of the log says."""

import re

from mmengine.runner import LogProcessor

_EVERYTHING_BUT_RATES = re.compile(r"^(?!.*(lr|momentum|weight_decay)$)")
_TIMES = re.compile(r"time$")


class PlainLogProcessor(LogProcessor):
    """``LogProcessor`` with one rule for all values.

    A line of the training holds means over the last ``window_size`` iterations, of rates the current values; a line of
    a validation or test holds the results of that validation. :func:`mgca_mm.engine.install` puts it in the place of
    MMEngine's, which averages the names that match a pattern, in validations over all of them so far.

    Args:
        **kwargs: As in :class:`mmengine.runner.LogProcessor`, but for ``mean_pattern``.
    """

    def _collect_scalars(self, custom_cfg: list[dict], runner, mode: str, reserve_prefix: bool = False) -> dict:
        self.mean_pattern = _EVERYTHING_BUT_RATES if mode == "train" else _TIMES
        return super()._collect_scalars(custom_cfg, runner, mode, reserve_prefix)
