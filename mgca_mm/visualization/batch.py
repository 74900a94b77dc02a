"""What the model is fed: a training batch after augmentation."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .style import save


def draw_batch(images: np.ndarray, captions: Sequence[str], path: str | Path, columns: int = 4) -> Path:
    """Draw images with the beginning of what is said of them.

    Args:
        images: (N, H, W) gray levels.
        captions: N texts.
        path: File to write.
        columns: Images in a row.

    Returns:
        The file.
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(2.8 * columns, 3.5 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for place in axes.flat:
        place.set_axis_off()
    for place, image, caption in zip(axes.flat, images, captions, strict=False):
        place.imshow(image, cmap="gray", vmin=0, vmax=255)
        place.set_title("\n".join(textwrap.wrap(caption, 44, max_lines=4, placeholder=" …")), fontsize=7)
    return save(figure, path)
