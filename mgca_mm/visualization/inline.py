"""Pictures within an HTML page."""

import base64

import cv2
import numpy as np


def fitted(image: np.ndarray, long_side: int) -> np.ndarray:
    """An image (H, W) or (H, W, 3), uint8, with this longer side in pixels."""
    scale = long_side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def jpeg_address(image: np.ndarray, quality: int) -> str:
    """Gray levels (H, W), or (H, W, 3) in RGB, as a ``data:`` address."""
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return data_address("jpeg", cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes())


def data_address(kind: str, content: bytes) -> str:
    """The file of a picture, such as ``png``, as a ``data:`` address."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
