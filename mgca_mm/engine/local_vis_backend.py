"""The log of scalars in the work dir, without which a run can go on."""

import logging
from collections.abc import Callable

from mmengine.logging import print_log
from mmengine.visualization import LocalVisBackend


class EnduringLocalVisBackend(LocalVisBackend):
    """``LocalVisBackend`` for disks that can be full.

    :func:`mgca_mm.engine.install` puts it in the place of MMEngine's, which ends the training where a line of
    ``scalars.json`` cannot be written. Here that is said once, the lines are lost, and training goes on.

    Args:
        *args: As in :class:`mmengine.visualization.LocalVisBackend`.
        **kwargs: As there.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._is_told = False

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
