"""Curves: training log and scores against the label fraction."""

import contextlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from mgca_mm.bounds import size_of
from mgca_mm.errors import UserError

from .style import COLORS, MARKERS, save


def plot_probe(scores: Mapping[str, Mapping[int, float]], path: Path) -> Path:
    """Write :func:`probe_figure` to a file and return it."""
    return save(probe_figure(scores), path)


def probe_figure(scores: Mapping[str, Mapping[int, float]]) -> Figure:
    """Draw macro AUROC against the percentage of labels, a line an initialization.

    Args:
        scores: Initialization → percent → macro AUROC in percent.
    """
    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, of_fraction), color in zip(scores.items(), COLORS, strict=False):
        fractions = sorted(of_fraction)
        axes.plot(fractions, [of_fraction[each] for each in fractions], "o-", color=color, label=f"{name} encoder")
        for fraction in fractions:
            score = of_fraction[fraction]
            axes.annotate(
                f"{score:.1f}", (fraction, score), textcoords="offset points", xytext=(0, 7), ha="center", color=color
            )
    axes.set(xscale="log", xlabel="labels used (%)", ylabel="macro AUROC", title="Linear probe of the frozen encoder")
    axes.set_xticks(fractions, [str(fraction) for fraction in fractions])
    axes.margins(x=0.1, y=0.15)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    return figure


def plot_training(work_dir: Path, path: Path) -> list[Path]:
    """Write :func:`training_figure` to a file; empty where there is none."""
    figure = training_figure(work_dir)
    return [] if figure is None else [save(figure, path)]


def training_figure(work_dir: Path) -> Figure | None:
    """Draw losses and retrieval from the ``scalars.json`` files that MMEngine left in a work directory.

    Args:
        work_dir: Work directory of a pretraining run.

    Returns:
        None where the directory holds no log (a checkpoint that was copied elsewhere).
    """
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not logs:
        return None
    # A resumed run goes on in a log of its own.
    rows = [row for log in logs for row in _rows(log)]
    training = [row for row in rows if "loss" in row and "lr" in row]
    validation = [row for row in rows if "i2t_R@5" in row]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    losses = [name for name in ("loss_ita", "loss_cta", "loss_cpa") if training and name in training[-1]]
    for name, color in zip(losses, COLORS, strict=False):
        left.plot([row["step"] for row in training], [row[name] for row in training], color=color, label=name)
    left.set(xlabel="iteration", ylabel="loss", title="Training losses")
    for name, color, label in (("i2t_R@5", COLORS[0], "image → report"), ("t2i_R@5", COLORS[1], "report → image")):
        right.plot(
            [row["step"] for row in validation], [row[name] for row in validation], "o-", color=color, label=label
        )
    right.set(xlabel="epoch", ylabel="recall@5 (%)", title="Retrieval on the validation pairs", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    return figure


def _rows(log: Path) -> Iterator[dict]:
    """Lines of a log, but for those that a kill or a full disk has cut."""
    size_of(log)  # A pipe would be waited for.
    for line in log.read_text(errors="replace").splitlines():
        with contextlib.suppress(json.JSONDecodeError):
            yield json.loads(line)


def plot_label_fractions(cells: Sequence[Mapping], path: Path, settings: Sequence[str] | None = None) -> Path:
    """Draw score against the share of the labels, a panel a setting, a line an encoder and initialization.

    Lines are broken where a cell has no score, and the title counts these.

    Args:
        cells: ``cells`` of the grid's ``report.json``, also of an unfinished one.
        path: File to write.
        settings: Settings to draw. None: all that have a score.

    Returns:
        ``path``.

    Raises:
        UserError: No cell of these settings has a score.
    """
    cells = [cell for cell in cells if settings is None or cell["setting"] in settings]
    scored = [cell for cell in cells if cell["mean"] is not None]
    if not scored:
        raise UserError(f"{path.name}: no cell has a score yet, so that there is nothing to draw.")
    keys = list(dict.fromkeys(cell["setting"] for cell in scored))
    columns = min(4, len(keys))
    rows = -(-len(keys) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    lines = list(dict.fromkeys((cell["init"], cell["encoder"]) for cell in scored))
    for place, setting in zip(axes.flat, keys, strict=False):
        ticks = sorted({cell["percent"] for cell in cells if cell["setting"] == setting})
        for number, line in enumerate(lines):
            found = {
                cell["percent"]: (cell["mean"], cell["sd"] or 0)
                for cell in scored
                if (cell["setting"], cell["init"], cell["encoder"]) == (setting, *line)
            }
            if found:
                points = [(percent, *found.get(percent, (math.nan, 0))) for percent in ticks]
                style = dict(color=COLORS[number % len(COLORS)], marker=MARKERS[number % len(MARKERS)])
                place.errorbar(*zip(*points, strict=True), capsize=3, label=", ".join(filter(None, line)), **style)
        place.set(xscale="log", xlim=(0.7 * ticks[0], 1.4 * ticks[-1]))
        place.set_xticks(ticks, [f"{percent} %" for percent in ticks])
        place.minorticks_off()
        title = next(cell["title"] for cell in scored if cell["setting"] == setting)
        place.set(xlabel="labels used for training", ylabel=f"{title} (%)")
        place.grid(alpha=0.3)
    for place in axes.flat[len(keys) :]:
        place.set_axis_off()
    named = {}
    for place in axes.flat:
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    figure.legend(named.values(), named.keys(), fontsize=9, loc="outside lower center", ncols=4, frameon=False)
    if missing := len(cells) - len(scored):
        figure.suptitle(f"{missing} of {len(cells)} cells have no score", fontsize=10)
    return save(figure, path)
