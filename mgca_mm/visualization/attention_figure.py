"""Figure 3 of the paper, and beside it where the model finds the phrases."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mgca_mm.radiographs.frame import Frame

from .attention import CONTRAST_LIMITS, Grounding, Phrase, blend, boxes_of, choose_phrases
from .style import COLORS, HEAT, save

ATTENTION_LIMITS = (1.0, 4.0)  # in multiples of uniform; the upper one rises with the maps
_WORDS_A_REGION = 6
# Inches.
_WIDTH, _GAP, _MARGIN = 2.4, 0.12, 0.15
_HEADING, _TITLE, _BARS, _AXIS, _SCALE = 0.32, 0.42, 1.25, 0.45, 0.7


def draw_attention(image: np.ndarray, grounding: Grounding, frame: Frame, path: str | Path, *args) -> Path:
    """Write :func:`attention_figure` to a file and return it."""
    return save(attention_figure(image, grounding, frame, *args), path)


def attention_figure(
    image: np.ndarray,
    grounding: Grounding,
    frame: Frame,
    phrases: Sequence[Phrase] | None = None,
    maps: np.ndarray | None = None,
    sentences: Sequence[str] = (),
    boxes: Sequence[Sequence] = (),
) -> Figure:
    """Draw where some phrases look, the mean of their words, and which words the strongest region looks at; above it
    where the phrases are found, if that is given. All panels of a row have one scale.

    Args:
        image: (H, W) gray levels.
        grounding: Of the image and a report.
        frame: How the model sees the image.
        phrases: What is drawn. None: as :func:`choose_phrases` finds them in the sentences.
        maps: (N, H, W) of the phrases, from :meth:`mgca_mm.apis.RadiographInferencer.ground`.
        sentences: The report, written below the radiograph.
        boxes: The truth in pixels of the image: x, y, width, height, name. All are drawn over the radiograph, over the
            maps of a phrase those of its finding and side.
    """
    if phrases is None:
        phrases = choose_phrases(grounding, sentences)
    attention = np.stack([frame.to_image(grounding.grid(phrase.words), *image.shape) for phrase in phrases])
    attention *= len(grounding.regions_to_words)
    low, high = ATTENTION_LIMITS
    rows = [] if maps is None else [_found(maps)]
    rows.append(_Row("Where its words look (1 = uniform)", attention, (low, max(high, float(np.nanmax(attention))))))
    sheet = _draw_rows(image, phrases, rows, boxes, with_bars=True)
    sheet.add_report(sentences)
    # In multiples of uniform, too.
    to_words = len(grounding.words) * grounding.regions_to_words
    for column, heat_map in enumerate(attention, start=1):
        # The strongest place of the radiograph: the largest weight of all may lie in its padding, or be cut off.
        y, x = np.unravel_index(np.nanargmax(heat_map), heat_map.shape)
        sheet.image_at[len(rows) - 1, column].plot(
            x, y, "o", markersize=9, markerfacecolor="none", markeredgecolor=COLORS[5], markeredgewidth=2
        )
        region_row, region_column = frame.to_grid(x, y, *image.shape, grounding.side)
        weights = to_words[region_row * grounding.side + region_column]
        sheet.add_bars(column, grounding.words, weights, top=max(2.0, float(to_words.max())))
    return sheet.figure


def draw_grounding(
    image: np.ndarray, phrases: Sequence[Phrase], maps: np.ndarray, path: str | Path, boxes: Sequence[Sequence] = ()
) -> Path:
    """Draw where phrases are found, beside the radiograph, for any model; arguments as of :func:`attention_figure`."""
    return save(_draw_rows(image, phrases, [_found(maps)], boxes).figure, path)


class _Row(NamedTuple):
    """Panels with one scale: maps (N, H, W), a phrase each."""

    heading: str
    maps: np.ndarray
    limits: tuple[float, float]


def _found(maps: np.ndarray) -> _Row:
    return _Row("Where it is found (difference of cosine)", maps, CONTRAST_LIMITS)


def _draw_rows(
    image: np.ndarray,
    phrases: Sequence[Phrase],
    rows: Sequence[_Row],
    boxes: Sequence[Sequence],
    with_bars: bool = False,
) -> "_Sheet":
    sheet = _Sheet(image.shape, len(phrases) + 1, len(rows), with_bars)
    for number, row in enumerate(rows):
        sheet.head(number, row.heading, row.limits)
        for column, (phrase, heat_map) in enumerate(zip(phrases, row.maps, strict=True), start=1):
            axes = sheet.add_image(number, column, blend(image, heat_map, row.limits), boxes_of(phrase, boxes))
            if number == 0:
                axes.set_title(_title(phrase), fontsize=9)
    sheet.add_image(0, 0, image, boxes).set_title("radiograph" + " and true boxes" * bool(boxes), fontsize=9)
    return sheet


class _Sheet:
    """A figure of rows of equal panels, below the last one maybe bars, each as wide as the image above it.

    Args:
        shape: Of the image.
        columns: Panels in a row; the first one is for the radiograph.
        rows: Rows of panels.
        with_bars: There is room for bars below the last row.
    """

    def __init__(self, shape: tuple[int, int], columns: int, rows: int, with_bars: bool):
        self.panel = _WIDTH, _WIDTH * min(max(shape[0] / shape[1], 0.5), 2)
        self.columns, self.rows = columns, rows
        self.width = _MARGIN + columns * (_WIDTH + _GAP) + _SCALE
        self.height = _TITLE + rows * (_HEADING + self.panel[1]) + _GAP + with_bars * (_BARS + _AXIS)
        self.figure = Figure(figsize=(self.width, self.height))
        self.image_at: dict[tuple[int, int], Axes] = {}

    def add_image(self, row: int, column: int, picture: np.ndarray, boxes: Sequence[Sequence]) -> Axes:
        """A picture (H, W) or (H, W, 3) with boxes."""
        axes = self._add(column, self._top(row), *self.panel)
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_axis_off()
        for x, y, width, height, _ in boxes:
            # A dark line below it, for white is not seen over white.
            for color, style, thickness in (("black", "-", 2.2), ("white", "--", 1.4)):
                edge = dict(edgecolor=color, linestyle=style, linewidth=thickness)
                axes.add_patch(Rectangle((x - 0.5, y - 0.5), width, height, fill=False, **edge))
        self.image_at[row, column] = axes
        return axes

    def head(self, row: int, text: str, limits: tuple[float, float]) -> None:
        """What a row shows, and its scale at the end of it."""
        top = self._top(row)
        title = _TITLE if row == 0 else 0.0
        place = (_MARGIN + _WIDTH + _GAP) / self.width, 1 - (top - title - _HEADING / 2) / self.height
        self.figure.text(*place, text, fontsize=10, fontweight="bold", va="center")
        axes = self._add(self.columns, top, 0.13, self.panel[1])
        self.figure.colorbar(ScalarMappable(Normalize(*limits), HEAT), axes)
        axes.tick_params(labelsize=8)

    def add_report(self, sentences: Sequence[str]) -> None:
        """The report below the radiograph, as far as there is room."""
        top = self._top(0) + self.panel[1] + 2 * _GAP
        lines = textwrap.wrap(" ".join(f"{sentence.capitalize()}." for sentence in sentences), 40)
        room = int((self.height - top) / 0.155)
        if len(lines) > room:
            lines = [*lines[: room - 1], "…"]
        self.figure.text(_MARGIN / self.width, 1 - top / self.height, "\n".join(lines), fontsize=8, va="top")

    def add_bars(self, column: int, words: Sequence[str], weights: np.ndarray, top: float) -> None:
        """The words that a region attends to most."""
        axes = self._add(column, self.height - _AXIS - _BARS, _WIDTH, _BARS)
        strongest: dict[str, int] = {}  # each word once
        for position in np.argsort(-weights, kind="stable"):
            strongest.setdefault(words[position], int(position))
        order = list(strongest.values())[:_WORDS_A_REGION]
        axes.barh(range(len(order)), weights[order], color=COLORS[5])
        axes.axvline(1, color="black", linewidth=0.8, linestyle=":", alpha=0.5)
        # Within the bars, so that all columns have the same width.
        for place, position in enumerate(order):
            axes.text(0.02 * top, place, words[position], va="center", fontsize=8)
        axes.set(xlim=(0, 1.05 * top), yticks=[])
        axes.invert_yaxis()
        axes.tick_params(axis="x", labelsize=7)
        axes.set_xlabel("what the circled region looks at (1 = uniform)" if column == 1 else "", fontsize=8, loc="left")
        axes.spines[["top", "right"]].set_visible(False)

    def _top(self, row: int) -> float:
        return _TITLE + (row + 1) * _HEADING + row * self.panel[1]

    def _add(self, column: int, top: float, width: float, height: float) -> Axes:
        """Axes in inches from the upper left corner."""
        left = _MARGIN + column * (_WIDTH + _GAP)
        bottom = self.height - top - height
        return self.figure.add_axes((left / self.width, bottom / self.height, width / self.width, height / self.height))


def _title(phrase: Phrase) -> str:
    quoted = f"“{phrase.text}”"
    return "\n".join(textwrap.wrap(f"denied: {quoted}" if phrase.is_negated else quoted, 36, max_lines=2))
