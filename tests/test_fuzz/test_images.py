"""Spoilt PNG, JPEG and DICOM files: eight gray bits of two dimensions, or an error for the user.

The decoders are libraries in C and C++. They run in a process of their own: one that crashes, hangs or takes all the
memory fails the test, which says where the file is, and does not end it.
"""

import functools
import io
import multiprocessing
import os
import resource
import struct
import tempfile
import time
import warnings
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image
from pydicom.data import get_testdata_file

from mgca_mm.errors import UserError
from mgca_mm.phantom.dicom import FORMS, write_dicom
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from tests.test_fuzz.cases import SECONDS, at, cases, few, places, spoil_bytes
from tests.test_preparation.raw_trees import SECRET

_MEMORY = 6 * 1024**3  # Of the reading process: an image of 100 megapixels fits, a bomb does not.


class Reader:
    """Reads files in another process, which is started again after it broke."""

    def __init__(self):
        self._pool = None

    def read(self, path):
        """What became of the file: a shape, or the message to the user."""
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _limit_memory)
            self._pool.submit(os.getpid).result()
        try:
            return self._pool.submit(_read, path).result(SECONDS)
        except (BrokenProcessPool, TimeoutError) as error:
            self.close()
            raise AssertionError(f"the decoder crashed or hung ({type(error).__name__}): {path}") from error

    def close(self):
        for process in list(self._pool._processes.values()) if self._pool else ():
            process.kill()
        self._pool = None


def _limit_memory():
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    # The libraries tell of each broken file on the error stream.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _read(path):
    start = time.process_time()
    try:
        image = read_radiograph(path)
    except UserError as error:
        assert time.process_time() - start < 2
        return str(error)
    assert image.dtype == np.uint8 and image.ndim == 2 and image.size
    assert resize_and_pad(image, 32).shape == (32, 32)
    assert time.process_time() - start < 2
    return image.shape


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """Reads the content of a file."""
    path = tmp_path_factory.mktemp("images") / "case"
    reader = Reader()

    def check(content):
        path.write_bytes(content)
        result = reader.read(path)
        if isinstance(result, str):
            assert result.startswith(f"{path}: ") and SECRET not in result and len(result.splitlines()) <= 2, result
        return result

    yield check
    reader.close()


def _gray(side=48):
    noise = np.random.default_rng(0).integers(0, 256, (side, side), np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def _pillow(suffix, mode="L", **options):
    buffer = io.BytesIO()
    Image.fromarray(_gray()).convert(mode).save(buffer, suffix, **options)
    return buffer.getvalue()


@functools.cache
def png_files():
    gray = _gray()
    deep = cv2.imencode(".png", gray.astype(np.uint16) * 16)[1].tobytes()
    notes = Image.Exif()
    notes[0x0112] = 6
    return [deep, *(_pillow("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")), _pillow("PNG", exif=notes)]


@functools.cache
def jpeg_files():
    turned = Image.Exif()
    turned[0x0112] = 6
    plain = [_pillow("JPEG", mode, quality=60) for mode in ("L", "RGB", "CMYK")]
    restarts = cv2.imencode(".jpg", _gray(), (cv2.IMWRITE_JPEG_RST_INTERVAL, 4))[1].tobytes()
    return [*plain, restarts, _pillow("JPEG", "RGB", progressive=True), _pillow("JPEG", exif=turned)]


@functools.cache
def dicom_files():
    """One of each kind the phantom writes, with a LUT, with padding, without a header, and some of pydicom's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in FORMS:
            write_dicom(folder / kind, _gray(64), kind, SOPInstanceUID="1.2.3", PatientName=SECRET)
        item = pydicom.Dataset()
        item.add_new("LUTDescriptor", "US", [256, 0, 12])
        item.add_new("LUTData", "US", [16 * value for value in range(256)])
        lookup = pydicom.dcmread(folder / "monochrome1")
        lookup.VOILUTSequence = [item]
        lookup.save_as(folder / "lookup")
        padded = pydicom.dcmread(folder / "full_16bit")
        padded.add_new("PixelPaddingValue", "US", 0)
        padded.add_new("PixelPaddingRangeLimit", "US", 500)
        padded.BitsStored = 12
        padded.save_as(folder / "padded")
        bare = pydicom.dcmread(folder / "implicit_vr")
        del bare.file_meta
        bare.save_as(folder / "bare", implicit_vr=True, little_endian=True, enforce_file_format=False)
        names = ("MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "SC_rgb_rle", "JPEG-lossy")
        others = [Path(get_testdata_file(f"{name}.dcm")) for name in names]
        return [path.read_bytes() for path in (*sorted(folder.iterdir()), *others)]


def test_the_files_are_read_before_they_are_spoilt(read):
    for content in (*png_files(), *jpeg_files(), *dicom_files()):
        assert isinstance(read(content), tuple)


def one_of(data, files):
    """Drawn by its number, which is what is printed of a case that fails."""
    return files[data.draw(st.integers(0, len(files) - 1))]


_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"eXIf", b"iCCP", b"zTXt", b"tEXt", b"acTL", b"fcTL", b"fdAT")


def _spoil_chunks(data, content):
    """Change the chunks of a PNG, their checksums with them: a decoder refuses all others at once."""
    chunks, position = [], 8
    while position < len(content):
        (size,) = struct.unpack(">I", content[position : position + 4])
        chunks.append((content[position + 4 : position + 8], content[position + 8 : position + 8 + size]))
        position += size + 12
    for _ in range(data.draw(few)):
        place = at(chunks, data.draw(places))
        kind, body = chunks[place]
        action = data.draw(st.sampled_from(("body", "pixels", "kind", "insert", "repeat", "delete")))
        if action == "body":
            chunks[place] = kind, spoil_bytes(data, body)
        elif action == "pixels" and kind == b"IDAT":
            try:
                chunks[place] = kind, zlib.compress(spoil_bytes(data, zlib.decompress(body)))
            except zlib.error:
                assume(False)
        elif action == "kind":
            chunks[place] = data.draw(st.sampled_from(_CHUNKS)), body
        elif action == "insert":
            chunks.insert(place, (data.draw(st.sampled_from(_CHUNKS)), data.draw(st.binary(max_size=40))))
        elif action == "repeat":
            chunks.insert(place, chunks[place])
        elif len(chunks) > 1:
            del chunks[place]
    written = (struct.pack(">I", len(body)) + kind + body for kind, body in chunks)
    checksums = (struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)
    return content[:8] + b"".join(map(b"".join, zip(written, checksums, strict=True)))


@given(data=st.data())
@cases(70, 2000)
def test_png(data, read):
    content = one_of(data, png_files())
    read(_spoil_chunks(data, content) if data.draw(st.booleans()) else spoil_bytes(data, content))


@given(data=st.data())
@cases(70, 2000)
def test_jpeg(data, read):
    content = one_of(data, jpeg_files())
    scan = content.index(b"\xff\xda")
    # The tables and the pixels apart, too: without the start, the scan or the end, nothing is decoded.
    start, end = data.draw(st.sampled_from(((0, len(content)), (2, scan), (scan + 14, len(content) - 2))))
    read(content[:start] + spoil_bytes(data, content[start:end]) + content[end:])


_HEADER = {
    **dict.fromkeys(("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit"), (0, 1, 8, 16, 63, 65, 65_500, None)),
    **dict.fromkeys(("SamplesPerPixel", "PixelRepresentation", "PlanarConfiguration"), (0, 1, 2, 3, 65_535, None)),
    **dict.fromkeys(("RescaleSlope", "RescaleIntercept"), ("0", "-1", "1e-300", "1e308", "nan", "x", None)),
    **dict.fromkeys(("WindowCenter", "WindowWidth"), ("0", "1", "-5", "1e308", "inf", "1\\2", "", None)),
    "NumberOfFrames": ("0", "1", "-1", "2", "x", None),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "YBR_FULL_422", "YBR_RCT", "PALETTE COLOR", SECRET, "", None),
    **dict.fromkeys(("PixelPaddingValue", "PixelPaddingRangeLimit"), (0, 1, 255, 65_535, None)),
    "VOILUTFunction": ("LINEAR", "LINEAR_EXACT", "SIGMOID", SECRET),
    "PixelData": (b"", b"\0\0", bytes(4096), b"\xfe\xff\x00\xe0" + bytes(20), None),
}
_SYNTAXES = (
    "1.2.840.10008.1.2",
    *(f"1.2.840.10008.1.2.{end}" for end in ("1", "1.99", "2", "5", "4.50", "4.51", "4.57")),
)
_SYNTAXES = (*_SYNTAXES, *(f"1.2.840.10008.1.2.4.{end}" for end in (70, 80, 81, 90, 91, 92, 100, 201)), "1.2.3", "")


def _spoil_header(data, content):
    dataset = pydicom.dcmread(io.BytesIO(content), force=True)
    for name in data.draw(st.lists(st.sampled_from(sorted(_HEADER)), max_size=4)):
        value = data.draw(st.sampled_from(_HEADER[name]))
        if value is None:
            dataset.pop(name, None)
        else:
            setattr(dataset, name, value)
            if dataset[name].VR == "US or SS":
                dataset[name].VR = "US"
    if data.draw(st.integers(0, 3)) == 0:
        dataset.file_meta.TransferSyntaxUID = data.draw(st.sampled_from(_SYNTAXES))
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=dataset.original_encoding[0], little_endian=dataset.original_encoding[1])
    return buffer.getvalue()


@given(data=st.data())
@cases(80, 2500)
def test_dicom(data, read):
    content = one_of(data, dicom_files())
    how = data.draw(st.sampled_from(("header", "both", "bytes", "inside")))
    if how in ("header", "both"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                content = _spoil_header(data, content)
            except (ValueError, TypeError, AttributeError, KeyError, OverflowError, struct.error):
                assume(False)  # Not to be written by pydicom.
    if how in ("both", "bytes"):
        content = spoil_bytes(data, content)
    if how == "inside":  # The header of the compressed image.
        start = max(content.find(b"\xff\xd8\xff"), content.find(b"\xff\x4f\xff\x51"), 0)
        content = content[:start] + spoil_bytes(data, content[start : start + 300]) + content[start + 300 :]
    read(content)
