"""The folder of a run: writable, and one training's at a time."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from mmengine.dist import broadcast_object_list, is_main_process

from mgca_mm.errors import UserError

_LOCK = ".training.lock"


def require_writable(work_dir: str) -> None:
    """Make the work dir, if it is not there, and check that it can be written to.

    Raises:
        UserError: It cannot be made or written to.
    """
    try:
        os.makedirs(work_dir, exist_ok=True)
        reason = None if os.access(work_dir, os.W_OK | os.X_OK) else "there is no permission to write into it"
    except OSError as error:
        reason = error.strerror or type(error).__name__
    if reason:
        raise UserError(f"The work dir '{work_dir}' cannot be used: {reason}.\nGive another one: --work-dir DIR")


@contextlib.contextmanager
def hold_work_dir(work_dir: str) -> Iterator[None]:
    """Keep other trainings out of a work dir, on behalf of all ranks.

    The lock is the process's own: it ends with it, however that ends, and processes that it forks do not hold it.

    Raises:
        UserError: Another training holds it, on every rank.
    """
    busy = [False]
    with contextlib.ExitStack() as stack:
        if is_main_process():
            try:
                file = stack.enter_context(open(Path(work_dir, _LOCK), "w"))
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                busy = [isinstance(error, BlockingIOError | PermissionError)]  # some file systems have no locks
        broadcast_object_list(busy)
        if busy[0]:
            raise UserError(
                f"Another training writes into the work dir '{work_dir}'.\n"
                "Wait for it, or give another one: --work-dir DIR"
            )
        yield
