"""What the prototypes of MGCA stand for: the images nearest to each, and the words of their reports."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from mgca_mm.reports.finding_words import find_mentions

from .style import save

_IMAGES = 6
_NEIGHBORS = 20  # reports whose words are looked at
_WORDS = 6
_OF_ANY_REPORT = """seen noted identified present shows exam study prior previously interval evidence unchanged stable
new findings consistent possible"""
_SAYING_NOTHING = ENGLISH_STOP_WORDS.union(_OF_ANY_REPORT.split())


class Word(NamedTuple):
    """A word, the share of some reports that it stands in, and of all."""

    text: str
    here: float
    everywhere: float


def characteristic_words(reports: Sequence[Sequence[str]], nearest: Sequence[int], count: int = _WORDS) -> list[Word]:
    """Words that stand in more of some reports than in the others.

    Words of the language and of any report, such as "the" and "seen", do not count, nor what a report denies.

    Args:
        reports: All reports, each as its cleaned sentences.
        nearest: Positions of those in question.
        count: How many words.

    Returns:
        Those with the largest difference of the shares of reports they stand in, the largest first.
    """
    words = [_words_of(report) for report in reports]
    everywhere = Counter(word for found in words for word in found)
    here = Counter(word for position in nearest for word in words[position])
    found = [Word(word, here[word] / len(nearest), everywhere[word] / len(reports)) for word in here]
    return sorted(found, key=lambda word: (word.everywhere - word.here, word.text))[:count]


def _words_of(sentences: Sequence[str]) -> set[str]:
    """Words of a report that say what is there."""
    words = " ".join(sentences).split()
    denied = {place for m in find_mentions(sentences) if m.is_negated for place in range(m.start, m.stop)}
    kept = {word for place, word in enumerate(words) if place not in denied}
    return {word for word in kept - _SAYING_NOTHING if len(word) > 2}


def draw_prototypes(
    image_scores: np.ndarray,
    report_scores: np.ndarray,
    images: Sequence,
    reports: Sequence[Sequence[str]],
    path: str | Path,
    count: int = 6,
) -> Path:
    """Draw the prototypes that most images choose.

    Args:
        image_scores: (N, K) cosine of images and prototypes.
        report_scores: (N, K) of their reports.
        images: N :class:`mgca_mm.apis.inputs.NamedImage`.
        reports: N reports, each as its cleaned sentences.
        path: File to write.
        count: Prototypes to draw.

    Returns:
        The file.
    """
    chosen = Counter(image_scores.argmax(axis=1).tolist()).most_common(count)
    columns = min(_IMAGES, len(images))
    figure = Figure(figsize=(1.9 * columns, 2.5 * len(chosen)), layout="constrained")
    rows = figure.subfigures(len(chosen), 1, squeeze=False)[:, 0]
    for row, (prototype, size) in zip(rows, chosen, strict=True):
        nearest_reports = np.argsort(-report_scores[:, prototype])[:_NEIGHBORS]
        words = ", ".join(
            f"{word.text} {word.here:.0%} ({word.everywhere:.0%})"
            for word in characteristic_words(reports, nearest_reports)
        )
        title = f"prototype {prototype}, the nearest of {size} images\nin its reports (in all): {words}"
        row.suptitle(title, x=0.01, ha="left", fontsize=9)
        nearest_images = np.argsort(-image_scores[:, prototype])[:columns]
        for axes, position in zip(row.subplots(1, columns, squeeze=False)[0], nearest_images, strict=True):
            axes.imshow(images[position].read(), cmap="gray", vmin=0, vmax=255)
            axes.set_xlabel(f"{image_scores[position, prototype]:.2f}", fontsize=7)
            axes.set(xticks=[], yticks=[])
    return save(figure, path)
