"""A map laid over a radiograph lands where the crop took its pixels from."""

import cv2
import numpy as np
import pytest

from mgca_mm.radiographs.frame import Frame
from mgca_mm.radiographs.reading import resize_and_pad


@pytest.mark.parametrize("shape", [(256, 256), (200, 160), (90, 333), (1000, 700), (31, 64)])
@pytest.mark.parametrize(("square", "crop", "side"), [(256, 224, 14), (128, 112, 7), (128, 112, 56)])
def test_map_comes_back_to_its_place(shape, square, crop, side):
    """A blob goes through resizing, padding, cropping and pooling; its map must have its center at the blob's."""
    height, width = shape
    y, x = 0.55 * height, 0.4 * width
    rows, columns = np.mgrid[:height, :width] + 0.5
    spread = 0.12 * max(shape)
    blob = 255 * np.exp(-0.5 * ((rows - y) ** 2 + (columns - x) ** 2) / spread**2)
    start = round((square - crop) / 2)
    seen = resize_and_pad(blob.round().astype(np.uint8), square)[start : start + crop, start : start + crop]
    grid = cv2.resize(seen.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    laid = Frame(square, crop).to_image(grid, height, width)
    assert laid.shape == shape
    weights = np.nan_to_num(laid) * (blob > 0)
    inside = ~np.isnan(laid)
    reference = blob * inside
    for axis in (rows, columns):
        found, expected = (axis * weights).sum() / weights.sum(), (axis * reference).sum() / reference.sum()
        assert abs(found - expected) < 0.03 * max(shape)


def test_unseen_borders_are_nan():
    laid = Frame(256, 224).to_image(np.ones((14, 14)), 512, 512)
    seen = ~np.isnan(laid)
    assert seen.sum() == 448**2
    assert seen[32:-32, 32:-32].all()
    np.testing.assert_allclose(laid[seen], 1)


def test_regions_of_pixels():
    frame = Frame(128, 112)
    assert frame.to_grid(8, 8, 128, 128, 7) == (0, 0)
    assert frame.to_grid(119, 8, 128, 128, 7) == (0, 6)
    assert frame.to_grid(64, 119, 128, 128, 7) == (6, 3)
    assert frame.to_grid(7, 64, 128, 128, 7) is None
    assert frame.to_grid(64, 120, 128, 128, 7) is None
    # Every seen pixel's region is the one whose value the map has there.
    grid = np.arange(49.0).reshape(7, 7)
    laid = frame.to_image(np.kron(grid, np.ones((16, 16))), 128, 128)
    for y, x in np.random.default_rng(0).integers(8, 120, (50, 2)):
        row, column = frame.to_grid(x, y, 128, 128, 7)
        assert laid[y, x] == grid[row, column]


@pytest.mark.parametrize("shape", [(1000, 1000), (1000, 700), (37, 91), (24, 24)])
def test_each_seen_pixel_has_a_region(shape):
    """Also where the center of a pixel lies on the border of the crop, as row 937 of 1,000."""
    frame = Frame(256, 224)
    seen = frame.seen(*shape)
    rows, columns = (np.unique(np.linspace(0, side - 1, 401).round().astype(int)) for side in shape)
    rows = np.union1d(rows, [shape[0] // 16 - 1, 15 * shape[0] // 16])
    for y in rows:
        for x in columns[::20]:
            assert (frame.to_grid(x, y, *shape, 14) is not None) == seen[y, x]
