"""Pixels of other libraries to eight gray bits: PIL images, NumPy arrays and torch tensors of any shape and type."""

import numpy as np
import torch
from PIL import Image, ImageOps

from mgca_mm.errors import UserError
from mgca_mm.radiographs.grays import shown_range, stretch, to_eight_bits

_LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as OpenCV reads a color file


def pixels_of(picture: object, name: str) -> np.ndarray | None:
    """The pixels of a PIL image, a tensor or an array; None for anything else.

    Raises:
        UserError: They cannot be read.
    """
    try:
        if isinstance(picture, Image.Image):
            if picture.format in ("JPEG", "MPO"):  # as OpenCV does with the file
                picture = ImageOps.exif_transpose(picture)
            if picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "F") and not picture.mode.startswith("I;16"):
                picture = picture.convert("RGB")
            return np.asarray(picture)
        if isinstance(picture, torch.Tensor):
            picture = picture.detach().cpu()
            return (picture.float() if picture.dtype == torch.bfloat16 else picture).numpy()
    except Exception as error:  # of a picture that is read only now, or a tensor without values
        raise UserError(f"{name}: the {type(picture).__name__} cannot be read") from error
    return np.asarray(picture) if isinstance(picture, np.ndarray) or hasattr(picture, "__array__") else None


def gray_images(array: np.ndarray, name: str) -> list[np.ndarray]:
    """The images of an array.

    Args:
        array: Gray (H, W), also with an axis of length 1; colors (H, W, 3 or 4) or (3, H, W) with equal planes;
            several as (N, H, W), (N, H, W, C) or (N, C, H, W). Transparency is ignored. Numbers of 8 bits, and others
            from 0 to 255, are gray levels; bool and floating-point numbers from 0 to 1 become 0 to 255; all others
            are stretched over the range of each image, as 16-bit files are.
        name: For the messages.

    Returns:
        Gray levels (H, W), uint8.

    Raises:
        UserError: The array is of another shape or type, is empty, or has numbers that are not finite.
    """
    said = f"{name}: an array of {array.dtype} {array.shape}"
    if array.dtype.kind not in "buif":
        raise UserError(f"{said} has no gray levels.\nGive integers, floating-point numbers or bool.")
    if array.size == 0 or not 2 <= array.ndim <= 4:
        raise UserError(f"{said} is no image.\nGive (H, W), (H, W, 3), or several as (N, H, W) or (N, H, W, 3).")
    if not np.isfinite(array).all():
        raise UserError(f"{said} has NaN or infinite values.\nReplace them, as by numpy.nan_to_num.")
    images = list(_gray(array, said))
    low, high = array.min(), array.max()
    if array.dtype == bool or (array.dtype.kind == "f" and low >= 0 and high <= 1):
        return [np.rint(image * 255.0).astype(np.uint8) for image in images]
    if low >= 0 and high <= 255:
        return [np.rint(image).astype(np.uint8) for image in images]
    if array.dtype.kind != "f" and low >= 0 and high < 2**16:
        return [to_eight_bits(np.rint(image).astype(np.uint16)) for image in images]
    return [stretch(image, *shown_range(image.ravel(), np.ones(image.size, int))) for image in images]


def _gray(array: np.ndarray, said: str) -> list[np.ndarray]:
    """Images (H, W) of the numbers of the array, luma of colors in floating point."""
    if array.ndim == 4:
        if array.shape[-1] > 4 and array.shape[1] <= 4:
            array = np.moveaxis(array, 1, -1)
    elif array.ndim == 3 and array.shape[-1] > 4 and array.shape[0] in (1, 3, 4):
        if (array[:3] != array[0]).any():
            raise UserError(
                f"{said} may be one image in color or several gray ones.\nGive (H, W, 3), or a list of (H, W)."
            )
        array = array[:1]
    elif array.ndim == 2 or array.shape[-1] <= 4:
        array = array[None]
    if array.ndim == 3:
        return list(array)
    if array.shape[-1] > 4:
        raise UserError(f"{said} is no image.\nGive (H, W), (H, W, 3), or several as (N, H, W) or (N, H, W, 3).")
    if array.shape[-1] < 3:  # gray, and transparency
        return list(array[..., 0])
    return list(array[..., :3] @ np.array(_LUMA))
