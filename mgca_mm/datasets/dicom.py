"""Radiographs in DICOM files, to the eight grey bits a reader would see (PROTOCOL §4).

pydicom is imported where it is needed: reading JPEG and PNG images should not wait for it.
"""

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mgca_mm.datasets.image_headers import jpeg2000_shape, jpeg_shape, refuse_huge
from mgca_mm.errors import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

_GREY = ("MONOCHROME1", "MONOCHROME2")


def is_dicom(data: bytes) -> bool:
    """Whether a file starts as DICOM's part 10 has it: 128 free bytes, then DICM."""
    return data[128:132] == b"DICM"


def decode_dicom(data: bytes, path: Path) -> np.ndarray:
    """Decode a DICOM file of one image.

    In the order of the standard (PS3.3, C.7.6.3, C.11): stored values; modality LUT or rescale; VOI LUT or window, the
    first where there are several; MONOCHROME1 inverted, so that bone is white. Where neither LUT nor window is given,
    eight bits stay as they are and more are stretched from the darkest to the brightest pixel. Colours become luma.
    The decoders are pydicom's own, Pillow's and GDCM's: all JPEG, JPEG-LS, JPEG 2000 and RLE transfer syntaxes.

    Args:
        data: The whole file.
        path: Its name, for the messages.

    Returns:
        Grey levels (H, W), uint8.

    Raises:
        UserError: There is no image, more than one, a transfer syntax no decoder knows, or the file is broken.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # pydicom warns of every small departure from the standard, and repeats values of the header in doing so.
            warnings.simplefilter("ignore")
            return _decode(data, path)
    except MemoryError:
        raise
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except Exception as error:  # pydicom and its decoders raise dozens of kinds; their texts may quote the header.
        raise UserError(f"{path}: the DICOM file is broken and cannot be decoded ({type(error).__name__})") from error


def _decode(data: bytes, path: Path) -> np.ndarray:
    import pydicom
    from pydicom.pixels import pixel_array
    from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGExtended12Bit

    # The reader unpacks this syntax itself, without any limit, so it is looked for before, in the file's first group.
    if DeflatedExplicitVRLittleEndian.encode() + b"\0" * (len(DeflatedExplicitVRLittleEndian) % 2) in data[:4096]:
        raise UserError("deflated DICOM files are not read; convert it to another transfer syntax")
    dataset = pydicom.dcmread(io.BytesIO(data))
    if "PixelData" not in dataset:
        raise UserError("the DICOM file has no image in it")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise UserError("the DICOM file has several frames; a radiograph is a single one")
    _check_shape(dataset)
    if dataset.file_meta.TransferSyntaxUID == JPEGExtended12Bit and dataset.BitsStored > 8:
        pixels = _read_with_gdcm(path, (dataset.Rows, dataset.Columns))
    else:
        pixels = pixel_array(dataset)
    if pixels.ndim == 3:
        return cv2.cvtColor(_stretch(pixels, *_stored_range(dataset)), cv2.COLOR_RGB2GRAY)
    if dataset.PhotometricInterpretation not in _GREY:
        raise UserError(f"the photometric interpretation is none of {', '.join(_GREY)} or a colour space")
    return _to_display(pixels, dataset)


def _read_with_gdcm(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Stored values (H, W) of a 12-bit lossy JPEG, which pydicom does not pass on to GDCM, by GDCM's own reader."""
    import gdcm

    gdcm.Trace.WarningOff()  # It would say that its 8-bit decoder was no good, before taking the right one.
    gdcm.Trace.ErrorOff()
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    if not reader.Read():
        raise ValueError("GDCM cannot read the file")
    # Its Python binding hands bytes out as a string.
    buffer = reader.GetImage().GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(buffer, np.uint16).reshape(shape)


def _check_shape(dataset: "Dataset") -> None:
    """Compare the shape in the header with that inside the compressed image, before a decoder trusts either."""
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder
    from pydicom.uid import JPEG2000TransferSyntaxes, JPEGLSTransferSyntaxes, JPEGTransferSyntaxes

    shape = int(dataset.Rows), int(dataset.Columns)
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        refuse_huge(*shape)
        if syntax in JPEG2000TransferSyntaxes:
            inside = jpeg2000_shape(get_frame(dataset.PixelData, 0, number_of_frames=1))
        elif syntax in (*JPEGTransferSyntaxes, *JPEGLSTransferSyntaxes):
            inside = jpeg_shape(get_frame(dataset.PixelData, 0, number_of_frames=1))
        else:
            inside = shape
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


def _to_display(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Stored grey values (H, W) to the eight bits of a display."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    grey = apply_modality_lut(pixels, dataset)
    if dataset.get("VOILUTSequence"):
        item = dataset.VOILUTSequence[0]
        depth = item.LUTDescriptor[2]
        # pydicom indexes an 8-bit LUT with 8-bit numbers, which wrap around; the entries do not change by this.
        item.LUTDescriptor = [*item.LUTDescriptor[:2], max(depth, 16)]
        grey, low, high = apply_voi_lut(grey.astype(np.int32), dataset), 0, 2**depth - 1
    elif dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        # What lies far outside of the window shows the range its output has; a negative rescale slope turns it round.
        low, high = apply_voi_lut(np.array([-1e12, 1e12]), dataset)
        grey = apply_voi_lut(grey, dataset)
    elif dataset.BitsStored <= 8:
        low, high = sorted(apply_modality_lut(np.array(_stored_range(dataset)), dataset))
    else:
        low, high = grey.min(), grey.max()
    displayed = _stretch(grey, low, high)
    return 255 - displayed if dataset.PhotometricInterpretation == "MONOCHROME1" else displayed


def _stored_range(dataset: "Dataset") -> tuple[int, int]:
    """Smallest and largest value the stored bits can hold."""
    bits = int(dataset.BitsStored)
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if dataset.PixelRepresentation else (0, 2**bits - 1)


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map low … high to 0 … 255, rounded and clipped; a range without extent is black."""
    if high == low:
        return np.zeros(values.shape, np.uint8)
    return np.rint(np.clip((values.astype(np.float64) - low) * (255 / (high - low)), 0, 255)).astype(np.uint8)
