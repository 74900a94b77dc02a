"""Boxes and masks, from the pixels of the raw image to those of the prepared one."""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from mgca_mm.errors import UserError
from mgca_mm.radiographs.headers import JPEG_MAGIC, PNG_MAGIC
from mgca_mm.radiographs.reading import Placement, read_radiograph, resize_and_pad

from .collection import Box, MaskFile
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


def draw_mask(
    parts: Sequence[Box | dict | str | MaskFile], shape: tuple[int, int], raw: RawFolder, num_classes: int = 2
) -> np.ndarray:
    """The mask (H, W) uint8 of classes, 0 the background, that is the union of some parts (see :class:`.Sample`).

    Raises:
        UserError: A part cannot be read, has another grid than the image, or pixels of no class.
    """
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
            is_own = isinstance(part, MaskFile)
            path = raw.file(part.path if is_own else part)
            drawn = read_mask(path, part.label, num_classes) if is_own else (read_radiograph(path) > 127).view(np.uint8)
            if drawn.shape != shape:
                raise UserError(
                    f"{path}: a mask of {drawn.shape[1]} x {drawn.shape[0]} pixels for an image of "
                    f"{shape[1]} x {shape[0]}"
                )
            mask = np.where(drawn, drawn, mask)
    return mask


def read_mask(path: Path, label: int | None, num_classes: int) -> np.ndarray:
    """A mask (H, W) uint8 of classes from a file of a user's own.

    What is brighter than half becomes one class: 1 of 0 and 1, 255 of 0 and 255, the index of a palette, the brightest
    of the three colors. Without a label the values themselves are the classes: gray levels, or indices of a palette.

    Args:
        path: The file.
        label: The class; None for all of them.
        num_classes: Classes, the background among them.

    Raises:
        UserError: The file cannot be read, or its values are none of the classes.
    """
    values = read_radiograph(path)  # which refuses what is broken or huge
    data = path.read_bytes()
    is_exact = not data.startswith(JPEG_MAGIC)
    if data.startswith(PNG_MAGIC):  # as they are stored: palettes and sixteen bits, too
        values = np.asarray(Image.open(io.BytesIO(data)))
    if values.ndim == 3:
        colors = values[..., : 3 if values.shape[2] > 2 else 1]
        if label is None and (colors != colors[..., :1]).any():
            raise UserError(f"{path}: a mask in colors, which name no classes\nSave their numbers as gray levels.")
        values = colors.max(axis=2)
    values = values.astype(np.int32)
    highest = int(values.max())
    if label is None:
        if not is_exact:
            raise UserError(f"{path}: a JPEG mixes the numbers of classes; save the mask as PNG")
        if highest >= num_classes:
            raise UserError(f"{path}: a pixel is {highest}, but the {num_classes} classes are 0 to {num_classes - 1}")
        return values.astype(np.uint8)
    if is_exact and 1 < highest < 128:
        raise UserError(
            f"{path}: the brightest pixel is {highest}, neither 1 nor bright\nIf these are numbers of classes, name "
            "the classes in classes.txt, one a line, the background first."
        )
    half = 0 if is_exact and highest == 1 else max(127, highest // 2)
    return np.where(values > half, label, 0).astype(np.uint8)


def place_boxes(boxes: Sequence[Box] | None, shape: tuple[int, int], size: int) -> list[Box] | None:
    """Move boxes of an image (height, width) into the square that it became (see :class:`Placement`)."""
    if boxes is None:
        return None
    place = Placement.of(*shape, size)
    return [Box(*place.of_box(*box[:4], shape), *box[4:]) for box in boxes]


def place_mask(mask: np.ndarray, size: int, num_classes: int = 2) -> np.ndarray:
    """Shrink a mask (H, W) of classes into the square (size, size) that its image became.

    A pixel gets the class that covers most of it, and the background where that covers more than any; of two classes: 1
    where at least half is covered. Numbers of classes are never averaged.
    """
    classes = range(1, num_classes)
    covered = np.stack([resize_and_pad((mask == label).astype(np.float32), size) for label in classes])
    background = 1 - covered.sum(axis=0)
    return np.where(covered.max(axis=0) >= background, covered.argmax(axis=0) + 1, 0).astype(np.uint8)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write an image or a mask (H, W) uint8.

    Raises:
        OSError: The disk is full, for instance.
    """
    path.parent.mkdir(parents=True, exist_ok=True)  # names of images may have folders
    # Encoded apart from writing: cv2.imwrite returns False without saying why.
    _, data = cv2.imencode(".png", pixels, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    path.write_bytes(data.tobytes())
