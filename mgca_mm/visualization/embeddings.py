"""Figure 4 of the paper: image embeddings in the plane, by finding and by prototype."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.cluster import KMeans
from sklearn.manifold import TSNE
from sklearn.metrics import normalized_mutual_info_score

from mgca_mm.errors import UserError

from .style import COLORS, MARKERS, save

_OTHER = "#BBBBBB"
_FEWEST = 20  # images of a finding that is drawn


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


def balanced(findings: Sequence[str | None], most: int, seed: int = 0) -> list[int]:
    """Draw equally many images of each finding, as the paper's figure does.

    Args:
        findings: The only finding of each image; None where there are several or none.
        most: Images in all, at most.
        seed: Of the draw.

    Returns:
        Positions of as many images of each finding as the rarest has of those with at least 20. Findings with fewer,
        and images without any, are left out; none is chosen where that leaves less than two findings.
    """
    positions = defaultdict(list)
    for position, finding in enumerate(findings):
        if finding not in (None, "No Finding"):
            positions[finding].append(position)
    large = sorted((found for found in positions.values() if len(found) >= _FEWEST), key=len, reverse=True)
    large = large[: min(len(COLORS), most // _FEWEST)]
    if len(large) < 2:
        return []
    count = min(len(large[-1]), most // len(large))
    rng = np.random.default_rng(seed)
    return sorted(int(position) for found in large for position in rng.choice(found, count, replace=False))


def purity(findings: Sequence[str], clusters: Sequence[int]) -> float:
    """Share of the images that have the most frequent finding of their cluster."""
    counts = Counter(zip(clusters, findings, strict=True))
    largest: dict[int, int] = {}
    for (cluster, _), count in counts.items():
        largest[cluster] = max(count, largest.get(cluster, 0))
    return sum(largest.values()) / len(findings)


def draw_embeddings(
    embeddings: np.ndarray,
    findings: Sequence[str | None],
    prototypes: np.ndarray | None,
    path: str | Path,
    method: str = "tsne",
) -> Path:
    """Draw images in the plane, colored by finding and by what their nearest prototype stands for.

    The first title has purity and normalized mutual information of k-means with as many clusters as findings; the
    second one those of the prototypes, of which many are nearest to few images, so that their purity begins higher.

    Args:
        embeddings: (N, D) unit embeddings.
        findings: The only finding of each image; None, of several or none, is gray. Without any, the color is that of
            the nearest prototype, in one panel.
        prototypes: (N,) nearest prototype of each; None: the model has none, and one panel is drawn.
        path: File to write.
        method: As in :func:`to_plane`.

    Returns:
        The file.
    """
    points = to_plane(embeddings, method)
    known = np.array([finding is not None for finding in findings])
    named = [finding for finding in findings if finding is not None]
    shown = [finding for finding, _ in sorted(Counter(named).most_common(len(COLORS)))]
    panels, titles = [findings], ["By the only finding of the image"]
    if len(shown) > 1:
        found = KMeans(len(set(named)), n_init=10, random_state=0).fit_predict(embeddings[known])
        titles[0] += f"\n{len(set(named))} clusters by k-means: {_agreement(named, found)}"
    if prototypes is not None and not shown:  # data without labels
        panels, titles = [[f"prototype {number}" for number in prototypes]], ["By the nearest prototype"]
        shown = [name for name, _ in Counter(panels[0]).most_common(len(COLORS))]
    elif prototypes is not None:
        majority = _majority(findings, prototypes)
        panels.append([majority.get(prototype) for prototype in prototypes])
        titles.append(
            f"By the finding that is most frequent with the nearest prototype\n{len(set(prototypes))} of the prototypes"
        )
        if len(shown) > 1:
            titles[1] += f": {_agreement(named, prototypes[known])}"
    figure = Figure(figsize=(6 * len(panels), 6.3), layout="constrained")
    for axes, names, title in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, titles, strict=True):
        _scatter(axes, points, names, shown)
        axes.set_title(title, fontsize=11)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=9, frameon=False, markerscale=1.5)
    return save(figure, path)


def _agreement(findings: Sequence[str], clusters: Sequence[int]) -> str:
    shared = normalized_mutual_info_score(findings, clusters)
    return f"purity {purity(findings, clusters):.2f}, NMI {shared:.2f}"


def _majority(findings: Sequence[str | None], prototypes: Sequence[int]) -> dict[int, str]:
    """The most frequent finding of the images of each prototype; of equally frequent ones the first by name."""
    counts = Counter((p, f) for p, f in zip(prototypes, findings, strict=True) if f is not None)
    majority: dict[int, str] = {}
    for (prototype, finding), _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0][1])):
        majority.setdefault(prototype, finding)
    return majority


def _scatter(axes: Axes, points: np.ndarray, names: Sequence[str | None], shown: Sequence[str]) -> None:
    """Points with the color and the marker of their name, gray where it is none of those shown."""
    is_other = np.array([name not in shown for name in names])
    if is_other.any():
        axes.scatter(*points[is_other].T, s=9, color=_OTHER, label="others", linewidths=0)
    for name, color, marker in zip(shown, COLORS, MARKERS, strict=False):
        chosen = np.array([candidate == name for candidate in names])
        axes.scatter(*points[chosen].T, s=24, color=color, marker=marker, label=name, linewidths=0)
    axes.set(xticks=[], yticks=[])
