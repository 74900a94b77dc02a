"""The grays of DICOM images against the standard's equations, written out pixel by pixel (PS3.3 C.7.6.3, C.11)."""

import copy
import io
import struct
import zlib

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mgca_mm.errors import UserError
from mgca_mm.phantom.dicom import _compress
from mgca_mm.radiographs.dicom import is_dicom
from mgca_mm.radiographs.reading import read_radiograph
from tests.conftest import SHARED, needs_shared
from tests.test_fuzz.cases import bounded

from .test_dicom import make, show, write

H, W = 48, 52
SMOOTH = cv2.GaussianBlur(np.random.default_rng(3).random((H, W)), (0, 0), 3)
SMOOTH = (SMOOTH - SMOOTH.min()) / np.ptp(SMOOTH)  # 0 … 1, and neighbors alike, as in radiographs
BORDER = np.pad(np.zeros((H - 8, W - 8), bool), 4, constant_values=True)
CURVE = np.rint(4095 * np.sqrt(np.arange(4096) / 4095)).astype(np.uint16)


def scaled(low, high, dtype=np.uint16):
    return np.rint(low + (high - low) * SMOOTH).astype(dtype)


def lut(entries, first=0, bits=16, words=True):
    """An item of a LUT sequence: entries as words, or each in a byte of its own."""
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 2**16, first % 2**16, bits]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = entries.astype(np.uint16 if words else np.uint8).tobytes()
    item["LUTData"].VR = "OW"
    return item


def cut_off(item):
    item.LUTData = item.LUTData[:4000]
    return item


def to_255(values, low, high):
    return 255 * np.clip((values.astype(float) - low) / (high - low), 0, 1)


def range_of(values, padding=None):
    """The 0.2nd and 99.8th percentile of what is no padding, by its ranks."""
    ranked = np.sort(values[~padding] if padding is not None else values.ravel()).astype(float)
    spared = -(-len(ranked) // 500)
    return ranked[spared], ranked[-1 - spared]


def linear(values, center, width):
    """C.11.2.1.2.1, its three cases."""
    inside = ((values - (center - 0.5)) / (width - 1) + 0.5) * 255
    below, above = values <= center - 0.5 - (width - 1) / 2, values > center - 0.5 + (width - 1) / 2
    return np.where(below, 0, np.where(above, 255, inside))


def entries_of(entries, values, first=0):
    return entries[np.clip(values.astype(int) - first, 0, len(entries) - 1)].astype(float)


def with_border(pixels, value):
    return np.where(BORDER, value, pixels).astype(pixels.dtype)


EIGHT, TEN, TWELVE, SIXTEEN = scaled(30, 220, np.uint8), scaled(40, 1000), scaled(200, 3900), scaled(5000, 60000)
SIGNED, SIGNED12 = scaled(-9000, 12000, np.int16), scaled(-1500, 1900, np.int16)
COLOR = np.dstack([EIGHT, EIGHT[::-1], 255 - EIGHT])

# Name → pixels, bits stored, attributes, and the grays that are right.
CASES = {
    "8 bits": (EIGHT, 8, {}, EIGHT),
    "8 bits, MONOCHROME1": (EIGHT, 8, dict(PhotometricInterpretation="MONOCHROME1"), 255.0 - EIGHT),
    "8 bits, RGB": (COLOR, 8, {}, COLOR @ np.array([0.299, 0.587, 0.114])),
    "8 bits signed": (scaled(-100, 90, np.int8), 8, {}, scaled(-100, 90, np.int16) + 128.0),
    "10 bits": (TEN, 10, {}, to_255(TEN, *range_of(TEN))),
    "12 bits, two windows": (
        TWELVE,
        12,
        dict(WindowCenter=[2000, 9], WindowWidth=[3001, 9], WindowCenterWidthExplanation=["NORMAL", "HARD"]),
        linear(TWELVE, 2000, 3001),
    ),
    "12 bits, sigmoid": (
        TWELVE,
        12,
        dict(WindowCenter=2000, WindowWidth=1500, VOILUTFunction="SIGMOID"),
        255 / (1 + np.exp(-4 * (TWELVE - 2000.0) / 1500)),
    ),
    "12 bits, linear exact": (
        TWELVE,
        12,
        dict(WindowCenter=2000, WindowWidth=1500, VOILUTFunction="LINEAR_EXACT"),
        to_255(TWELVE, 1250, 2750),
    ),
    "12 bits, window of width 1": (TWELVE, 12, dict(WindowCenter=2000, WindowWidth=1), 255.0 * (TWELVE > 1999.5)),
    "12 bits, rescale, window, MONOCHROME1, INVERSE": (
        TWELVE,
        12,
        dict(
            **dict(RescaleSlope="-2", RescaleIntercept="8190", WindowCenter=4000, WindowWidth=6000),
            **dict(PhotometricInterpretation="MONOCHROME1", PresentationLUTShape="INVERSE"),
        ),
        255 - linear(8190 - 2.0 * TWELVE, 4000, 6000),
    ),
    "12 bits, padding in a window": (
        with_border(TWELVE, 4095),
        12,
        dict(PixelPaddingValue=4095, WindowCenter=2000, WindowWidth=3001),
        np.where(BORDER, 0, linear(TWELVE, 2000, 3001)),
    ),
    "12 bits, padding, MONOCHROME1": (
        with_border(TWELVE, 0),
        12,
        dict(PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1"),
        np.where(BORDER, 0, 255 - to_255(TWELVE, *range_of(TWELVE, BORDER))),
    ),
    "12 bits, modality LUT and window": (
        TWELVE,
        12,
        dict(ModalityLUTSequence=[lut(CURVE, 0, 12)], WindowCenter=2500, WindowWidth=3000),
        linear(entries_of(CURVE, TWELVE), 2500, 3000),
    ),
    "12 bits, VOI LUT of 16 bits": (
        TWELVE,
        12,
        dict(VOILUTSequence=[lut(CURVE // 2, 300, 16)]),
        to_255(entries_of(CURVE // 2, TWELVE, 300), 0, 2047),
    ),
    "12 bits, VOI LUT of bytes": (
        TWELVE,
        12,
        dict(VOILUTSequence=[lut(CURVE // 16, 0, 8, words=False)]),
        entries_of(CURVE // 16, TWELVE),
    ),
    "12 bits signed, VOI LUT": (
        SIGNED12,
        12,
        dict(VOILUTSequence=[lut(CURVE, -2048, 12)]),
        to_255(entries_of(CURVE, SIGNED12, -2048), 0, 4095),
    ),
    "16 bits, LUT of 65,536": (
        SIXTEEN,
        16,
        dict(VOILUTSequence=[lut(np.arange(65536) // 2, 0, 16)]),
        to_255(SIXTEEN // 2, 0, 32767),
    ),
    "16 bits, padding 65535": (
        with_border(SIXTEEN, 65535),
        16,
        dict(PixelPaddingValue=65535),
        np.where(BORDER, 0, to_255(SIXTEEN, *range_of(SIXTEEN, BORDER))),
    ),
    "16 bits signed, padding up to a limit": (
        np.where(BORDER, np.random.default_rng(0).integers(-30000, -20000, (H, W)), SIGNED).astype(np.int16),
        16,
        dict(PixelPaddingValue=-20000, PixelPaddingRangeLimit=-30000),
        np.where(BORDER, 0, to_255(SIGNED, *range_of(SIGNED, BORDER))),
    ),
    "12 of 16 bits, overlay above": (
        TWELVE + 0x8000 * BORDER.astype(np.uint16),
        12,
        {},
        to_255(TWELVE, *range_of(TWELVE)),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_grays_of_the_standard(name, tmp_path):
    pixels, bits, tags, expected = CASES[name]
    dataset = make(pixels, bits, signed=pixels.dtype.kind == "i", **tags)
    shown = show(dataset, tmp_path).astype(float)
    assert len(np.unique(np.rint(expected))) > 1
    assert np.abs(shown - expected).max() <= 1


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless])
@pytest.mark.parametrize("name", ["12 bits, VOI LUT of 16 bits", "16 bits signed, padding up to a limit"])
def test_other_transfer_syntaxes(name, syntax, tmp_path):
    pixels, bits, tags, expected = CASES[name]
    dataset = make(pixels, bits, signed=pixels.dtype.kind == "i", **copy.deepcopy(tags))
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    elif syntax == ExplicitVRBigEndian:
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder(">")).tobytes()
        for item in dataset.get("VOILUTSequence", []):
            item.LUTData = np.frombuffer(item.LUTData, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    assert np.abs(show(dataset, tmp_path) - expected).max() <= 1


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("signed", [False, True])
def test_padding_in_compressed_images(tmp_path, syntax, signed):
    """By GDCM's encoders, which want sides of 64 pixels or more."""
    pixels = cv2.resize(TWELVE, (96, 80)).astype(np.int16) - 2048 * signed
    border = np.pad(np.zeros((72, 88), bool), 4, constant_values=True)
    padding = -2048 if signed else 4095
    dataset = make(np.where(border, padding, pixels).astype("i2" if signed else "u2"), 12, signed)
    dataset.PixelPaddingValue = padding
    dataset["PixelPaddingValue"].VR = "SS" if signed else "US"
    dataset.PixelData = _compress(tmp_path / "plain.dcm", dataset, syntax)
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    expected = np.where(border, 0, to_255(pixels, *range_of(pixels, border)))
    assert np.abs(show(dataset, tmp_path) - expected).max() <= 1


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_declared_bits_of_a_voi_lut_do_not_count(tmp_path, bits):
    """Entries up to 4095, whatever the descriptor says."""
    entries = np.arange(4096)
    shown = show(make(TWELVE, 12, VOILUTSequence=[lut(entries, 0, bits)]), tmp_path)
    assert np.abs(shown - to_255(TWELVE, 0, 4095)).max() <= 1


@pytest.mark.parametrize(
    "tags",
    [
        dict(WindowCenter=2000, WindowWidth=0),
        dict(WindowCenter=2000, WindowWidth=-5),
        dict(WindowCenter=2000),
        dict(WindowWidth=2000),
        dict(WindowCenter="nan", WindowWidth="9"),
        dict(WindowCenter="1e999", WindowWidth="9"),
        dict(WindowCenter="40", WindowWidth="80"),  # shows white alone
        dict(WindowCenter=[], WindowWidth=[]),
        dict(RescaleSlope=None, RescaleIntercept=None),
        dict(RescaleSlope="0", RescaleIntercept="5"),
        dict(RescaleSlope="1"),
        dict(VOILUTSequence=[]),
        dict(VOILUTSequence=[Dataset()]),
        dict(VOILUTSequence=[lut(np.full(4096, 7))]),
        dict(VOILUTSequence=[cut_off(lut(CURVE))]),
        dict(PixelPaddingValue=None),
        dict(PixelPaddingValue=0, PixelPaddingRangeLimit=65535),  # all would be padding
        dict(PixelPaddingRangeLimit=4095),
    ],
    ids=str,
)
def test_what_is_of_no_use_is_as_if_it_was_not_there(tmp_path, tags):
    plain = show(make(TWELVE, 12), tmp_path)
    np.testing.assert_array_equal(show(make(TWELVE, 12, **tags), tmp_path), plain)
    assert (plain.min(), plain.max()) == (0, 255)


def test_padding_that_no_pixel_can_have(tmp_path):
    dataset = make(EIGHT, 8)
    dataset.PixelPaddingValue = 65535
    np.testing.assert_array_equal(show(dataset, tmp_path), EIGHT)


def test_a_window_that_is_no_number(tmp_path):
    plain = write(make(TWELVE, 12, WindowCenter="2000", WindowWidth="3000"), tmp_path).read_bytes()
    assert plain.count(b"2000") == 1
    (tmp_path / "image.dcm").write_bytes(plain.replace(b"2000", b"wide"))
    shown = read_radiograph(tmp_path / "image.dcm")
    np.testing.assert_array_equal(shown, show(make(TWELVE, 12), tmp_path))


def test_the_first_window_that_shows_something(tmp_path):
    shown = show(make(TWELVE, 12, WindowCenter=[9, 40, 2000], WindowWidth=[0, 80, 3001]), tmp_path)
    assert np.abs(shown - linear(TWELVE, 2000, 3001)).max() <= 1


@pytest.mark.parametrize("limit", [{}, dict(PixelPaddingRangeLimit=63000)], ids=str)
def test_padding_beyond_the_stored_bits_and_of_the_other_sign(tmp_path, limit):
    """-2000 as CT scanners write it, in twelve bits: as the unsigned number of the same bits, and signed."""
    expected = np.where(BORDER, 0, to_255(TWELVE, *range_of(TWELVE, BORDER)))
    for pixels, signed in ((TWELVE, False), (TWELVE.astype(np.int16) - 2048, True)):
        dataset = make(with_border(pixels, np.array(-2000).astype(pixels.dtype)), 12, signed, **limit)
        dataset.add_new("PixelPaddingValue", "US", 63536)
        for name, value in limit.items():
            dataset.add_new(name, "US", value)
        assert np.abs(show(dataset, tmp_path) - expected).max() <= 1


def test_padding_under_an_overlay(tmp_path):
    marked = with_border(TWELVE, 0) | (0x4000 * (np.indices((H, W)).sum(0) % 24 < 3)).astype(np.uint16)
    expected = np.where(BORDER, 0, to_255(TWELVE, *range_of(TWELVE, BORDER)))
    assert np.abs(show(make(marked, 12, PixelPaddingValue=0), tmp_path) - expected).max() <= 1


def test_fewer_bits_declared_than_there_are(tmp_path):
    pixels = cv2.resize(SIXTEEN, None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)
    plain = show(make(pixels, 16), tmp_path)
    np.testing.assert_array_equal(show(make(pixels, 12), tmp_path), plain)


def test_signed_bits_that_are_not_extended(tmp_path):
    """Twelve bits in two's complement, the four above them 0."""
    plain = show(make(SIGNED12, 12, signed=True), tmp_path)
    np.testing.assert_array_equal(show(make(SIGNED12 & 0xFFF, 12, signed=True), tmp_path), plain)


def test_bits_at_the_upper_end(tmp_path):
    plain = show(make(TWELVE, 12, WindowCenter=2000, WindowWidth=3001), tmp_path)
    moved = make(TWELVE << 4, 12, WindowCenter=2000, WindowWidth=3001, HighBit=15)
    np.testing.assert_array_equal(show(moved, tmp_path), plain)


@pytest.mark.parametrize("kind", ["png", "dicom"])
def test_one_range_for_sixteen_bits(tmp_path, kind):
    """Hot pixels, one or a dead row, do not darken an image; PNG and DICOM are alike."""

    def shown(pixels):
        if kind == "dicom":
            return show(make(pixels, 16), tmp_path).astype(int)
        cv2.imwrite(str(tmp_path / "a.png"), pixels)
        return read_radiograph(tmp_path / "a.png").astype(int)

    pixels = cv2.resize(TWELVE, (1100, 1000), interpolation=cv2.INTER_CUBIC)
    pixels = pixels + np.random.default_rng(0).integers(0, 60, pixels.shape, dtype=np.uint16)
    plain = shown(pixels)
    assert np.abs(plain - to_255(pixels.astype(float), *range_of(pixels))).max() <= 1
    for value in (0, 4096, 65535):
        hot, row = pixels.copy(), pixels.copy()
        hot[500, 500] = row[700] = value
        for spoilt, tolerance in ((hot, 1), (row, 8)):  # a row is half of what is left out
            difference = np.abs(shown(spoilt) - plain)
            difference[700], difference[500, 500] = 0, 0
            assert difference.max() <= tolerance
    small = TWELVE[:11, :11].copy()
    small[5, 5] = 60000
    assert shown(small).mean() > 100
    # What is small and bright is bright still; few pixels and few grays are all shown.
    marked = pixels.copy()
    marked[100:130, 100:160] = 60000
    assert (shown(marked)[100:130, 100:160] == 255).all()
    assert shown(np.arange(0, 5000, 500, dtype=np.uint16)[None]).tolist() == [[round(255 * n / 9) for n in range(10)]]
    spot = np.zeros((100, 100), np.uint16)
    spot[50, 50:53] = 900
    assert shown(spot)[50, 50:53].tolist() == [255] * 3 and shown(spot).sum() == 3 * 255


def without(dataset, start):
    """The bytes of a file that lacks something of what stands before its data set."""
    meta, little = dataset.file_meta, start != "explicit big endian"
    if start == "no transfer syntax":
        dataset.preamble = bytes(128)
    if start.startswith("no"):
        del meta.TransferSyntaxUID
    else:
        del dataset.file_meta
    buffer = io.BytesIO()
    dataset.save_as(buffer, implicit_vr=start == "implicit", little_endian=little, enforce_file_format=False)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "start",
    ["implicit", "explicit", "explicit big endian", "no transfer syntax", "nor a preamble", "a meta header alone"],
)
def test_without_what_stands_before(tmp_path, start):
    plain = show(make(TWELVE, 12), tmp_path)
    dataset = make(TWELVE if start != "explicit big endian" else TWELVE.byteswap(), 12)
    alone = start == "a meta header alone"
    content = write(dataset, tmp_path).read_bytes()[132:] if alone else without(dataset, start)
    assert is_dicom(content[:132]) and (content[128:132] == b"DICM") == (start == "no transfer syntax")
    (tmp_path / "bare.dcm").write_bytes(content)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "bare.dcm"), plain)


def test_compressed_without_a_transfer_syntax_is_refused(tmp_path):
    dataset = make(TWELVE, 12)
    dataset.compress(RLELossless)
    (tmp_path / "bare.dcm").write_bytes(without(dataset, "no transfer syntax"))
    with pytest.raises(UserError, match="the attribute TransferSyntaxUID is missing"):
        read_radiograph(tmp_path / "bare.dcm")


def test_several_transfer_syntaxes_are_refused(tmp_path):
    path = write(make(TWELVE, 12), tmp_path)
    path.write_bytes(path.read_bytes().replace(b"1.2.840.10008.1.2.1", b"1.2.840\\1.10008.1.2", 1))
    with pytest.raises(UserError, match="TransferSyntaxUID has several values"):
        read_radiograph(path)


ATTRIBUTES = ("Rows", "Columns", "BitsAllocated", "BitsStored", "SamplesPerPixel", "PixelRepresentation")


@pytest.mark.parametrize("how", ["missing", "empty"])
@pytest.mark.parametrize("name", [*ATTRIBUTES, "PhotometricInterpretation", "PixelData"])
def test_what_is_missing_is_named(tmp_path, name, how):
    dataset = make(TWELVE, 12)
    path = write(dataset, tmp_path)
    dataset = pydicom.dcmread(path)
    if how == "missing":
        del dataset[name]
    else:
        dataset[name].value = b"" if name == "PixelData" else None
    dataset.save_as(path)
    with pytest.raises(UserError, match=f"image.dcm: .*{name} is missing or empty") as caught:
        read_radiograph(path)
    assert "Error" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("1.2.840.10008.1.3.10", "Media Storage Directory"), ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF")],
)
def test_files_of_other_kinds_are_named(tmp_path, kind, words):
    dataset = make(TWELVE, 12, SOPClassUID=kind)
    dataset.file_meta.MediaStorageSOPClassUID = kind
    del dataset.PixelData
    with pytest.raises(UserError, match=f"no image in it.*{words}"):
        show(dataset, tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        *(b"\x08\0\x05\0", bytes(200), b"\x08\0\x05\0\xff\xff\xff\xff" + bytes(200), b"II*\0" * 9),
        *(b"  CSV;of;things\n" * 20, "  a text in UTF-16".encode("utf-16-le") * 9, b"(0028,0010) US 512\n" * 9),
        np.arange(8, 108, 2, dtype=np.uint16).tobytes(),
        b"\x20\0\x10\0\x04\0\0\0" + bytes(200),  # what follows has a smaller number
    ],
)
def test_junk_is_no_dicom(content):
    assert not is_dicom(content)


def put_texts(content, **values):
    """A file with other texts for elements that hold decimals, whether or not they are numbers."""
    for name, text in values.items():
        tag = struct.pack("<HH", 0x28, {"WindowCenter": 0x1050, "WindowWidth": 0x1051, "RescaleSlope": 0x1053}[name])
        start = content.index(tag + b"DS")
        length = int.from_bytes(content[start + 6 : start + 8], "little")
        text = text.encode() + b" " * (len(text) % 2)
        element = tag + b"DS" + struct.pack("<H", len(text)) + text
        content = content[:start] + element + content[start + 8 + length :]
    return content


@pytest.mark.parametrize(
    ("center", "width"),
    [
        ("2000", "3001"),
        (r"abc\2000", r"50\3001"),
        (r"\2000", r"\3001"),
        ("2000\\", r"3001\x"),
        (r"nan\2000", r"10\3001"),
        (r"9\2000", r"0\3001"),
        (r"2000\100", "3001"),
        (r"x\2000", "3001"),
        ("2000", r"3001\9"),
        (r"1e999\2000", r"1\3001"),
        ("  2000 \0", " 3001\0\0"),
    ],
)
def test_the_first_usable_of_several_windows(tmp_path, center, width):
    """What is no number is passed over by itself; the center and the width of a window stand at the same place."""
    content = write(make(TWELVE, 12, WindowCenter=1, WindowWidth=2), tmp_path).read_bytes()
    (tmp_path / "a.dcm").write_bytes(put_texts(content, WindowCenter=center, WindowWidth=width))
    assert np.abs(read_radiograph(tmp_path / "a.dcm") - linear(TWELVE, 2000, 3001)).max() <= 1


def test_windows_without_a_usable_pair(tmp_path):
    plain = show(make(TWELVE, 12), tmp_path)
    content = write(make(TWELVE, 12, WindowCenter=1, WindowWidth=2, RescaleSlope=1), tmp_path).read_bytes()
    for center, width in ((r"abc\100", r"50\x"), ("2000,5", "3000,5"), (r"\100", "7\\"), ("", "9")):
        texts = put_texts(content, WindowCenter=center, WindowWidth=width, RescaleSlope="one")
        (tmp_path / "a.dcm").write_bytes(texts)
        np.testing.assert_array_equal(read_radiograph(tmp_path / "a.dcm"), plain)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("value", [None, 7])
def test_colors_without_planar_configuration(tmp_path, syntax, value):
    plain = show(make(COLOR), tmp_path)
    dataset = make(COLOR)
    if syntax == RLELossless:
        dataset.compress(RLELossless)
    dataset.PlanarConfiguration = value
    if value is None:
        del dataset.PlanarConfiguration
    np.testing.assert_array_equal(show(dataset, tmp_path), plain)


@pytest.mark.parametrize("planar", [0, 1, None])
@pytest.mark.parametrize("photometric", ["YBR_FULL", "YBR_FULL_422"])
def test_colors_of_television(tmp_path, photometric, planar):
    """Luma and two differences of color, of which 4:2:2 has one for two pixels, one after the other in any case."""
    colors = cv2.cvtColor(COLOR, cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
    dataset = make(colors, PhotometricInterpretation=photometric, PlanarConfiguration=planar)
    if photometric == "YBR_FULL_422":
        pairs = colors.reshape(H, W // 2, 2, 3)
        dataset.PixelData = np.dstack([pairs[..., 0], pairs[..., :1, 1], pairs[..., :1, 2]]).tobytes()
    elif planar == 1:
        dataset.PixelData = colors.transpose(2, 0, 1).tobytes()
    assert np.abs(show(dataset, tmp_path) - colors[..., 0].astype(float)).max() <= 4


@pytest.mark.parametrize("start", ["implicit", "explicit", "explicit big endian"])
@pytest.mark.parametrize(
    "first", [(0x10, 0x10, "PN"), (0x18, 0x1164, "DS"), (0x18, 0x15, "CS"), (0x20, 0x0D, "UI"), (0x28, 2, "US")]
)
def test_a_data_set_that_starts_in_any_group(tmp_path, start, first):
    """PS3.5, 7.1: elements in ascending order, of which none has to be there but those of the image."""
    plain = show(make(TWELVE, 12), tmp_path)
    dataset = make(TWELVE if start != "explicit big endian" else TWELVE.byteswap(), 12)
    del dataset.SOPClassUID, dataset.SOPInstanceUID
    if first[0] < 0x28:
        dataset.add_new(first[:2], first[2], {"PN": "A^B", "DS": [0.14, 0.14], "CS": "CHEST", "UI": "1.2.3"}[first[2]])
    content = without(dataset, start)
    assert is_dicom(content[:132])
    (tmp_path / "bare.dcm").write_bytes(content)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "bare.dcm"), plain)


def test_a_text_that_names_the_deflated_syntax(tmp_path):
    plain = show(make(TWELVE, 12), tmp_path)
    dataset = make(TWELVE, 12, ImageComments="not 1.2.840.10008.1.2.1.99, but plain")
    dataset.file_meta.ImplementationVersionName = "1.2.840.10008.1.2.1.99"[:16]
    dataset.file_meta.SourceApplicationEntityTitle = "1.2.1.99"
    np.testing.assert_array_equal(show(dataset, tmp_path), plain)


def test_what_is_deflated_is_not_unpacked(tmp_path):
    """256 MiB of zeros in a quarter of one, whatever the meta header says of its length."""
    dataset = make(TWELVE, 12)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    content = bytearray(write(dataset, tmp_path).read_bytes())
    content[140:144] = struct.pack("<I", 3)
    packer = zlib.compressobj(wbits=-15)
    bomb = b"".join(packer.compress(bytes(2**24)) for _ in range(16)) + packer.flush()
    (tmp_path / "a.dcm").write_bytes(bytes(content[: content.index(b"1.2.840.10008.1.2.1.99") + 22]) + bomb)
    with bounded(100 * 1024**2), pytest.raises(UserError, match="deflated DICOM files are not read"):
        read_radiograph(tmp_path / "a.dcm")


def real_images(count):
    files = sorted((SHARED / "real_cxr" / "images").iterdir())
    return [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) for file in files[:: len(files) // count]][:count]


@needs_shared("real_cxr")
def test_real_radiographs(tmp_path):
    """In sixteen bits, inverted, behind a window, with padding: the grays of the photographs, within one level."""
    for number, gray in enumerate(real_images(20)):
        deep = gray.astype(np.uint16) * 15 + 100
        ranked = np.sort(gray.ravel())
        spared = -(-gray.size // 500)
        expected = to_255(gray.astype(float), ranked[spared], ranked[-1 - spared])
        inverted = make(4095 - deep, 12, PhotometricInterpretation="MONOCHROME1")
        windowed = make(deep, 12, WindowCenter=100 + 15 * 127.5 + 0.5, WindowWidth=15 * 255 + 1)
        lighted = make(deep, 12, VOILUTSequence=[lut(np.arange(255 * 15 + 1) // 15 * 16, 100, 16), lut(CURVE)])
        cv2.imwrite(str(tmp_path / "a.png"), deep)
        assert np.abs(read_radiograph(tmp_path / "a.png") - expected).max() <= 1, number
        for dataset, right in ((make(deep, 12), expected), (inverted, expected), (windowed, gray), (lighted, gray)):
            assert np.abs(show(dataset, tmp_path).astype(float) - right).max() <= 1, number
