"""From the numbers of an image to the eight gray bits of a display, where nothing says which of them to show.

Numbers of 8 and 16 bits are counted and looked up by their bit patterns ("cells"): what is computed is a table of 256
or 65,536 grays, not an image of floats.
"""

import numpy as np

_ROWS = 64  # of an image at once: to count or to index, numpy makes numbers that take many times its memory.


def cells_of(pixels: np.ndarray) -> np.ndarray:
    """The bit patterns of 8- or 16-bit integers, as unsigned ones in the machine's byte order."""
    pixels = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
    return pixels.view(f"u{pixels.itemsize}")


def count_cells(cells: np.ndarray) -> np.ndarray:
    """How often each bit pattern is in an image (H, W): 256 or 65,536 numbers."""
    size = np.iinfo(cells.dtype).max + 1
    return sum(
        np.bincount(cells[start : start + _ROWS].ravel(), minlength=size) for start in range(0, len(cells), _ROWS)
    )


def look_up(table: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """What a table of uint8 has for each bit pattern of an image."""
    found = np.empty(cells.shape, np.uint8)
    for start in range(0, len(cells), _ROWS):
        found[start : start + _ROWS] = table[cells[start : start + _ROWS]]
    return found


def shown_range(values: np.ndarray, counts: np.ndarray) -> tuple[float, float]:
    """The darkest and the brightest gray to show, of some values and how often an image has each.

    The 0.2nd and the 99.8th percentile, and of 100 to 500 pixels all but the two at the ends, so that pixels which a
    detector reads wrongly do not darken the image: a dead row has a 2,000th or a 1,000th of them. What is small and
    truly bright, as a marker of lead, stays white. Where the percentiles are one gray, an image of few grays, the ends
    of the values count.
    """
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(counts[order])
    total = int(reached[-1])
    spared = -(-total // 500) if total >= 100 else 0
    for ranks in ((spared, total - 1 - spared), (0, total - 1)):
        low, high = values[order[np.searchsorted(reached, ranks, side="right")]]
        if low < high:
            break
    return float(low), float(high)


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map low … high to 0 … 255, rounded and clipped, uint8; a range without extent is black."""
    if high == low:
        return np.zeros(values.shape, np.uint8)
    return np.rint(np.clip((values.astype(np.float64) - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)


def to_eight_bits(image: np.ndarray) -> np.ndarray:
    """Gray levels (H, W) of a 16-bit image: a range below 256 stays, another is stretched (:func:`shown_range`)."""
    counts = count_cells(image)
    values = np.arange(len(counts))
    low, high = shown_range(values, counts)
    if high < 256:
        low, high = 0, 255
    return look_up(stretch(values, low, high), image)
