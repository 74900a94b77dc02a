"""Methods as what they are: dicts of alignments."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from mmengine.config import ConfigDict

from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

from .style import COLORS, save

COLUMNS = ("image ↔ report", "regions ↔ words", "regions → report")
_LEFT, _WIDTH, _HEIGHT = 2.9, 2.6, 0.55  # of the names, of a column and of an entry, in inches


def draw_methods(models: Sequence[tuple[str, ConfigDict]], path: Path) -> Path:
    """Draw each method's ``alignments``, one row a method, each entry in the column of what it compares.

    Args:
        models: Names, and models of configs.
        path: File to write.
    """
    rows = [entries_of(model) for _, model in models]
    heights = [max(1, *map(len, columns.values())) * _HEIGHT for columns in rows]
    size = _LEFT + len(COLUMNS) * _WIDTH, sum(heights) + _HEIGHT
    figure = Figure(figsize=size)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, size[0]), ylim=(size[1], 0))
    axes.axis("off")
    for number, title in enumerate(COLUMNS):
        axes.text(_LEFT + number * _WIDTH + 0.1, _HEIGHT / 2, title, va="center", weight="bold")
    top = _HEIGHT
    for (name, model), columns, height in zip(models, rows, heights, strict=True):
        axes.axhline(top, color="0.85", linewidth=0.8)
        axes.text(0.15, top + 0.2, name, va="center", weight="bold")
        axes.text(0.15, top + 0.4, _text_encoder(model), va="center", fontsize=8, color="0.35")
        if not any(columns.values()):
            text = f"no alignments, a model of its own: {model.type}"
            axes.text(_LEFT + 0.1, top + _HEIGHT / 2, text, va="center", style="italic")
        for number, entries in enumerate(columns.values()):
            for place, (entry, parts) in enumerate(entries.items()):
                left, middle = _LEFT + number * _WIDTH + 0.1, top + (place + 0.5) * _HEIGHT
                box = dict(boxstyle="round,pad=0.3", facecolor="white", edgecolor=COLORS[number], linewidth=1.5)
                axes.text(
                    left + 0.05,
                    middle,
                    "\n".join((entry, *filter(None, [", ".join(parts)]))),
                    va="center",
                    fontsize=8,
                    bbox=box,
                )
        top += height
    return save(figure, path)


def entries_of(model: ConfigDict) -> dict[str, dict[str, list[str]]]:
    """Column → entry of ``alignments`` → classes of its loss and target, where the config names them.

    The column is told by what the alignment asks the model for.

    Raises:
        UserError: A class is not registered.
    """
    columns: dict[str, dict[str, list[str]]] = {title: {} for title in COLUMNS}
    for key, alignment in model.get("alignments", {}).items():
        kind = MODELS.get(alignment.type)
        if kind is None:
            raise UserError(
                f"alignments.{key}: there is no '{alignment.type}'; custom_imports of a config brings its own."
            )
        column = COLUMNS[int(kind.uses_tokens)] if kind.encodes_reports else COLUMNS[2]
        parts = [alignment[part].type for part in ("loss", "target") if alignment.get(part)]
        columns[column][f"{key}: {kind.__name__}"] = parts
    return columns


def _text_encoder(model: ConfigDict) -> str:
    encoder = model.get("text_encoder")
    if encoder is None:
        return "no text encoder"
    return f"text encoder {'frozen' if encoder.get('frozen') else 'trained'}"
