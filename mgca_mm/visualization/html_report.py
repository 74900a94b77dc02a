"""A run in one HTML file that can be sent: nothing in it is asked of elsewhere, and nothing of it runs."""

import base64
import io
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

_TEMPLATE = Path(__file__).with_suffix(".html")
_LONG_SIDE = 288  # of a radiograph, in pixels: sharp at the size that the page shows, and 10 KB


def render(**content: object) -> str:
    """The page.

    Args:
        **content: What ``html_report.html`` names; texts are escaped.

    Raises:
        jinja2.UndefinedError: Something is missing.
    """
    # Escaped whatever it is: reports and names of classes come from files of others.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(content)


def embed_image(image: np.ndarray) -> str:
    """A picture as a ``data:`` address.

    Args:
        image: (H, W) or (H, W, 3) RGB, uint8, of any size.
    """
    height, width = image.shape[:2]
    scale = _LONG_SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    pixels = cv2.cvtColor(resized, cv2.COLOR_RGB2BGR) if resized.ndim == 3 else resized
    _, encoded = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, 88))
    return _address("jpeg", encoded.tobytes())


def embed_figure(figure: Figure) -> str:
    """A figure as a ``data:`` address, with lines that stay sharp in any size."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return _address("svg+xml", content.getvalue())


def _address(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
