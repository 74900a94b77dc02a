"""Figure 3 of the paper: which regions the words of a report look at, and which words a region looks at."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mgca_mm.errors import UserError
from mgca_mm.radiographs.frame import Frame
from mgca_mm.structures import CrossAttention, TextFeatures

from .style import COLORS, HEAT, save

_COLUMNS = 4
_WORDS_A_REGION = 6


class Grounding(NamedTuple):
    """The words of a report and the regions of a radiograph, side by side.

    Attributes:
        words: L words in the order of the report; the last is ``[SEP]``, the end of the report.
        words_to_regions: (L, S) each word's attention over the regions, sum 1.
        regions_to_words: (S, L) each region's attention over the words, sum 1.
        word_weight: (L,) importance of each word: the last layer's attention of [CLS], as in the loss (eq. 5).
        side: Regions along each side of the crop, row by row: S = side².
    """

    words: list[str]
    words_to_regions: np.ndarray
    regions_to_words: np.ndarray
    word_weight: np.ndarray
    side: int

    @classmethod
    def of(cls, attention: CrossAttention, text: TextFeatures, words: list[str]) -> "Grounding":
        """Take the first pair of a batch.

        Args:
            attention: Of a square of regions.
            text: Embeddings of the reports.
            words: The real words of the first report.

        Raises:
            UserError: The regions make no square.
        """
        arrays = (values[0].detach().float().cpu().numpy() for values in (*attention, text.token_weight))
        to_regions, to_words, weight = arrays
        count, side = len(words), math.isqrt(len(to_words))
        if side * side != len(to_words):
            raise UserError(f"The image encoder has {len(to_words)} regions, which make no square: they have no map.")
        return cls(words, to_regions[:count], to_words[:, :count], weight[:count], side)

    def grid(self, word: int) -> np.ndarray:
        """(side, side) attention of a word over the regions."""
        return self.words_to_regions[word].reshape(self.side, self.side)


def blend(image: np.ndarray, heat_map: np.ndarray) -> np.ndarray:
    """A radiograph with a map over it: the higher, the more of the map's color covers the image.

    Args:
        image: (H, W) gray levels, uint8.
        heat_map: (H, W) of any scale, NaN where nothing is drawn.

    Returns:
        (H, W, 3) uint8.
    """
    low, high = np.nanmin(heat_map), np.nanmax(heat_map)
    scaled = np.nan_to_num((heat_map - low) / (high - low) if high > low else np.zeros_like(heat_map))
    colors = 255 * colormaps[HEAT](scaled)[..., :3]
    cover = 0.75 * scaled[..., None]
    return np.rint((1 - cover) * image[..., None] + cover * colors).astype(np.uint8)


def draw_attention(
    image: np.ndarray, grounding: Grounding, frame: Frame, path: str | Path, words: Sequence[int] | None = None
) -> Path:
    """Write :func:`attention_figure` to a file and return it."""
    return save(attention_figure(image, grounding, frame, words), path)


def attention_figure(
    image: np.ndarray, grounding: Grounding, frame: Frame, words: Sequence[int] | None = None
) -> Figure:
    """Draw the maps of some words, and below each the words that its strongest region looks at.

    Args:
        image: (H, W) gray levels.
        grounding: Of the image and a report.
        frame: How the model sees the image.
        words: Positions in the report. None: the seven of the largest weight.
    """
    chosen = weightiest(grounding, 2 * _COLUMNS - 1) if words is None else list(words)
    rows = -(-(len(chosen) + 1) // _COLUMNS)
    figure = Figure(figsize=(3 * _COLUMNS, 4.2 * rows), layout="constrained")
    grid = figure.add_gridspec(2 * rows, _COLUMNS, height_ratios=[3, 1.1] * rows)
    for place, word in enumerate([None, *chosen]):
        row, column = divmod(place, _COLUMNS)
        axes = figure.add_subplot(grid[2 * row, column])
        if word is None:
            axes.imshow(image, cmap="gray", vmin=0, vmax=255)
            axes.set_title("radiograph")
            axes.set_axis_off()
            continue
        heat_map = frame.to_image(grounding.grid(word), *image.shape)
        axes.imshow(blend(image, heat_map))
        axes.set_axis_off()
        # The strongest place of the radiograph: the largest weight of all may lie in its padding, or be cut off.
        y, x = np.unravel_index(np.nanargmax(heat_map), heat_map.shape)
        region_row, region_column = frame.to_grid(x, y, *image.shape, grounding.side)
        axes.plot(x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor=COLORS[5], markeredgewidth=2)
        axes.set_title(f"“{grounding.words[word]}”")
        _draw_words(
            figure.add_subplot(grid[2 * row + 1, column]), grounding, region_row * grounding.side + region_column
        )
    figure.suptitle("Where each word looks, and what the region in the circle looks at in the report")
    return figure


def weightiest(grounding: Grounding, count: int) -> list[int]:
    """Positions of the words of the largest weight, each word once, in the order of the report; never [SEP]."""
    chosen: dict[str, int] = {}
    for position in np.argsort(-grounding.word_weight[:-1], kind="stable"):
        chosen.setdefault(grounding.words[position], int(position))
    return sorted(list(chosen.values())[:count])


def _draw_words(axes: Axes, grounding: Grounding, region: int) -> None:
    """Bars of the words that a region attends to most."""
    weights = grounding.regions_to_words[region]
    order = np.argsort(-weights)[:_WORDS_A_REGION]
    axes.barh(range(len(order)), weights[order], color=COLORS[5])
    # Within the bars, so that all columns have the same width.
    for place, position in enumerate(order):
        axes.text(0.02 * weights.max(), place, grounding.words[position], va="center", fontsize=9)
    axes.set_yticks([])
    axes.invert_yaxis()
    axes.tick_params(axis="x", labelsize=7)
    axes.locator_params(axis="x", nbins=4)
    axes.set_xlim(0, max(weights.max() * 1.05, 1e-6))
    axes.spines[["top", "right"]].set_visible(False)
