"""What the prototypes of MGCA stand for: the images nearest to each, and the words of their reports."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from .style import save

_IMAGES = 6
_NEIGHBORS = 20  # reports whose words are looked at
_WORDS = 6


def characteristic_words(reports: Sequence[str], nearest: Sequence[int], count: int = _WORDS) -> list[str]:
    """Words that stand in more of some reports than in the others.

    Args:
        reports: All reports.
        nearest: Positions of those in question.
        count: How many words.

    Returns:
        Those with the largest difference of the shares of reports they stand in, the largest first.
    """
    words = [set(report.split()) for report in reports]
    everywhere = Counter(word for found in words for word in found)
    here = Counter(word for position in nearest for word in words[position])
    gain = {word: here[word] / len(nearest) - everywhere[word] / len(reports) for word in here if len(word) > 2}
    return sorted(gain, key=lambda word: (-gain[word], word))[:count]


def draw_prototypes(
    image_scores: np.ndarray,
    report_scores: np.ndarray,
    images: Sequence,
    reports: Sequence[str],
    path: str | Path,
    count: int = 6,
) -> Path:
    """Draw the prototypes that most images choose.

    Args:
        image_scores: (N, K) cosine of images and prototypes.
        report_scores: (N, K) of their reports.
        images: N :class:`mgca_mm.apis.inputs.NamedImage`.
        reports: N texts.
        path: File to write.
        count: Prototypes to draw.

    Returns:
        The file.
    """
    chosen = Counter(image_scores.argmax(axis=1).tolist()).most_common(count)
    columns = min(_IMAGES, len(images))
    figure = Figure(figsize=(1.9 * columns, 2.4 * len(chosen)), layout="constrained")
    rows = figure.subfigures(len(chosen), 1, squeeze=False)[:, 0]
    for row, (prototype, size) in zip(rows, chosen, strict=True):
        nearest_reports = np.argsort(-report_scores[:, prototype])[:_NEIGHBORS]
        words = ", ".join(characteristic_words(reports, nearest_reports))
        row.suptitle(
            f"prototype {prototype}, the nearest of {size} images; words: {words}", x=0.01, ha="left", fontsize=9
        )
        nearest_images = np.argsort(-image_scores[:, prototype])[:columns]
        for axes, position in zip(row.subplots(1, columns, squeeze=False)[0], nearest_images, strict=True):
            axes.imshow(images[position].read(), cmap="gray", vmin=0, vmax=255)
            axes.set_xlabel(f"{image_scores[position, prototype]:.2f}", fontsize=7)
            axes.set(xticks=[], yticks=[])
    return save(figure, path)
