"""Which checkpoint is meant where the folder of a run is named."""

import os
import re
from pathlib import Path

from mmengine.logging import print_log

from mgca_mm.errors import UserError

from .writing import newest_first

_BEST = re.compile(r"(best_.+)_(\d+)\.pth")  # metric and kind, number of the epoch or iteration


def select_checkpoint(path: str | os.PathLike) -> str:
    """A file as it is named; of a run's folder its best checkpoint in validation, or the last where none was kept.

    Downstream starts from the lowest validation loss, of whose file nobody knows the number beforehand.

    Args:
        path: File, which need not exist, or folder of a run.

    Returns:
        The file. The log says which one was taken from a folder.

    Raises:
        UserError: If the folder holds no checkpoint, or best ones of several metrics, or of which the order is unclear.
    """
    path = os.path.expanduser(path)
    if not os.path.isdir(path):
        return path
    trained = newest_first(path)
    folder = trained[0].parent if trained else Path(path)
    best = [found for file in sorted(folder.glob("best_*.pth")) if (found := _BEST.fullmatch(file.name))]
    if best:
        by_number = max(best, key=lambda found: int(found[2]))
        by_age = max(best, key=lambda found: ((folder / found[0]).stat().st_mtime_ns, int(found[2])))
        if len({found[1] for found in best}) > 1 or by_number is not by_age:
            names = ", ".join(found[0] for found in best)
            raise UserError(f"'{path}' holds several best checkpoints: {names}.\nName the file to take.")
        chosen, reason = folder / by_number[0], "the best in validation"
    elif trained:
        chosen, reason = trained[0], "the last one, as none was kept as the best"
    else:
        raise UserError(f"'{path}' is a folder without a checkpoint.\nName the folder of a run, or a file.")
    print_log(f"{chosen.name} is taken from {path}: {reason}", logger="current")
    return str(chosen)
