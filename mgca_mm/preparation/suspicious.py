"""Prepared images that show nearly nothing: they were read, but perhaps not as their maker meant."""

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from mgca_mm.files import write_atomically

# Of 6,389 radiographs of three public sets one is suspicious by this, truly too bright: 57 % of it is 224 or more. Of
# the others at most 28 % is, at most 55 % is below 32, and the least deviation is 14.6.
_BLACK, _BLACK_SHARE = 32, 0.75
_WHITE, _WHITE_SHARE = 224, 0.5
_LEAST_DEVIATION = 8.0


class Suspicion(NamedTuple):
    """Why an image is suspicious: its kind and the number that says so.

    Attributes:
        kind: ``black`` or ``white``, of which the number is the share of such pixels, or ``constant``, of which it is
            the standard deviation in gray levels.
        number: Rounded to three digits.
    """

    kind: str
    number: float


def suspicion_of(image: np.ndarray) -> Suspicion | None:
    """Why an image (H, W), uint8 and without the padding to a square, is suspicious; None where it is not."""
    black, white = (np.count_nonzero(part) / image.size for part in (image < _BLACK, image >= _WHITE))
    deviation = cv2.meanStdDev(image)[1].item()
    for kind, number, is_one in (
        ("black", black, black >= _BLACK_SHARE),
        ("white", white, white >= _WHITE_SHARE),
        ("constant", deviation, deviation < _LEAST_DEVIATION),
    ):
        if is_one:
            return Suspicion(kind, round(float(number), 3))
    return None


def write_suspicious(path: Path, rows: Sequence[tuple[str, str, Suspicion]]) -> str | None:
    """Write a csv file of image_id, file, kind and number, with the header alone where there is none.

    Returns:
        One line that says how many there are of each kind; None where there is none.
    """
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("image_id", "file", "kind", "number"))
    writer.writerows((image_id, image, *suspicion) for image_id, image, suspicion in rows)
    write_atomically(path, file.getvalue().encode("utf-8", "surrogateescape"))
    if not rows:
        return None
    kinds = Counter(suspicion.kind for _, _, suspicion in rows)
    counts = ", ".join(f"{kinds[kind]:,} {kind}" for kind in sorted(kinds))
    return f"{len(rows):,} images show nearly nothing ({counts}); {path.name} names them"
