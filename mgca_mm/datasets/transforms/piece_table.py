"""Word pieces of many texts in memory that a loader's workers share."""

import array
import hashlib
from collections.abc import Iterable, Sequence

import numpy as np


class PieceTable:
    """Numbers of each of many texts, found by the text.

    Texts are known by 128 bits of their BLAKE2b digests, and not kept. All stands in three arrays: a ``dict`` of as
    many objects would be copied into each forked worker, which counts references to what it reads.

    Args:
        items: Texts, and the numbers (int32) of each.
    """

    def __init__(self, items: Iterable[tuple[str, Sequence[int]]]):
        digests, numbers, ends = [], array.array("i"), array.array("q", [0])
        for text, found in items:
            digests.append(_digest(text))
            numbers.extend(found)
            ends.append(len(numbers))
        unsorted = np.array(digests, dtype="S32")
        self._order = unsorted.argsort()
        self._digests = unsorted[self._order]
        self._ends = np.frombuffer(ends, dtype=np.int64)
        self._numbers = np.frombuffer(numbers, dtype=np.int32)

    def __len__(self) -> int:
        return len(self._digests)

    def get(self, text: str) -> np.ndarray | None:
        """The numbers of a text; None where it is not among those of the table."""
        digest = _digest(text)
        place = self._digests.searchsorted(digest)
        if place == len(self._digests) or self._digests[place] != digest:
            return None
        row = self._order[place]
        return self._numbers[self._ends[row] : self._ends[row + 1]]


def _digest(text: str) -> bytes:
    # As hexadecimal digits: NumPy drops zeros at the end of bytes.
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest().encode()
