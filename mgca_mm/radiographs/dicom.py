"""Radiographs in DICOM files, to the eight gray bits a reader would see (docs/protocol.md#segmentation).

pydicom is imported where it is needed: reading JPEG and PNG images should not wait for it.
"""

import io
import struct
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mgca_mm.errors import UserError

from .dicom_display import numbers, stored_range, to_display
from .grays import cells_of, look_up, stretch
from .headers import jpeg2000_shape, jpeg_shape, refuse_huge

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

_MAX_READS = 30_000
_GRAYS, _COLORS = ("MONOCHROME1", "MONOCHROME2"), ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_PHOTOMETRIC = {1: _GRAYS, 3: _COLORS}  # By samples a pixel.
_REQUIRED = {
    **dict.fromkeys(("Rows", "Columns"), range(1, 2**16)),
    "SamplesPerPixel": (1, 3),
    "BitsAllocated": (1, 8, 16),
    "BitsStored": range(1, 17),
    "PixelRepresentation": (0, 1),
}
_CORRECT = "correct the header, or convert the file to PNG"
_ITEM = b"\xfe\xff\x00\xe0"  # Compressed pixel data starts with one.
# Of a data set without what stands before it: the group of its first element, 0028 at the latest, which has the size of
# the image, and the types of values (PS3.5, 6.2).
_FIRST_GROUPS = (0x0002, *range(0x0008, 0x002A, 2))
_TYPES = (
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
_MAX_FIRST = 1024  # bytes of the first value


def is_dicom(data: bytes) -> bool:
    """Whether a file starts as DICOM's part 10 has it, 128 free bytes and DICM, or with a data set at once.

    132 bytes are enough. A data set starts with the group and the number of an element, then with the type of its value
    or with an even length, little endian, after which a greater element follows (PS3.5, 7.1).
    """
    if data[128:132] == b"DICM":
        return True
    if len(data) < 12:
        return False
    first = struct.unpack("<HH", data[:4])
    if data[4:6] in _TYPES:  # of either byte order
        return first[0] in _FIRST_GROUPS or int.from_bytes(data[:2], "big") in _FIRST_GROUPS
    length = int.from_bytes(data[4:8], "little")
    following = struct.unpack("<HH", data[8 + length : 12 + length].ljust(4, b"\xff")[:4])
    return first[0] in _FIRST_GROUPS and length <= _MAX_FIRST and length % 2 == 0 and first < following


def decode_dicom(data: bytes, path: Path | str) -> np.ndarray:
    """Decode a DICOM file of one image.

    In the order of the standard (PS3.3, C.7.6.3, C.11): stored values; modality LUT or rescale; VOI LUT or window, the
    first that shows more than one gray; MONOCHROME1 inverted, so that bone is white; padding black. Where no LUT or
    window is of use, eight bits stay as they are and more are stretched over their range (:func:`.grays.shown_range`).
    Colors become luma. Without preamble, meta header or transfer syntax a file is read as its first element looks, by
    default implicit VR little endian, as by pydicom's ``force``.
    The decoders are pydicom's own, Pillow's and GDCM's: all JPEG, JPEG-LS, JPEG 2000 and RLE transfer syntaxes.

    Args:
        data: The whole file.
        path: Its name, for the messages.

    Returns:
        Gray levels (H, W), uint8.

    Raises:
        UserError: There is no image, more than one, an attribute is missing, no decoder knows the transfer syntax, or
            the file is broken.
    """
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # pydicom warns of every small departure from the standard, and repeats values of the header in doing so.
            warnings.simplefilter("ignore")
            dataset = _read(data)
            try:
                return _decode(dataset)
            except (MemoryError, UserError):
                raise
            except Exception as error:  # The decoders raise dozens of kinds; their texts may quote the header.
                raise UserError(
                    f"the pixel data cannot be decoded as {dataset.file_meta.TransferSyntaxUID.name}: it is damaged, "
                    "cut off, or not as its header says\nCopy the file again, or convert it to PNG"
                ) from error
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _read(data: bytes) -> "Dataset":
    """The data set of a file, its transfer syntax known."""
    from pydicom import dcmread, uid

    try:
        dataset = dcmread(_Counted(data), force=True)
        meta, element = dataset.file_meta, dataset.get_item("PixelData")
        if not meta.get("TransferSyntaxUID"):
            if element is not None and element.value[:4] == _ITEM:
                raise UserError("the attribute TransferSyntaxUID is missing, and the pixel data is compressed")
            implicit, little = dataset.original_encoding
            explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
            meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
        if not isinstance(meta.TransferSyntaxUID, str):
            raise UserError("the attribute TransferSyntaxUID has several values; convert the file to PNG")
        if element is None or not element.value:
            kind = meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID") or uid.UID("")
            what = f"; it is of the kind {kind.name}" if kind.name != kind else ""
            raise UserError(f"the DICOM file has no image in it: PixelData is missing or empty{what}")
    except (MemoryError, UserError):
        raise
    except Exception as error:  # As above.
        raise UserError(
            "the DICOM file is broken: its elements cannot be read\nCopy the file again, or convert it to PNG"
        ) from error
    return dataset


def _decode(dataset: "Dataset") -> np.ndarray:
    from pydicom import uid
    from pydicom.pixels import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    _check_header(dataset, syntax)
    if syntax == uid.JPEGExtended12Bit and dataset.BitsStored > 8:
        pixels = _decode_twelve_bits(dataset)
    else:
        # GDCM, which pydicom prefers, ends the process on some broken files; it is left with what Pillow cannot read.
        by_pillow = syntax in (uid.JPEGBaseline8Bit, *uid.JPEG2000TransferSyntaxes)
        # Bits above the stored ones may be padding.
        pixels = pixel_array(dataset, decoding_plugin="pillow" if by_pillow else "", correct_unused_bits=False)
    if pixels.ndim == 2:
        return to_display(pixels, dataset)
    cells = cells_of(pixels)
    low, high = stored_range(dataset.BitsStored, dataset.PixelRepresentation)
    table = stretch(np.arange(np.iinfo(cells.dtype).max + 1).astype(cells.dtype).view(pixels.dtype), low, high)
    return cv2.cvtColor(look_up(table, cells), cv2.COLOR_RGB2GRAY)


class _Counted(io.BytesIO):
    """The bytes of a file, which may be read so often and no more, and not all at once.

    Each element of eight bytes becomes an object of hundreds, at any depth; a radiograph has some hundred elements.
    All that follows is read only to unpack a deflated data set, which the reader does without any limit.
    """

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._left = _MAX_READS + len(data) // 4096  # Compressed pixels are read block by block.

    def read(self, size: int | None = -1) -> bytes:
        if size is None or size < 0:
            raise UserError("deflated DICOM files are not read; convert it to another transfer syntax")
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
    """Require what describes the pixels; compare the header with the compressed image, before a decoder trusts either.

    Integers are put back as such.
    """
    from pydicom import uid
    from pydicom.encaps import get_frame
    from pydicom.pixels import get_decoder

    for name, known in _REQUIRED.items():
        found = numbers(dataset, name)
        if len(found) != 1 or found[0] not in known:
            what = ", ".join(f"{each:g}" for each in found) or "missing or empty"
            raise UserError(f"the attribute {name} is {what}; {_CORRECT}")
        setattr(dataset, name, int(found[0]))
    photometric = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if not photometric:
        raise UserError(f"the attribute PhotometricInterpretation is missing or empty; {_CORRECT}")
    dataset.PhotometricInterpretation = photometric
    allocated, stored = dataset.BitsAllocated, dataset.BitsStored
    if stored > allocated:
        raise UserError(f"BitsStored is {stored}, but BitsAllocated {allocated}; {_CORRECT}")
    if dataset.SamplesPerPixel > 1:
        # Color by pixel where nothing else is said, and where it cannot be otherwise (PS3.3, C.7.6.3.1.2).
        by_plane = numbers(dataset, "PlanarConfiguration") == [1] and photometric != "YBR_FULL_422"
        dataset.PlanarConfiguration = int(by_plane)
    if numbers(dataset, "NumberOfFrames") not in ([], [0], [1]):
        raise UserError("the DICOM file has several frames; a radiograph is a single one")
    shape = inside = dataset.Rows, dataset.Columns
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
    except (NotImplementedError, ValueError):  # One that pydicom does not know, or the identifier of something else.
        available = False
    if not available:
        raise UserError(f"no decoder for the transfer syntax {syntax.name}; convert the file to JPEG 2000 or JPEG")
    # Where the header does not describe the samples as it may, GDCM ends the process.
    if photometric not in _PHOTOMETRIC[dataset.SamplesPerPixel]:
        what = photometric if photometric in (*_GRAYS, *_COLORS, "PALETTE COLOR") else "of another kind"
        raise UserError(
            f"PhotometricInterpretation is {what}, with {dataset.SamplesPerPixel} samples a pixel; neither one of gray "
            "nor three of RGB or YBR\nConvert the file to PNG"
        )
    if syntax in uid.JPEGTransferSyntaxes and stored != allocated != 16:
        raise UserError(f"a JPEG of {stored} bits in {allocated}; correct the header")
