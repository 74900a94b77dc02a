"""Between a radiograph's pixels and the crop that a model sees."""

from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from .reading import Placement

Place = TypeVar("Place", float, np.ndarray)


@dataclass(frozen=True)
class Frame:
    """How radiographs come to a model: long side to a square, its center cut out (docs/protocol.md#data).

    Attributes:
        square: Side of the padded square, in pixels.
        crop: Side of the center crop of it that the model sees.
    """

    square: int
    crop: int

    def to_image(self, grid: np.ndarray, height: int, width: int) -> np.ndarray:
        """Lay a map over the radiograph it was computed from.

        Args:
            grid: (h, w) values of the regions of the crop.
            height: Rows of the radiograph.
            width: Its columns.

        Returns:
            (H, W) float32, bilinear between the centers of the regions; NaN where the crop has cut the image off.
        """
        y, x = self._in_crop(np.arange(height), np.arange(width), height, width)
        rows, columns = grid.shape
        map_y = np.repeat((y * rows / self.crop - 0.5)[:, None], width, 1).astype(np.float32)
        map_x = np.repeat((x * columns / self.crop - 0.5)[None], height, 0).astype(np.float32)
        laid = cv2.remap(grid.astype(np.float32), map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        laid[~self.seen(height, width)] = np.nan
        return laid

    def seen(self, height: int, width: int) -> np.ndarray:
        """(H, W) True where the model sees the radiograph, False where the crop has cut it off."""
        y, x = self._in_crop(np.arange(height), np.arange(width), height, width)
        return ((y >= 0) & (y < self.crop))[:, None] & (x >= 0) & (x < self.crop)

    def to_grid(self, x: float, y: float, height: int, width: int, side: int) -> tuple[int, int] | None:
        """The region that a pixel of the radiograph lies in.

        Args:
            x: Column of the radiograph.
            y: Row of the radiograph.
            height: Rows of the radiograph.
            width: Its columns.
            side: Regions along each side of the crop.

        Returns:
            Row and column of the region; None where the model does not see the pixel.
        """
        y, x = self._in_crop(y, x, height, width)
        if not (0 <= y < self.crop and 0 <= x < self.crop):
            return None
        # A place just before the end may be rounded up to it.
        row, column = (min(int(place * side / self.crop), side - 1) for place in (y, x))
        return row, column

    def _in_crop(self, y: Place, x: Place, height: int, width: int) -> tuple[Place, Place]:
        """Centers of the radiograph's pixels in rows y and columns x, in the pixels of the crop."""
        place = Placement.of(height, width, self.square)
        start = round((self.square - self.crop) / 2)  # as the crop rounds
        y = (y + 0.5) * place.height / height + place.top - start
        x = (x + 0.5) * place.width / width + place.left - start
        return y, x
