"""What a training will see of a prepared folder, in a few numbers beside those of sets that are known to train."""

from collections.abc import Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from mgca_mm.prepared import STORE, open_store, read_annotations, row_of
from mgca_mm.reports.tokenizer import load_tokenizer

_SAMPLE = 200
_PIECES = 112  # a report's, in the protocol, with the marks of its ends
_BLACK, _WHITE = 8, 247  # of 0 to 255
# Measured by this module: the phantom (mimic_cxr, 1,000 patients, seed 0), and what can be had of real ones without an
# account: words of the reports of Open-i, grays of the frontal images of covid-chestxray.
_OF_IMAGES = ("mean gray, 0 to 255", "contrast (standard deviation)", "black pixels, %", "white pixels, %")
_OF_REPORTS = (
    *("words a report", "pieces a word", "vocabulary known, %", "vocabulary in one piece, %"),
    f"reports over {_PIECES} pieces, %",
)
REFERENCES = {
    "phantom": dict(zip(_OF_IMAGES + _OF_REPORTS, (108.6, 74.5, 16.0, 0.0, 54.3, 1.0, 100.0, 100.0, 0.0), strict=True)),
    "public": dict(zip(_OF_IMAGES + _OF_REPORTS, (120.8, 65.0, 15.0, 0.2, 34.7, 1.1, 100.0, 100.0, 0.0), strict=True)),
}
_POINTS = 10  # of a share in percent that are much


def describe(folder: Path) -> dict[str, float]:
    """Statistics of up to 200 training images, and of as many of their reports, spread evenly over the list.

    Images are rows of the store, the padding of the square included; reports are cut by the folder's tokenizer.

    Args:
        folder: A prepared folder without faults.

    Returns:
        Number by name, in the order in which they are shown; those of reports only where there are reports, none at all
        for a folder made with ``--annotations-only``.

    Raises:
        UserError: A file of the folder cannot be read.
    """
    entries = read_annotations(folder / "train.json")[1]
    statistics = {}
    if (folder / STORE).is_file():
        store = open_store(folder / STORE)
        # Sets of boxes or masks alone have no image-level lists.
        rows = [entry["image_index"] for entry in entries] or range(len(store))
        statistics |= _of_images(np.stack([row_of(store, row, folder / STORE) for row in _spread(rows)]))
    reports = {entry.get("study_id", entry["image_id"]): entry["report"] for entry in entries if "report" in entry}
    if reports:
        statistics |= _of_reports(_spread(list(reports.values())), folder / "tokenizer")
    return statistics


def table(statistics: Mapping[str, float]) -> list[str]:
    """Lines of a table, none of no statistics: each statistic beside those of the sets that are known.

    One far from all of them (ten points of a share, else a factor of two) has an arrow, for somebody to look at.
    """
    if not statistics:
        return []
    columns = ["this folder", *REFERENCES]
    lines = [f"{'':<32}" + "".join(f"{column:>13}" for column in columns)]
    for name, value in statistics.items():
        known = [reference[name] for reference in REFERENCES.values()]
        cells = (f"{number:13.1f}" for number in (value, *known))
        if name.endswith("%"):
            is_far = not min(known) - _POINTS <= value <= max(known) + _POINTS
        else:
            is_far = not min(known) / 2 <= value <= max(known) * 2
        lines.append(f"{name:<32}{''.join(cells)}{'  <-- look at it' if is_far else ''}")
    return lines


def _of_images(images: np.ndarray) -> dict[str, float]:
    """Of images (N, S, S) uint8."""
    contrast = images.reshape(len(images), -1).std(1).mean()
    numbers = images.mean(), contrast, 100 * (images < _BLACK).mean(), 100 * (images > _WHITE).mean()
    return dict(zip(_OF_IMAGES, map(float, numbers), strict=True))


def _of_reports(reports: Sequence[Sequence[str]], tokenizer: Path) -> dict[str, float]:
    """Of cleaned reports, each a list of sentences."""
    texts = [" ".join(report) for report in reports]
    words = set(chain.from_iterable(text.split() for text in texts))
    learnt = load_tokenizer(str(tokenizer))
    pieces = learnt(texts, verbose=False)["input_ids"]
    of_words = learnt(sorted(words), add_special_tokens=False)["input_ids"]
    num_words = sum(len(text.split()) for text in texts)
    numbers = (
        num_words / len(texts),
        sum(map(len, pieces)) / num_words,
        100 * np.mean([learnt.unk_token_id not in word for word in of_words]),
        100 * np.mean([len(word) == 1 for word in of_words]),
        100 * np.mean([len(report) > _PIECES for report in pieces]),
    )
    return dict(zip(_OF_REPORTS, map(float, numbers), strict=True))


def _spread(values: Sequence) -> list:
    """Up to :data:`_SAMPLE` of some values, evenly spread."""
    return [values[index] for index in np.linspace(0, len(values) - 1, min(_SAMPLE, len(values))).astype(int)]
