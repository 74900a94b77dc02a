"""Radiographs in DICOM files, to the eight gray bits a reader would see (docs/protocol.md#segmentation).

pydicom is imported where it is needed: reading JPEG and PNG images should not wait for it.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mgca_mm.errors import UserError

from .headers import jpeg2000_shape, jpeg_shape, refuse_huge

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_MAX_READS = 30_000
_ROWS = 64  # of an image at once, where numbers are made that take many times its memory
_GRAYS, _COLORS = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PHOTOMETRIC = {1: _GRAYS, 3: _COLORS}  # By samples a pixel.


def is_dicom(data: bytes) -> bool:
    """Whether a file starts as DICOM's part 10 has it: 128 free bytes, then DICM."""
    return data[128:132] == b"DICM"


def decode_dicom(data: bytes, path: Path) -> np.ndarray:
    """Decode a DICOM file of one image.

    In the order of the standard (PS3.3, C.7.6.3, C.11): stored values; modality LUT or rescale; VOI LUT or window, the
    first where there are several; MONOCHROME1 inverted, so that bone is white. Where neither LUT nor window is given,
    eight bits stay as they are and more are stretched from the darkest to the brightest pixel. Colors become luma.
    The decoders are pydicom's own, Pillow's and GDCM's: all JPEG, JPEG-LS, JPEG 2000 and RLE transfer syntaxes.

    Args:
        data: The whole file.
        path: Its name, for the messages.

    Returns:
        Gray levels (H, W), uint8.

    Raises:
        UserError: There is no image, more than one, a transfer syntax no decoder knows, or the file is broken.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # pydicom warns of every small departure from the standard, and repeats values of the header in doing so.
            warnings.simplefilter("ignore")
            return _decode(data)
    except MemoryError:
        raise
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # pydicom and its decoders raise dozens of kinds; their texts may quote the header.
        raise UserError(f"{path}: the DICOM file is broken and cannot be decoded ({type(error).__name__})") from error


def _decode(data: bytes) -> np.ndarray:
    from pydicom import dcmread, uid
    from pydicom.pixels import pixel_array

    # The reader unpacks this syntax itself, without any limit, so it is looked for before: in the whole file, for the
    # group that names it may have any length.
    if uid.DeflatedExplicitVRLittleEndian.encode() in data:
        raise UserError("deflated DICOM files are not read; convert it to another transfer syntax")
    dataset = dcmread(_Counted(data))
    if "PixelData" not in dataset:
        raise UserError("the DICOM file has no image in it")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise UserError("the DICOM file has several frames; a radiograph is a single one")
    syntax = dataset.file_meta.TransferSyntaxUID
    _check_header(dataset, syntax)
    if syntax == uid.JPEGExtended12Bit and dataset.BitsStored > 8:
        pixels = _decode_twelve_bits(dataset)
    else:
        # GDCM, which pydicom prefers, ends the process on some broken files; it is left with what Pillow cannot read.
        by_pillow = syntax in (uid.JPEGBaseline8Bit, *uid.JPEG2000TransferSyntaxes)
        pixels = pixel_array(dataset, decoding_plugin="pillow" if by_pillow else "")
    if pixels.ndim == 3:
        return cv2.cvtColor(stretch(pixels, *_stored_range(dataset)), cv2.COLOR_RGB2GRAY)
    return _to_display(pixels, dataset)


class _Counted(io.BytesIO):
    """The bytes of a file, which may be read so often and no more.

    Each element of eight bytes becomes an object of hundreds, at any depth; a radiograph has some hundred elements.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = _MAX_READS + len(data) // 4096  # Compressed pixels are read block by block.

    def read(self, size: int | None = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise UserError("the DICOM file has more elements than any radiograph")
        return super().read(size)


def _decode_twelve_bits(dataset: "Dataset") -> np.ndarray:
    """Stored values (H, W) of a 12-bit lossy JPEG, by GDCM's decoder.

    By hand, for pydicom's ways to Pillow and to GDCM take no more than eight bits in this syntax.
    GDCM is given the compressed image alone: its reader of whole files ends the process where a header is broken.
    """
    import gdcm
    from pydicom.encaps import get_frame

    if (dataset.SamplesPerPixel, dataset.BitsAllocated) != (1, 16):
        raise UserError("a 12-bit JPEG of several samples a pixel, or in another container than 16 bits")
    gdcm.Trace.WarningOff()  # It would say that its 8-bit decoder was no good, before taking the right one.
    gdcm.Trace.ErrorOff()
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(get_frame(dataset.PixelData, 0, number_of_frames=1))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((dataset.Columns, dataset.Rows, 1))
    image.SetDataElement(element)
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
    image.SetPixelFormat(gdcm.PixelFormat(1, 16, 12, 11, 0))
    # Its Python binding hands bytes out as a string.
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(buffer, np.uint16).reshape(dataset.Rows, dataset.Columns)


def _check_header(dataset: "Dataset", syntax: "UID") -> None:
    """Compare the header with the compressed image, before a decoder trusts either, and with itself."""
    from pydicom import uid
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder

    shape = inside = int(dataset.Rows), int(dataset.Columns)
    try:
        refuse_huge(*shape)
        if syntax in uid.JPEG2000TransferSyntaxes:
            inside = jpeg2000_shape(get_frame(dataset.PixelData, 0, number_of_frames=1))
        elif syntax in (*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes):
            inside = jpeg_shape(get_frame(dataset.PixelData, 0, number_of_frames=1))
    except ValueError as error:
        raise UserError(str(error)) from error
    if inside != shape:
        raise UserError(f"the header has {shape[1]} x {shape[0]} pixels, the image inside {inside[1]} x {inside[0]}")
    try:
        available = syntax.is_private or not syntax.is_encapsulated or get_decoder(syntax).is_available
    except NotImplementedError:
        available = False
    if not available:
        raise UserError(f"no decoder for the transfer syntax {syntax.name}; convert the file to JPEG 2000 or JPEG")
    # Where the header does not describe the samples as it may, GDCM ends the process.
    if dataset.PhotometricInterpretation not in _PHOTOMETRIC.get(dataset.SamplesPerPixel, ()):
        raise UserError("the photometric interpretation is no gray of one sample and no color space of three")
    allocated, stored = dataset.BitsAllocated, dataset.BitsStored
    if syntax in uid.JPEGTransferSyntaxes and stored != allocated != 16:
        raise UserError(f"a JPEG of {stored} bits in {allocated}; correct the header")


def _to_display(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Stored gray values (H, W) to the eight bits of a display."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    gray = apply_modality_lut(pixels, dataset)
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        depth = item.LUTDescriptor[2]
        # pydicom indexes an 8-bit LUT with 8-bit numbers, which wrap around; the entries do not change by this.
        item.LUTDescriptor = [*item.LUTDescriptor[:2], max(depth, 16)]
        gray, low, high = apply_voi_lut(gray.astype(np.int32), dataset), 0, 2**depth - 1
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # What lies far outside of the window shows the range its output has; a negative rescale slope turns it round.
        low, high = apply_voi_lut(np.array([-1e12, 1e12]), dataset)
        if low == high:
            raise UserError("the window shows one gray for all values; correct it in the header")
        gray = apply_voi_lut(gray, dataset)
    elif dataset.BitsStored <= 8:
        low, high = sorted(apply_modality_lut(np.array(_stored_range(dataset)), dataset))
    else:
        low, high = gray.min(), gray.max()
    displayed = stretch(gray, low, high)
    return 255 - displayed if dataset.PhotometricInterpretation == "MONOCHROME1" else displayed


def _stored_range(dataset: "Dataset") -> tuple[int, int]:
    """Smallest and largest value the stored bits can hold."""
    bits = int(dataset.BitsStored)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)


def stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map low … high to 0 … 255, rounded and clipped, uint8; a range without extent is black.

    Raises:
        UserError: The range has no ends.
    """
    if not np.isfinite([low, high]).all():
        raise UserError("the window or the rescale is not finite; correct it in the header")
    if high == low:
        return np.zeros(values.shape, np.uint8)
    stretched = np.empty(values.shape, np.uint8)
    for start in range(0, len(values), _ROWS):  # Of all rows, the numbers would take many times the image's memory.
        rows = slice(start, start + _ROWS)
        stretched[rows] = np.rint(np.clip((values[rows].astype(np.float64) - low) * (255 / (high - low)), 0, 255))
    return stretched
