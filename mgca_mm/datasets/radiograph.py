"""One radiograph from disk to the square the models see; used by the preparation and by the training pipeline."""

from pathlib import Path

import cv2
import numpy as np

from mgca_mm.errors import UserError

MAX_PIXELS = 100_000_000  # The largest detectors have 20 megapixels; beyond this a header is hostile or broken.
MAX_BYTES = 512 * 1024 * 1024
_JPEG_MAGIC = b"\xff\xd8"
_PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
_BIT_DEPTHS = (8, 10, 12, 14, 16)  # Detectors store fewer bits than the 16 bits of the container they export to.


def read_radiograph(path: str | Path) -> np.ndarray:
    """Decode a JPEG or PNG file to eight grey bits.

    Colours become luma, transparency is ignored, and the EXIF orientation of a JPEG is applied, as OpenCV does by
    default. Sixteen bits are scaled by the smallest usual bit depth (8, 10, 12, 14, 16) that holds the brightest
    pixel, so that 12-bit exports are not almost black.

    Args:
        path: The image file.

    Returns:
        Grey levels (H, W), uint8.

    Raises:
        UserError: The file is missing, not a regular file, empty, neither JPEG nor PNG, truncated, broken, or larger
            than 100 megapixels. The message names the file.
    """
    path = Path(path)
    data = _read_bytes(path)
    if data.startswith(_PNG_MAGIC):
        height, width = _png_size(data, path)
    elif data.startswith(_JPEG_MAGIC):
        height, width = _jpeg_size(data, path)
    else:
        raise UserError(f"{path}: neither a JPEG nor a PNG image")
    # Asked of the header, before the decoder allocates: a kilobyte of PNG can unpack to gigabytes.
    if height * width > MAX_PIXELS:
        raise UserError(f"{path}: {width} x {height} pixels are more than the {MAX_PIXELS // 10**6} megapixels allowed")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)
    except cv2.error:
        image = None
    if image is None or image.ndim != 2 or image.size == 0:
        raise UserError(f"{path}: the image is broken and cannot be decoded")
    return image if image.dtype == np.uint8 else _to_eight_bits(image)


def resize_and_pad(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the long side to ``size`` by area interpolation and zero-pad the short side, centred.

    The short side becomes floor(short * size / long), at least 1; an odd padding has its larger half at the bottom or
    on the right.

    Args:
        image: Grey levels (H, W), uint8.
        size: Side of the square, in pixels.

    Returns:
        Grey levels (size, size), uint8.
    """
    height, width = image.shape
    long_side = max(height, width)
    new_height = max(1, height * size // long_side)
    new_width = max(1, width * size // long_side)
    if (new_height, new_width) != (height, width):
        image = cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_AREA)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    square = np.zeros((size, size), np.uint8)
    square[top : top + new_height, left : left + new_width] = image
    return square


def _read_bytes(path: Path) -> bytes:
    """Read a regular file of sensible size."""
    # A directory or a named pipe would fail late or hang.
    if not path.is_file():
        raise UserError(f"{path}: {'not a regular file' if path.exists() else 'no such image file'}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: larger than {MAX_BYTES >> 20} MiB, hence not a radiograph")
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if not data:
        raise UserError(f"{path}: the image file is empty")
    return data


def _png_size(data: bytes, path: Path) -> tuple[int, int]:
    """Height and width from the IHDR chunk, which the format puts first."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise UserError(f"{path}: the PNG header is broken")
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def _jpeg_size(data: bytes, path: Path) -> tuple[int, int]:
    """Height and width from the frame header of a JPEG whose end is there.

    Some OpenCV versions fill the missing part of a truncated JPEG with grey and say nothing, so the end marker is
    looked for here, after the start of the scan, because an embedded thumbnail has an end marker of its own.
    """
    size, position = None, 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # A fill byte may precede any marker.
            position += 1
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        # SOF0 to SOF15, but for the Huffman table (C4), the reserved (C8) and the arithmetic conditioning (CC) marker.
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            size = height, int.from_bytes(data[position + 7 : position + 9], "big")
        if marker == 0xDA:  # Start of scan.
            if size is None:
                break
            if data.rfind(b"\xff\xd9", position) < 0:
                raise UserError(f"{path}: the JPEG is truncated")
            return size
        position += 2 + length
    raise UserError(f"{path}: the JPEG header is broken")


def _to_eight_bits(image: np.ndarray) -> np.ndarray:
    """Scale uint16 grey levels (H, W) to uint8 by the bit depth in use."""
    brightest = int(image.max())
    depth = next(depth for depth in _BIT_DEPTHS if brightest < 2**depth)
    return np.rint(image.astype(np.float32) * (255 / (2**depth - 1))).astype(np.uint8)
