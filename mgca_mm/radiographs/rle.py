"""Run-length encoding of masks as the SIIM-ACR Pneumothorax challenge publishes them.

A mask is pairs of whole numbers, ``gap length gap length …``: pixels to skip since the end of the run before, then
pixels that belong to the mask. They count down the columns, the columns from left to right (a "transposed" grid).
"""

import numpy as np


def encode_rle(mask: np.ndarray) -> str:
    """Encode a mask (H, W); the empty mask gives the empty string.

    Example:
        >>> encode_rle(np.array([[0, 1, 1], [0, 1, 0]], bool))
        '2 3'
    """
    flat = np.concatenate([[False], np.asarray(mask, bool).T.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])  # start, end, start, end, …
    starts, ends = edges[::2], edges[1::2]
    gaps = starts - np.concatenate([[0], ends[:-1]]).astype(np.int64)[: len(starts)]
    return " ".join(map(str, np.stack([gaps, ends - starts], axis=1).ravel().tolist()))


def parse_rle(text: str, num_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Start and end of each run, counted in pixels from the first.

    Args:
        text: Pairs of numbers with white space between them.
        num_pixels: Size of the grid.

    Raises:
        ValueError: There are no pairs of whole numbers, or the runs end beyond the grid.
    """
    words = text.split()
    # int() would take signs, underscores and digits of other scripts; eighteen digits fit 64 bits.
    if not all(word.isascii() and word.isdigit() and len(word) <= 18 for word in words):
        raise ValueError("a run-length mask is made of whole numbers")
    if not words or len(words) % 2:
        raise ValueError("a run-length mask is made of pairs of numbers")
    # Python's numbers, for their sum may not fit 64 bits.
    if sum(map(int, words)) > num_pixels:
        raise ValueError(f"the run-length mask ends beyond the {num_pixels} pixels of the grid")
    gaps, lengths = np.array(words, dtype=np.int64).reshape(-1, 2).T
    ends = np.cumsum(gaps + lengths)
    return ends - lengths, ends


def decode_rle(text: str, height: int, width: int) -> np.ndarray:
    """Decode a mask; the inverse of :func:`encode_rle`.

    Args:
        text: Pairs of numbers with white space between them.
        height: Rows of the grid.
        width: Columns of the grid.

    Returns:
        Mask (H, W), bool.

    Raises:
        ValueError: As for :func:`parse_rle`.
    """
    starts, ends = parse_rle(text, height * width)
    # +1 where a run starts, -1 where it ends; runs that touch cancel out.
    steps = np.zeros(height * width + 1, np.int8)
    np.add.at(steps, starts, 1)
    np.add.at(steps, ends, -1)
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool).reshape(width, height).T
