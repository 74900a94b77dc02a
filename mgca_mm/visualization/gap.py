"""What made radiographs differ in from real ones."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from .style import COLORS, MARKERS, save


def draw_gap(
    gap: Mapping,
    histograms: Mapping[str, np.ndarray],
    spectra: Mapping[str, tuple[np.ndarray, np.ndarray]],
    path: str | Path,
) -> Path:
    """Draw grays, spectra, profiles and how well groups of quantities tell made from real.

    Args:
        gap: Of :func:`mgca_mm.evaluation.gap_report.compare`.
        histograms: Set, the made one first → (256,) share of the pixels with each gray.
        spectra: Set → frequencies (F,) and log power (N, F) of images.
        path: File to write.

    Returns:
        The file.
    """
    figure = Figure(figsize=(13, 7.2), layout="constrained")
    axes = dict(
        zip(("grays", "spectrum", "covered", "row", "column", "apart"), figure.subplots(2, 3).flat, strict=True)
    )
    for (name, histogram), color in zip(histograms.items(), COLORS, strict=False):
        axes["grays"].plot(np.convolve(histogram * 100, np.ones(8) / 8, "same"), color=color, label=name)
    axes["grays"].set(title="Grays within the border", xlabel="gray", ylabel="% of the pixels", xlim=(0, 255))
    for (name, (frequencies, power)), color in zip(spectra.items(), COLORS, strict=False):
        known = np.isfinite(power).all(axis=0)
        low, median, high = np.percentile(power[:, known], (5, 50, 95), axis=0)
        _band(axes["spectrum"], frequencies[known], low, median, high, color, name)
    axes["spectrum"].set_xscale("log", base=2)
    axes["spectrum"].set(title="Power spectrum", xlabel="cycles a pixel", ylabel="decadic logarithm of the power")
    for side, title in (("row", "Rows, top to bottom"), ("column", "Columns, left to right")):
        found = [each for name, each in gap["quantities"].items() if name.startswith(f"profile/{side} ")]
        places = (np.arange(len(found)) + 0.5) / len(found)
        for name, color in zip(histograms, COLORS, strict=False):
            _band(axes[side], places, *np.array([each[name][:3] for each in found]).T, color, name)
        axes[side].set(title=title, xlabel="place", ylabel="mean gray", xlim=(0, 1), ylim=(0, 255))
    _draw_groups(axes["apart"], gap["separability"])
    _draw_coverage(axes["covered"], gap["coverage"])
    figure.legend(
        *axes["grays"].get_legend_handles_labels(), loc="outside lower center", ncols=len(histograms), frameon=False
    )
    return save(figure, path)


def _band(
    axes: Axes, x: np.ndarray, low: np.ndarray, median: np.ndarray, high: np.ndarray, color: str, name: str
) -> None:
    """A median, and the range of 90 % of the images; of the made ones filled."""
    axes.plot(x, median, color=color)
    if name == "made":
        axes.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)
    else:
        axes.plot(x, low, x, high, color=color, linewidth=0.7, linestyle=":")


def _draw_groups(axes: Axes, separability: Mapping) -> None:
    """AUROC of made against real, and of real against real as a yardstick, hollow."""
    for pair, scores in separability.items():
        name = pair.removeprefix("made / ").partition(" / ")[0]
        names = [each.removeprefix("made / ") for each in separability if each.startswith("made / ")]
        number = names.index(name) + 1
        is_made = pair.startswith("made / ")
        axes.plot(
            list(scores.values()), list(scores), MARKERS[number], color=COLORS[number],
            markerfacecolor=None if is_made else "none", label=pair,
        )  # fmt: skip
    axes.axvline(50, color="gray", linewidth=0.7)
    axes.invert_yaxis()
    axes.set(title="Told apart (hollow: real from other real)", xlabel="AUROC, % (50: not at all)", xlim=(45, 101))


def _draw_coverage(axes: Axes, coverage: Mapping) -> None:
    for number, shares in enumerate(coverage.values(), start=1):
        axes.plot(list(shares.values()), list(shares), MARKERS[number], color=COLORS[number])
    axes.axvline(95, color="gray", linewidth=0.7)
    axes.invert_yaxis()
    axes.set(title="Real images within the made ones' range", xlabel="% (95: as spread as these)", xlim=(0, 101))
