"""Rows of radiographs: sets beside one another, images beside those that are nearest."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .style import save

_SIDE, _HEADING, _MARGIN = 1.35, 0.3, 0.08  # inches


def draw_rows(rows: Sequence[tuple[str, Sequence[np.ndarray]]], path: str | Path, gaps: Sequence[int] = ()) -> Path:
    """Draw rows of images, each with a heading above it.

    Args:
        rows: Heading, none where it is empty, and gray levels (S, S) of the images.
        path: File to write.
        gaps: Columns before which there is more space.

    Returns:
        The file.
    """
    heights = [_SIDE + _MARGIN + _HEADING * (1 + heading.count("\n")) * bool(heading) for heading, _ in rows]
    columns = max(len(images) for _, images in rows)
    width, height = columns * (_SIDE + _MARGIN) + len(gaps) * _HEADING + _MARGIN, sum(heights) + _MARGIN
    figure = Figure(figsize=(width, height))
    for number, (heading, images) in enumerate(rows):
        bottom = height - sum(heights[: number + 1])
        figure.text(_MARGIN / width, (bottom + _SIDE + 0.07) / height, heading, fontsize=9, va="bottom")
        for column, image in enumerate(images):
            left = _MARGIN + column * (_SIDE + _MARGIN) + sum(column >= gap for gap in gaps) * _HEADING
            axes = figure.add_axes((left / width, bottom / height, _SIDE / width, _SIDE / height))
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set_axis_off()
    return save(figure, path)
