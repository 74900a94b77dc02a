"""Geometry of radiographs."""

from mmcv.transforms import BaseTransform

from mgca_mm.errors import require_positive
from mgca_mm.radiographs.reading import resize_and_pad
from mgca_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeAndPad(BaseTransform):
    """Long side to ``size`` by area interpolation, zero padding to a centered square (docs/protocol.md#data).

    The prepared image store has been through it already; this is for images read from files.

    Required and modified keys: ``img`` (H, W) uint8, ``img_shape``.

    Args:
        size: Side length of the square.
    """

    def __init__(self, size: int = 256):
        require_positive(size=size)
        self.size = size

    def transform(self, results: dict) -> dict:
        """Resize and pad one radiograph; it stays as it is where it has the size already."""
        if results["img"].shape != (self.size, self.size):
            results["img"] = resize_and_pad(results["img"], self.size)
        results["img_shape"] = results["img"].shape[:2]
        return results
