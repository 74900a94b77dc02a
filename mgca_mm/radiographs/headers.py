"""The shape of a compressed image, read from its header before a decoder allocates memory for it.

A kilobyte of PNG can unpack to gigabytes. By hand, for Pillow detects a truncated file only by decoding it, once more
than OpenCV does, and has no limit on scans, none on what a chunk says it holds, and one on pixels that is the
whole process's. Everything here raises ``ValueError`` without the name of the file, which the caller knows.
"""

MAX_PIXELS = 100_000_000  # The largest detectors have 20 megapixels; beyond this a header is hostile or broken.
JPEG_MAGIC = b"\xff\xd8"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"
# SOF0 to SOF15 without the Huffman table (C4), the reserved (C8) and the arithmetic conditioning (CC); F7 is JPEG-LS.
_START_OF_FRAME = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_START_OF_SCAN = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_MAX_SCANS = 100  # Progressive images have some ten. Each is a pass over all pixels: a megabyte of them takes minutes.


def refuse_huge(height: int, width: int) -> None:
    """Raise ``ValueError`` for a shape that no radiograph has."""
    if height * width > MAX_PIXELS:
        raise ValueError(f"{width} x {height} pixels are more than the {MAX_PIXELS // 10**6} megapixels allowed")


def png_shape(data: bytes) -> tuple[int, int]:
    """Height and width from the IHDR chunk, which the format puts first."""
    if len(data) < 24 or data[12:16] != b"IHDR":
        raise ValueError("the PNG header is broken")
    return int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")


def require_png_chunks(data: bytes) -> None:
    """Raise ``ValueError`` unless the chunks of a PNG are in the file as long as they say.

    OpenCV allocates and clears what a chunk says it holds, up to 2 GB, before it finds that the file is shorter.
    """
    position, kind = len(PNG_MAGIC), b""
    while kind != b"IEND":  # What follows it is not read.
        kind = data[position + 4 : position + 8]
        position += 12 + int.from_bytes(data[position : position + 4], "big")
        if position > len(data):
            raise ValueError("the PNG is truncated")


def jpeg_shape(data: bytes) -> tuple[int, int]:
    """Height and width from the frame header of a JPEG or JPEG-LS whose end is there.

    Some OpenCV versions fill the missing part of a truncated JPEG with gray and say nothing, so the end marker is
    looked for here, after the start of the scan, because an embedded thumbnail has an end marker of its own.
    """
    shape, position = None, 2
    while position + 4 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:  # A fill byte may precede any marker.
            position += 1
            continue
        if marker in _START_OF_FRAME:
            # The format ends at 16 bits; GDCM's decoders end the process.
            if int.from_bytes(data[position + 4 : position + 5], "big") > 16:
                break
            height = int.from_bytes(data[position + 5 : position + 7], "big")
            shape = height, int.from_bytes(data[position + 7 : position + 9], "big")
        if marker == _START_OF_SCAN:
            if shape is None:
                break
            if data.rfind(_END_OF_IMAGE, position) < 0:
                raise ValueError("the JPEG is truncated")
            if data.count(b"\xff\xda", position) > _MAX_SCANS:
                raise ValueError("the JPEG has more scans than any radiograph")
            return shape
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    raise ValueError("the JPEG header is broken")


def jpeg2000_shape(data: bytes) -> tuple[int, int]:
    """Height and width from the SIZ segment of a JPEG 2000 codestream, wherever it starts in the data."""
    start = data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 24:
        raise ValueError("the JPEG 2000 header is broken")
    right, bottom, left, top = (int.from_bytes(data[at : at + 4], "big") for at in range(start + 8, start + 24, 4))
    return bottom - top, right - left
