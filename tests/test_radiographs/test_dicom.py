"""Decoding of DICOM files: pydicom's own test images in every transfer syntax, and files made here."""

import contextlib
import io
import struct
import warnings
from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from mgca_mm.errors import UserError
from mgca_mm.phantom.dicom import write_dicom
from mgca_mm.radiographs.reading import read_radiograph
from tests.test_fuzz.cases import bounded


def make(pixels, bits_stored=None, signed=False, **tags):
    """A data set of one uncompressed image (H, W) or (H, W, 3)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["test"])
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    dataset.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits_stored or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(signed)
    dataset.PixelData = pixels.tobytes()
    dataset["PixelData"].VR = "OB" if dataset.BitsAllocated == 8 else "OW"
    for name, value in tags.items():
        setattr(dataset, name, value)
    return dataset


def write(dataset, folder):
    path = folder / "image.dcm"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(path, enforce_file_format=True)
    return path


def show(dataset, folder):
    return read_radiograph(write(dataset, folder))


def rng():
    return np.random.default_rng(0)


def ends(values):
    """The range that is shown without a window: the 0.2nd to the 99.8th percentile, of few pixels all but two."""
    ranked = np.sort(values.ravel())
    spared = -(-len(ranked) // 500)
    return ranked[spared], ranked[-1 - spared]


def stretched(values, low, high):
    return np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255)


def test_eight_bits_stay(tmp_path):
    pixels = rng().integers(40, 200, (20, 31), np.uint8)
    np.testing.assert_array_equal(show(make(pixels), tmp_path), pixels)
    identity = make(pixels, RescaleSlope=1, RescaleIntercept=0, RescaleType="US")
    np.testing.assert_array_equal(show(identity, tmp_path), pixels)


def test_monochrome1_is_inverted(tmp_path):
    pixels = rng().integers(0, 256, (20, 31), np.uint8)
    np.testing.assert_array_equal(show(make(pixels, PhotometricInterpretation="MONOCHROME1"), tmp_path), 255 - pixels)


@pytest.mark.parametrize(("bits", "high"), [(10, 900), (12, 3000), (16, 60000)])
def test_deep_images_without_a_window_are_stretched(tmp_path, bits, high):
    pixels = rng().integers(100, high, (20, 31), np.uint16)
    np.testing.assert_array_equal(show(make(pixels, bits), tmp_path), stretched(pixels, *ends(pixels)))


def test_signed_values(tmp_path):
    pixels = rng().integers(-1000, 2000, (20, 31), np.int16)
    shown = show(make(pixels, 12, signed=True), tmp_path)
    np.testing.assert_array_equal(shown, stretched(pixels, *ends(pixels)))


def test_window_on_rescaled_values(tmp_path):
    """PS3.3 C.11.2.1.2.1: LINEAR, on the output of the rescale."""
    pixels = rng().integers(0, 4096, (20, 31), np.uint16)
    tags = dict(RescaleSlope=2, RescaleIntercept=-1000, RescaleType="US", WindowCenter=3000, WindowWidth=2001)
    shown = show(make(pixels, 12, **tags), tmp_path)
    values = pixels * 2.0 - 1000
    expected = np.rint(np.clip((values - 2999.5) / 2000 + 0.5, 0, 1) * 255)
    np.testing.assert_array_equal(shown, expected)
    assert {0, 255} < set(shown.flat)
    first_of_several = make(pixels, 12, **tags | dict(WindowCenter=[3000, 100], WindowWidth=[2001, 50]))
    np.testing.assert_array_equal(show(first_of_several, tmp_path), expected)


def test_window_of_a_negative_slope_keeps_its_direction(tmp_path):
    pixels = rng().integers(0, 4096, (20, 31), np.uint16)
    tags = dict(RescaleSlope=-1, RescaleIntercept=4095, RescaleType="US")
    windowed = show(make(pixels, 12, **tags, WindowCenter=2048, WindowWidth=1001), tmp_path)
    np.testing.assert_array_equal(windowed, np.rint(np.clip((4095.0 - pixels - 2047.5) / 1000 + 0.5, 0, 1) * 255))
    plain = show(make(pixels, 12, **tags), tmp_path)
    np.testing.assert_array_equal(plain, stretched(4095.0 - pixels, *ends(4095 - pixels)))


@pytest.mark.parametrize("function", ["LINEAR_EXACT", "SIGMOID"])
def test_other_window_functions(tmp_path, function):
    pixels = rng().integers(0, 4096, (20, 31), np.uint16)
    shown = show(make(pixels, 12, WindowCenter=2000, WindowWidth=1500, VOILUTFunction=function), tmp_path)
    x = (pixels - 2000.0) / 1500
    expected = np.clip(x + 0.5, 0, 1) if function == "LINEAR_EXACT" else 1 / (1 + np.exp(-4 * x))
    np.testing.assert_allclose(shown, 255 * expected, atol=0.51)


@pytest.mark.parametrize("depth", [8, 12])
def test_voi_lut(tmp_path, depth):
    """A table of 8-bit entries over 12-bit values: the values must not be cut to 8 bits before the look-up."""
    pixels = rng().integers(0, 4096, (20, 31), np.uint16)
    table = np.rint(np.sqrt(np.arange(3000) / 2999) * (2**depth - 1)).astype(np.uint16)
    item = Dataset()
    item.LUTDescriptor = [3000, 500, depth]
    item["LUTDescriptor"].VR = "US"
    item.LUTData = table.tobytes()
    item["LUTData"].VR = "OW"
    shown = show(make(pixels, 12, VOILUTSequence=[item], WindowCenter=1, WindowWidth=2), tmp_path)
    values = table[np.clip(pixels.astype(int) - 500, 0, 2999)]
    np.testing.assert_array_equal(shown, stretched(values, 0, 2**depth - 1))


def test_colors_become_luma(tmp_path):
    pixels = rng().integers(0, 256, (20, 31, 3), np.uint8)
    np.testing.assert_array_equal(show(make(pixels), tmp_path), cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def test_jpeg_baseline(tmp_path):
    smooth = cv2.GaussianBlur(rng().integers(0, 256, (64, 48), np.uint8), (0, 0), 5)
    _, encoded = cv2.imencode(".jpg", smooth, (cv2.IMWRITE_JPEG_QUALITY, 95))
    dataset = make(smooth)
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([encoded.tobytes()])
    np.testing.assert_allclose(show(dataset, tmp_path), cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), atol=1)


def test_rle_lossless(tmp_path):
    pixels = rng().integers(100, 3000, (20, 31), np.uint16)
    plain = show(make(pixels, 12), tmp_path)
    dataset = make(pixels, 12)
    dataset.compress(RLELossless)
    np.testing.assert_array_equal(show(dataset, tmp_path), plain)


@pytest.mark.parametrize("kind", ["RLE", "bigendian", "expb", "implicit", "jp2klossless", "jpeg_ls_lossless", "padded"])
def test_one_image_in_every_lossless_syntax(kind):
    expected = read_radiograph(get_testdata_file("MR_small.dcm"))
    assert expected.std() > 50
    np.testing.assert_array_equal(read_radiograph(get_testdata_file(f"MR_small_{kind}.dcm")), expected)


@pytest.mark.parametrize("name", ["JPEG-lossy.dcm", "JPGExtended.dcm"])
def test_twelve_bit_lossy_jpeg(tmp_path, name):
    """Values as libjpeg-turbo's 12-bit decoder gives them: from 0 to 264, mean 14.36999."""
    dataset = pydicom.dcmread(get_testdata_file(name))
    assert dataset.BitsStored == 12 and "WindowWidth" not in dataset
    dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 132, 264, "LINEAR_EXACT"
    shown = show(dataset, tmp_path)
    assert shown.shape == (1024, 256) and shown.min() == 0 and shown.max() == 255
    assert shown.mean() == pytest.approx(14.36999 * 255 / 264, abs=0.05)


def test_color_spaces_agree():
    """The same picture, stored as RGB and as YBR in several samplings, gives nearly the same luma."""
    expected = read_radiograph(get_testdata_file("SC_rgb_rle.dcm")).astype(int)
    for name in ("SC_rgb_dcmtk_+eb+cr.dcm", "SC_rgb_dcmtk_+eb+cy+np.dcm", "SC_ybr_full_422_uncompressed.dcm"):
        assert np.abs(read_radiograph(get_testdata_file(name)) - expected).mean() < 3, name


def _deflated(dataset):
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def _deflated_after_a_long_header(dataset):
    dataset.file_meta.MediaStorageSOPInstanceUID = "1." + "2" * 5000
    _deflated(dataset)


def _jpeg_of_another_shape(dataset):
    _, encoded = cv2.imencode(".jpg", np.zeros((64, 48), np.uint8))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([encoded.tobytes()])


def _truncated_jpeg(dataset):
    _, encoded = cv2.imencode(".jpg", rng().integers(0, 256, (20, 31), np.uint8))
    dataset.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    dataset.PixelData = encapsulate([encoded.tobytes()[:-100]])


def _jpeg2000_bomb(dataset):
    size = b"".join(number.to_bytes(4, "big") for number in (65500, 65500, 0, 0))
    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"\xff\x4f\xff\x51\x00\x29\x00\x00" + size + bytes(30)])


@pytest.mark.filterwarnings("ignore:Invalid value", "ignore:The value length")
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda d: d.pop("PixelData"), "has no image in it"),
        (lambda d: d.update({"NumberOfFrames": 2}), "several frames"),
        (
            lambda d: d.update({"PhotometricInterpretation": "PALETTE COLOR"}),
            "PhotometricInterpretation is PALETTE COLOR",
        ),
        (lambda d: d.update({"Rows": 65500, "Columns": 65500}), "65500 x 65500 pixels are more"),
        (lambda d: d.update({"Rows": 40}), "the pixel data cannot be decoded as Explicit VR Little Endian"),
        (lambda d: d.update({"BitsStored": 99}), "the attribute BitsStored is 99; correct"),
        (lambda d: d.update({"BitsStored": 12}), "BitsStored is 12, but BitsAllocated 8; correct"),
        (lambda d: d.update({"BitsAllocated": 32}), "the attribute BitsAllocated is 32; correct"),
        (lambda d: d.update({"PixelData": b""}), "has no image in it: PixelData is missing or empty"),
        (_deflated, "deflated"),
        (_deflated_after_a_long_header, "deflated"),
        (
            lambda d: d.update({"PhotometricInterpretation": "RGB"}),
            "PhotometricInterpretation is [A-Z0-9]+, with [13] samples",
        ),
        (lambda d: d.update({"SamplesPerPixel": 3}), "PhotometricInterpretation is [A-Z0-9]+, with [13] samples"),
        (lambda d: d.update({"RescaleSlope": "inf", "RescaleIntercept": 0}), "RescaleIntercept is not finite"),
        (_jpeg_of_another_shape, "the header has 31 x 20 pixels, the image inside 48 x 64"),
        (_truncated_jpeg, "the JPEG is truncated"),
        (_jpeg2000_bomb, "the image inside 65500 x 65500"),
    ],
)
def test_refused(tmp_path, spoil, message):
    dataset = make(rng().integers(0, 256, (20, 31), np.uint8))
    spoil(dataset)
    path = write(dataset, tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        read_radiograph(path)
    assert str(caught.value).startswith(f"{path}: ")


def _precision_of_17_bits(dataset):
    frame = dataset.PixelData.index(b"\xff\xc3")
    dataset.PixelData = dataset.PixelData[: frame + 4] + b"\x11" + dataset.PixelData[frame + 5 :]


def _jpeg2000_without_a_part(dataset):
    start = dataset.PixelData.index(b"\xff\x4f\xff\x51")
    dataset.PixelData = dataset.PixelData[: start + 28] + dataset.PixelData[start + 300 :]


@pytest.mark.parametrize(
    ("kind", "spoil", "message"),
    [
        ("twelve bits", lambda d: d.update({"SamplesPerPixel": 0}), "the attribute SamplesPerPixel is 0"),
        ("twelve bits", lambda d: d.update({"BitsAllocated": 32}), "the attribute BitsAllocated is 32"),
        ("jpeg_baseline", lambda d: d.update({"BitsStored": 7}), "a JPEG of 7 bits in 8"),
        ("jpeg_lossless", lambda d: d.update({"BitsStored": 7}), "a JPEG of 7 bits in 8"),
        ("jpeg_lossless", _precision_of_17_bits, "the JPEG header is broken"),
        (
            "jpeg_2000",
            lambda d: d.update({"PhotometricInterpretation": "RGB"}),
            "PhotometricInterpretation is [A-Z0-9]+, with [13] samples",
        ),
        ("jpeg_2000", _jpeg2000_without_a_part, "cannot be decoded as JPEG 2000"),
    ],
)
def test_what_gdcm_ends_the_process_for_is_refused(tmp_path, kind, spoil, message):
    path = tmp_path / "image.dcm"
    if kind == "twelve bits":
        dataset = pydicom.dcmread(get_testdata_file("JPEG-lossy.dcm"))
    else:
        write_dicom(path, rng().integers(0, 256, (64, 64), np.uint8), kind, SOPInstanceUID="1.2")
        dataset = pydicom.dcmread(path)
    spoil(dataset)
    dataset.save_as(path)
    with pytest.raises(UserError, match=message):
        read_radiograph(path)


def test_real_oddities_are_refused():
    for name in ("MR_truncated.dcm", "rtplan.dcm", "image_dfl.dcm", "examples_palette.dcm", "test-SR.dcm"):
        with pytest.raises(UserError):
            read_radiograph(get_testdata_file(name))


@pytest.mark.parametrize("name", ["MR_small.dcm", "JPEG2000.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle.dcm"])
def test_random_damage_never_crashes(tmp_path, name):
    data = Path(get_testdata_file(name)).read_bytes()
    generator = rng()
    path = tmp_path / name
    for _ in range(60):
        damaged = bytearray(data[: generator.integers(1, len(data) + 1)] if generator.random() < 0.3 else data)
        for position in generator.integers(0, len(damaged), 6):
            damaged[position] = generator.integers(256)
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):
            assert read_radiograph(path).dtype == np.uint8


def test_jpeg_ls_shape_is_read_from_the_stream():
    dataset = pydicom.dcmread(get_testdata_file("MR_small_jpeg_ls_lossless.dcm"))
    assert dataset.file_meta.TransferSyntaxUID == JPEGLSLossless
    dataset.Rows = 32
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    from mgca_mm.radiographs.dicom import decode_dicom

    with pytest.raises(UserError, match="the header has 64 x 32 pixels, the image inside 64 x 64"):
        decode_dicom(buffer.getvalue(), Path("image.dcm"))


@pytest.mark.parametrize("inside", [False, True], ids=["elements", "items of a sequence"])
def test_many_elements(tmp_path, inside):
    """Eight bytes each, of which objects of hundreds would be made."""
    path = tmp_path / "a.dcm"
    element = (
        (lambda number: struct.pack("<HHI", 0x7FE1 + 2 * (number >> 16), number & 0xFFFF, 0))
        if not inside
        else (lambda number: struct.pack("<HHI", 0xFFFE, 0xE000, 0))
    )
    sequence = (struct.pack("<HHI", 0x7FE1, 0x1001, 2**32 - 1), struct.pack("<HHI", 0xFFFE, 0xE0DD, 0))
    start, end = sequence if inside else (b"", b"")
    whole = Path(get_testdata_file("MR_small_implicit.dcm")).read_bytes()
    path.write_bytes(whole + start + b"".join(map(element, range(100))) + end)
    assert read_radiograph(path).shape == (64, 64)
    path.write_bytes(whole + start + b"".join(map(element, range(300_000))) + end)
    with bounded(100 * 1024**2), pytest.raises(UserError, match=r"more elements than any|is broken"):
        read_radiograph(path)
