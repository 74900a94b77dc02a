"""The run-length masks of SIIM-ACR against a reference that walks over the pixels."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mgca_mm.phantom.layouts.siim_pneumothorax import encode_rle
from mgca_mm.preparation.siim_pneumothorax import parse_rle


def decode_rle(text, height, width):
    return coco_mask.decode(parse_rle(text, height, width))


def slow_encode(mask):
    height, width = mask.shape
    numbers, gap, length = [], 0, 0
    for x in range(width):
        for y in range(height):
            if mask[y, x]:
                length += 1
            elif length:
                numbers += [gap, length]
                gap, length = 1, 0
            else:
                gap += 1
    return " ".join(map(str, numbers + ([gap, length] if length else [])))


def slow_decode(text, height, width):
    mask = np.zeros((height, width), bool)
    numbers, position = [int(word) for word in text.split()], 0
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        position += gap
        for _ in range(length):
            mask[position % height, position // height] = True
            position += 1
    return mask


def test_identity_and_reference_on_a_thousand_masks():
    rng = np.random.default_rng(0)
    for index in range(1000):
        height, width = rng.integers(1, 24, 2)
        # From speckles to large blocks, edges and corners included.
        mask = rng.random((height, width)) < rng.choice([0.02, 0.3, 0.9, 1.0])
        if index % 3 == 0:
            y, x = rng.integers(0, height), rng.integers(0, width)
            mask[y:, x:] = True
        text = encode_rle(mask)
        assert text == slow_encode(mask)
        if text:
            decoded = decode_rle(text, height, width)
            np.testing.assert_array_equal(decoded, mask)
            np.testing.assert_array_equal(decoded, slow_decode(text, height, width))


def test_the_published_grid():
    """Offsets count from the end of the run before, down the columns."""
    mask = decode_rle("1023 2 1022 1", 1024, 1024)
    assert mask.dtype == np.uint8 and mask.shape == (1024, 1024)
    assert sorted(zip(*np.nonzero(mask), strict=True)) == [(0, 1), (1023, 0), (1023, 1)]


def test_the_whole_grid_and_runs_that_touch():
    assert decode_rle("0 12", 3, 4).all()
    assert decode_rle("0 5 0 7", 3, 4).all()
    assert not decode_rle("3 0", 3, 4).any()
    assert decode_rle("  2   1 \n 1 1", 3, 4).sum() == 2


@pytest.mark.parametrize(
    "text",
    ["", "5", "1 2 3", "-1 2", "1 -2", "1.0 2", "0 13", "12 1", "a b", "1_0 2", "１ 2", "9" * 19 + " 1", "9" * 5000],
)
def test_refused(text):
    with pytest.raises(ValueError, match="run-length mask"):
        decode_rle(text, 3, 4)


def test_sums_beyond_64_bits_are_refused():
    with pytest.raises(ValueError, match="ends beyond"):
        decode_rle(" ".join(["999999999999999999"] * 40), 1024, 1024)
