"""Boxes and masks, from the pixels of the raw image to those of the prepared one."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as coco_mask

from mgca_mm.errors import UserError
from mgca_mm.radiographs.reading import Placement, read_radiograph, resize_and_pad

from .collection import Box
from .raw_folder import RawFolder


def cut_boxes(boxes: Sequence[Box] | None, shape: tuple[int, int] | None) -> list[Box] | None:
    """Boxes cut off at the edges of their image, beyond which those drawn by hand stick out by up to a hundredth.

    Args:
        boxes: In pixels; None where there can be none.
        shape: Height and width of the image, None where they are not known.

    Raises:
        UserError: A box is empty, reaches further, or is wholly outside; the message names its row.
    """
    if boxes is None:
        return None
    for box in boxes:
        if box.width <= 0 or box.height <= 0:
            raise UserError(f"{box.place}: a box without area; correct or remove it")
    if shape is None:
        return list(boxes)
    height, width = shape
    cut = []
    for box in boxes:
        right, bottom = box.x + box.width, box.y + box.height
        sticks_out = max(-box.x, right - width) > 0.01 * width or max(-box.y, bottom - height) > 0.01 * height
        # A box beside the image would have no extent once it is cut.
        if sticks_out or right <= 0 or bottom <= 0 or box.x >= width or box.y >= height:
            raise UserError(f"{box.place}: a box reaches out of the image of {width} x {height} pixels; correct it")
        left, top, right, bottom = max(box.x, 0), max(box.y, 0), min(right, width), min(bottom, height)
        cut.append(box._replace(x=left, y=top, width=right - left, height=bottom - top))
    return cut


def draw_mask(parts: Sequence[Box | dict | str], shape: tuple[int, int], raw: RawFolder) -> np.ndarray:
    """The mask (H, W) uint8, 0 or 1, that is the union of some parts (see :class:`.collection.Sample`).

    Raises:
        UserError: The mask cannot be read or has another grid than the image.
    """
    height, width = shape
    mask = np.zeros(shape, np.uint8)
    for part in parts:
        if isinstance(part, Box):
            # A pixel belongs to a box that covers its center; those before the edge would be counted from the end.
            edges = (part.x, part.y, part.x + part.width, part.y + part.height)
            left, top, right, bottom = np.rint(edges).astype(int).clip(0)
            mask[top:bottom, left:right] = 1
        elif isinstance(part, dict):
            mask |= coco_mask.decode(part)
        else:
            path = raw.file(part)
            drawn = read_radiograph(path)
            if drawn.shape != (height, width):
                raise UserError(
                    f"{path}: a mask of {drawn.shape[1]} x {drawn.shape[0]} pixels for an image of {width} x {height}"
                )
            mask |= drawn > 127
    return mask


def place_boxes(boxes: Sequence[Box] | None, shape: tuple[int, int], size: int) -> list[Box] | None:
    """Move boxes of an image (height, width) into the square that it became (see :class:`Placement`)."""
    if boxes is None:
        return None
    place = Placement.of(*shape, size)
    down, across = place.height / shape[0], place.width / shape[1]
    return [
        box._replace(
            x=box.x * across + place.left,
            y=box.y * down + place.top,
            width=box.width * across,
            height=box.height * down,
        )
        for box in boxes
    ]


def place_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """Shrink a mask (H, W) into the square (size, size) that its image became: 1 where at least half is covered."""
    return (resize_and_pad(mask.astype(np.float32), size) >= 0.5).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an image or a mask (H, W) uint8.

    Raises:
        OSError: The disk is full, for instance.
    """
    # Encoded apart from writing: cv2.imwrite returns False without saying why.
    _, data = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    path.write_bytes(data.tobytes())
