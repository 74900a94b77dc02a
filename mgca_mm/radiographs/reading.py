"""One radiograph from disk to the square the models see; used by the preparation and by the training pipeline."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from mgca_mm.errors import UserError

from .dicom import decode_dicom, is_dicom
from .grays import to_eight_bits
from .headers import JPEG_MAGIC, PNG_MAGIC, jpeg_shape, png_shape, refuse_huge, require_png_chunks

MAX_BYTES = 512 * 1024 * 1024


def read_radiograph(path: str | Path) -> np.ndarray:
    """Decode a JPEG, PNG or DICOM file to eight gray bits.

    Colors become luma, transparency is ignored, and the EXIF orientation is applied, as OpenCV does by
    default. Sixteen bits are stretched over the range that their pixels have (:func:`.grays.shown_range`), as those of
    DICOM without a window are, unless all are below 256. For DICOM see :func:`.dicom.decode_dicom`.

    Args:
        path: The image file.

    Returns:
        Gray levels (H, W), uint8.

    Raises:
        UserError: The file is missing, not a regular file, empty, of another format, truncated, broken, or larger
            than 100 megapixels. The message names the file.
    """
    path = Path(path)
    return decode_radiograph(_read_bytes(path), path)


def decode_radiograph(data: bytes, path: Path | str) -> np.ndarray:
    """Decode what a JPEG, PNG or DICOM file holds, as :func:`read_radiograph`.

    Args:
        data: The whole file.
        path: Its name, for the messages.
    """
    if not data:
        raise UserError(f"{path}: the image file is empty")
    if is_dicom(data):
        return decode_dicom(data, path)
    try:
        if data.startswith(PNG_MAGIC):
            refuse_huge(*png_shape(data))
            require_png_chunks(data)
        elif data.startswith(JPEG_MAGIC):
            refuse_huge(*jpeg_shape(data))
        else:
            raise ValueError("neither a JPEG nor a PNG nor a DICOM image")
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None or image.ndim != 2 or image.size == 0:
        raise UserError(f"{path}: the image is broken and cannot be decoded")
    if image.dtype == np.uint8:
        return image
    return to_eight_bits(image)


@dataclass(frozen=True)
class Placement:
    """Where a radiograph of any shape lies in a square, after its long side was resized to that of the square.

    The short side becomes floor(short * size / long), at least 1; an odd padding has its larger half at the bottom or
    on the right.

    Attributes:
        height: Rows of the radiograph inside the square.
        width: Its columns.
        top: Rows of padding above it.
        left: Columns of padding on its left.
    """

    height: int
    width: int
    top: int
    left: int

    @classmethod
    def of(cls, height: int, width: int, size: int) -> "Placement":
        """Placement of an image (height, width) in a square of side ``size``, all in pixels."""
        long_side = max(height, width)
        new_height = max(1, height * size // long_side)
        new_width = max(1, width * size // long_side)
        return cls(new_height, new_width, (size - new_height) // 2, (size - new_width) // 2)

    def of_box(
        self, x: float, y: float, width: float, height: float, shape: tuple[int, int]
    ) -> tuple[float, float, float, float]:
        """A box (x, y, width, height) of the radiograph, whose shape was (height, width), in pixels of the square."""
        down, across = self.height / shape[0], self.width / shape[1]
        return x * across + self.left, y * down + self.top, width * across, height * down


def resize_and_pad(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the long side to ``size`` by area interpolation and zero-pad the short side, centered.

    Args:
        image: Gray levels (H, W), uint8 or float32.
        size: Side of the square, in pixels.

    Returns:
        Gray levels (size, size) of the same type, the radiograph at :meth:`Placement.of` its shape.
    """
    place = Placement.of(*image.shape, size)
    if (place.height, place.width) != image.shape:
        image = cv2.resize(image, (place.width, place.height), interpolation=cv2.INTER_AREA)
    square = np.zeros((size, size), image.dtype)
    square[place.top : place.top + place.height, place.left : place.left + place.width] = image
    return square


def _read_bytes(path: Path) -> bytes:
    """Read a regular file of sensible size."""
    try:
        # A directory or a named pipe would fail late or hang.
        if not path.is_file():
            raise UserError(f"{path}: {'not a regular file' if path.exists() else 'no such image file'}")
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MiB, hence not a radiograph")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
