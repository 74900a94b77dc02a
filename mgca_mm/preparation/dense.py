"""Boxes and masks, from the pixels of the raw image to those of the prepared one."""

from pathlib import Path

import cv2
import numpy as np

from mgca_mm.errors import UserError
from mgca_mm.radiographs.reading import Placement, read_radiograph
from mgca_mm.radiographs.rle import decode_rle

from .collection import BoxMask, RleMask, Sample
from .raw_folder import RawFolder


def check_boxes(sample: Sample) -> None:
    """Make sure that a sample's boxes have an area and, where the image's shape is known, lie in it.

    A box may stick out by a hundredth of the side, as those drawn by hand do; it is cut off at the edge.

    Raises:
        UserError: A box is empty, reaches further, or is wholly outside; the message names its row.
    """
    for box in sample.boxes or ():
        if box.width <= 0 or box.height <= 0:
            raise UserError(f"{box.place}: a box without area; correct or remove it")
    if sample.shape is None:
        return
    height, width = sample.shape
    boxes = []
    for box in sample.boxes or ():
        right, bottom = box.x + box.width, box.y + box.height
        sticks_out = max(-box.x, right - width) > 0.01 * width or max(-box.y, bottom - height) > 0.01 * height
        # A box beside the image would have no extent once it is cut.
        if sticks_out or right <= 0 or bottom <= 0 or box.x >= width or box.y >= height:
            raise UserError(f"{box.place}: a box reaches out of the image of {width} x {height} pixels; correct it")
        left, top, right, bottom = max(box.x, 0), max(box.y, 0), min(right, width), min(bottom, height)
        boxes.append(box._replace(x=left, y=top, width=right - left, height=bottom - top))
    if sample.boxes is not None:
        sample.boxes = boxes


def draw_mask(sample: Sample, raw: RawFolder) -> np.ndarray:
    """A sample's mask (H, W) uint8, 0 or 1, on the grid of its raw image.

    Raises:
        UserError: The mask cannot be read or has another grid than the image.
    """
    height, width = sample.shape
    mask = np.zeros((height, width), np.uint8)
    if isinstance(sample.mask, BoxMask):
        for box in sample.boxes:
            # A pixel belongs to a box that covers its centre.
            left, top, right, bottom = np.rint((box.x, box.y, box.x + box.width, box.y + box.height)).astype(int)
            mask[top:bottom, left:right] = 1
    elif isinstance(sample.mask, RleMask):
        for run in sample.mask.runs:
            try:
                mask |= decode_rle(run, height, width)
            except ValueError as error:
                raise UserError(f"{sample.image_id}: {error}; correct its row") from error
    elif sample.mask is not None:
        path = raw.file(sample.mask.path)
        drawn = read_radiograph(path)
        if drawn.shape != (height, width):
            raise UserError(
                f"{path}: a mask of {drawn.shape[1]} x {drawn.shape[0]} pixels for an image of {width} x {height}"
            )
        mask[:] = drawn > 127
    return mask


def place_boxes(sample: Sample, size: int) -> None:
    """Move a sample's boxes into the square of side ``size`` that its image became (see :class:`Placement`)."""
    height, width = sample.shape
    place = Placement.of(height, width, size)
    across, down = place.width / width, place.height / height
    sample.boxes = [
        box._replace(
            x=box.x * across + place.left,
            y=box.y * down + place.top,
            width=box.width * across,
            height=box.height * down,
        )
        for box in sample.boxes
    ]


def place_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Shrink a mask (H, W) into the square (size, size) that its image became: 1 where at least half is covered."""
    place = Placement.of(*mask.shape, size)
    covered = cv2.resize(mask * np.float32(1), (place.width, place.height), interpolation=cv2.INTER_AREA)
    square = np.zeros((size, size), np.uint8)
    square[place.top : place.top + place.height, place.left : place.left + place.width] = covered >= 0.5
    return square


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an image or a mask (H, W) uint8.

    Raises:
        OSError: The disk is full, for instance.
    """
    # Encoded apart from writing: cv2.imwrite returns False without saying why.
    _, data = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    path.write_bytes(data.tobytes())
