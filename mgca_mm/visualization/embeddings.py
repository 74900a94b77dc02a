"""Figure 4 of the paper: image embeddings in the plane, by finding and by prototype."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.manifold import TSNE

from mgca_mm.errors import UserError

from .style import COLORS, MARKERS, save

_OTHER = "#BBBBBB"


def to_plane(embeddings: np.ndarray, method: str = "tsne", seed: int = 0) -> np.ndarray:
    """(N, D) unit embeddings to (N, 2) points.

    Args:
        embeddings: The embeddings.
        method: ``'tsne'`` (van der Maaten and Hinton 2008, cosine distance), or ``'umap'`` where umap-learn is
            installed.
        seed: Of the method.

    Raises:
        UserError: There are fewer than five embeddings, or umap-learn is not installed.
    """
    if len(embeddings) < 5:
        raise UserError(f"{len(embeddings)} embeddings are too few for a map; give at least five images.")
    if method == "tsne":
        perplexity = min(30.0, (len(embeddings) - 1) / 3)
        return TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed).fit_transform(embeddings)
    try:
        from umap import UMAP
    except ImportError as error:
        raise UserError("UMAP needs the package umap-learn: pip install umap-learn, or take tsne.") from error
    return UMAP(metric="cosine", random_state=seed).fit_transform(embeddings)


def draw_embeddings(
    points: np.ndarray,
    findings: Sequence[str | None],
    prototypes: np.ndarray | None,
    path: str | Path,
) -> Path:
    """Draw the points twice, colored by finding and by nearest prototype.

    Args:
        points: (N, 2).
        findings: The only finding of each image; None, of several or none, is gray.
        prototypes: (N,) nearest prototype of each; None: the model has none, and one panel is drawn.
        path: File to write.

    Returns:
        The file.
    """
    panels = 1 if prototypes is None else 2
    figure = Figure(figsize=(6.5 * panels, 5.6), layout="constrained")
    axes = figure.subplots(1, panels, squeeze=False)
    _scatter(axes[0, 0], points, findings, "several findings, none, or a rarer one", "By the only finding of the image")
    if prototypes is not None:
        names = [f"prototype {number}" for number in prototypes]
        _scatter(axes[0, 1], points, names, "other prototypes", "By the nearest prototype")
    return save(figure, path)


def _scatter(axes: Axes, points: np.ndarray, names: Sequence[str | None], other: str, title: str) -> None:
    """Points with a color and a marker for each of the most frequent names."""
    counts = Counter(name for name in names if name is not None)
    shown = [name for name, _ in counts.most_common(len(COLORS))]
    is_other = np.array([name not in shown for name in names])
    axes.scatter(*points[is_other].T, s=9, color=_OTHER, label=f"{other} ({is_other.sum()})", linewidths=0)
    for name, color, marker in zip(shown, COLORS, MARKERS, strict=False):
        chosen = np.array([candidate == name for candidate in names])
        axes.scatter(
            *points[chosen].T, s=20, color=color, marker=marker, label=f"{name} ({counts[name]})", linewidths=0
        )
    axes.set(title=title, xticks=[], yticks=[])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.01), ncols=2, fontsize=8, frameon=False, markerscale=1.3)
