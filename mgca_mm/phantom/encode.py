"""From pixels to the bytes of an image file."""

import cv2
import numpy as np

_JPEG_QUALITY = 92


def encode_image(pixels: np.ndarray, suffix: str) -> bytes:
    """The content of a JPEG or PNG file, by its suffix, of gray pixels, uint8 (H, W), or uint16 in PNG."""
    parameters = () if suffix == ".png" else (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY)
    _, encoded = cv2.imencode(suffix, pixels, parameters)
    return encoded.tobytes()
