"""What the figures have in common.

They are drawn on :class:`matplotlib.figure.Figure` itself: pyplot would choose a backend for the whole process, and
keep each figure until it is closed.
"""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mgca_mm.errors import UserError
from mgca_mm.files import write_output

# Okabe and Ito's palette, told apart with any color vision.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
# For those who see no colors, and for print.
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
HEAT = "inferno"  # bright on dark, equal steps look equal, also without colors


def save(figure: Figure, path: str | Path) -> Path:
    """Write a figure as its ending says, completely or not at all.

    Raises:
        UserError: As :func:`require_place` and :func:`mgca_mm.files.write_output`.
    """
    path = require_place(path)
    content = io.BytesIO()
    figure.savefig(content, dpi=150, format=path.suffix[1:].lower())
    write_output(path, content.getbuffer())
    return path


def require_place(path: str | Path, endings: Sequence[str] = (".png", ".svg", ".pdf")) -> Path:
    """The file that a figure is to be written to; its folder is made.

    Raises:
        UserError: The file has another ending, or the folder cannot be made.
    """
    path = Path(path)
    if path.suffix.lower() not in endings:
        raise UserError(f"{path}: it is written as {' or '.join(', '.join(endings).rsplit(', ', 1))}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path}: its folder cannot be made ({error.strerror})") from error
    return path


def to_array(figure: Figure) -> np.ndarray:
    """(H, W, 3) uint8 picture of a figure."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
