"""Pixels of other libraries to eight gray bits: PIL images, NumPy arrays and torch tensors of any shape and type."""

import numpy as np
import torch
from PIL import Image, ImageOps

from mgca_mm.errors import UserError
from mgca_mm.radiographs.grays import shown_range, stretch, to_eight_bits

_LUMA = (0.299, 0.587, 0.114)  # of ITU-R BT.601, as OpenCV reads a color file
_OVERSHOOT = 0.1  # of the range of gray levels


def pixels_of(picture: object, name: str) -> np.ndarray | None:
    """The pixels of a PIL image, a tensor or an array; None for anything else.

    Raises:
        UserError: They cannot be read.
    """
    try:
        if isinstance(picture, Image.Image):
            picture = ImageOps.exif_transpose(picture)  # as OpenCV does with a file
            if picture.mode not in ("1", "L", "LA", "RGB", "RGBA", "I", "F") and not picture.mode.startswith("I;16"):
                picture = picture.convert("RGB")
            return np.asarray(picture)
        if isinstance(picture, torch.Tensor):
            picture = picture.detach().cpu()
            return (picture.float() if picture.dtype == torch.bfloat16 else picture).numpy()
        return np.asarray(picture) if isinstance(picture, np.ndarray) or hasattr(picture, "__array__") else None
    except Exception as error:  # of a picture that is read only now, or a tensor without values
        raise UserError(
            f"{name}: the {type(picture).__name__} cannot be read.\nGive its pixels as a NumPy array."
        ) from error


def gray_images(array: np.ndarray, name: str) -> list[np.ndarray]:
    """The images of an array, each as if it was given alone.

    Args:
        array: Gray (H, W), also with an axis of length 1; colors (H, W, 3 or 4) or (3, H, W) with equal planes;
            several as (N, H, W), (N, H, W, C) or (N, C, H, W). Transparency is ignored. Numbers of 8 bits, and others
            from 0 to 255, are gray levels; bool and floating-point numbers from 0 to 1 become 0 to 255. What is a
            little outside, as interpolation leaves it, is clipped: floating-point numbers below 2 count as 0 to 1. All
            others, normalized ones with their negative numbers too, are stretched over the range of each image, as
            16-bit files are.
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
    return [_gray_levels(planes) for planes in _images(array, said)]


def _images(array: np.ndarray, said: str) -> np.ndarray:
    """Images (N, H, W, 1 or 3) of the array."""
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
        return array[..., None]
    if array.shape[-1] > 4:
        raise UserError(f"{said} is no image.\nGive (H, W), (H, W, 3), or several as (N, H, W) or (N, H, W, 3).")
    return array[..., : 1 if array.shape[-1] < 3 else 3]  # without transparency


def _gray_levels(planes: np.ndarray) -> np.ndarray:
    """Gray levels (H, W), uint8, of one image (H, W, 1 or 3)."""
    low, high, kind = planes.min(), planes.max(), planes.dtype.kind
    gray = planes[..., 0] if planes.shape[-1] == 1 else planes @ np.array(_LUMA)
    if kind != "f" and low >= 0 and 255 < high < 2**16:
        return to_eight_bits(np.rint(gray).astype(np.uint16))
    top = 1 if kind == "b" or (kind == "f" and high < 2) else 255
    outside = _OVERSHOOT * top if kind == "f" else 0
    # Normalized numbers are below 0 as far as they are above.
    if (top == 1 or high <= top + outside) and (low >= 0 or (low >= -outside and high > outside)):
        return stretch(gray, 0, top)
    return stretch(gray, *shown_range(gray.ravel(), np.ones(gray.size, int)))
