"""Curves: training log and scores against the label fraction."""

import json
from collections.abc import Mapping
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # servers have no display

from matplotlib import pyplot as plt

# Okabe-Ito: distinguishable for the colour-blind.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")


def plot_probe(results: Mapping[str, Mapping[int, object]], path: Path) -> Path:
    """Draw macro AUROC against the percentage of labels, a line an initialisation.

    Args:
        results: Initialisation → percent → :class:`mgca_mm.evaluation.linear_probe.ProbeResult`.
        path: File to write.

    Returns:
        ``path``.
    """
    figure, axes = plt.subplots(figsize=(5, 3.6), layout="constrained")
    for (name, probes), colour in zip(results.items(), COLOURS, strict=False):
        fractions = sorted(probes)
        scores = [probes[fraction].macro for fraction in fractions]
        axes.plot(fractions, scores, "o-", color=colour, label=f"{name} encoder")
        for fraction, score in zip(fractions, scores, strict=True):
            axes.annotate(
                f"{score:.1f}", (fraction, score), textcoords="offset points", xytext=(0, 7), ha="center", color=colour
            )
    axes.set(xscale="log", xlabel="labels used (%)", ylabel="macro AUROC", title="Linear probe of the frozen encoder")
    axes.set_xticks(fractions, [str(fraction) for fraction in fractions])
    axes.margins(x=0.1, y=0.15)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return path


def plot_training(work_dir: Path, path: Path) -> list[Path]:
    """Draw losses and retrieval from the ``scalars.json`` files that MMEngine left in a work directory.

    Args:
        work_dir: Work directory of a pretraining run.
        path: File to write.

    Returns:
        The file written; empty where the directory holds no log (a checkpoint that was copied elsewhere).
    """
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    if not logs:
        return []
    # A resumed run goes on in a log of its own.
    rows = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    training = [row for row in rows if "loss" in row and "lr" in row]
    validation = [row for row in rows if "i2t_R@5" in row]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    losses = [name for name in ("loss_ita", "loss_cta", "loss_cpa") if training and name in training[-1]]
    for name, colour in zip(losses, COLOURS, strict=False):
        left.plot([row["step"] for row in training], [row[name] for row in training], color=colour, label=name)
    left.set(xlabel="iteration", ylabel="loss", title="Training losses")
    for name, colour, label in (("i2t_R@5", COLOURS[0], "image → report"), ("t2i_R@5", COLOURS[1], "report → image")):
        right.plot(
            [row["step"] for row in validation], [row[name] for row in validation], "o-", color=colour, label=label
        )
    right.set(xlabel="epoch", ylabel="recall@5 (%)", title="Retrieval on the validation pairs", ylim=(0, None))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return [path]
