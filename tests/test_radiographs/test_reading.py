"""Decoding, resizing and padding of one radiograph."""

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from mgca_mm.errors import UserError
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from tests.test_fuzz.cases import bounded


@pytest.fixture
def gray():
    return cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (60, 40), np.uint8), (0, 0), 2)


def test_png_is_exact(tmp_path, gray):
    cv2.imwrite(str(tmp_path / "a.png"), gray)
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png"), gray)


def test_jpeg_is_what_opencv_reads_as_gray(tmp_path, gray):
    path = str(tmp_path / "a b (1) é.jpg")
    cv2.imwrite(path, np.dstack([gray, gray[::-1], 255 - gray]))
    image = read_radiograph(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, cv2.imread(path, cv2.IMREAD_GRAYSCALE))


def test_the_content_counts_not_the_suffix(tmp_path, gray):
    (tmp_path / "a.jpg").write_bytes(cv2.imencode(".png", gray)[1].tobytes())
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.jpg"), gray)


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_alpha_is_ignored(tmp_path, gray, alpha):
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([gray, gray, gray, np.full_like(gray, alpha)]))
    np.testing.assert_allclose(read_radiograph(tmp_path / "a.png").astype(int), gray, atol=1)


@pytest.mark.parametrize("depth", [8, 10, 12, 14, 16])
def test_sixteen_bits_are_scaled_by_the_depth_in_use(tmp_path, depth):
    top = 2**depth - 1
    ramp = np.linspace(0, top, 256).round().astype(np.uint16)[None].repeat(4, 0)
    cv2.imwrite(str(tmp_path / "a.png"), ramp)
    image = read_radiograph(tmp_path / "a.png")
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image[0].astype(int), np.arange(256), atol=1)


@pytest.mark.parametrize("hot", [256, 4095, 65535])
def test_eight_bits_in_sixteen_stay_beside_a_hot_pixel(tmp_path, gray, hot):
    deep = gray.astype(np.uint16)
    deep[7, 9] = hot
    cv2.imwrite(str(tmp_path / "a.png"), deep)
    expected = gray.copy()
    expected[7, 9] = 255
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png"), expected)


def test_other_kinds_of_jpeg_and_png(tmp_path, gray):
    """Palettes, transparency, one bit, ink instead of light; sixteen bits with transparency."""
    kinds = {"P": "png", "LA": "png", "RGBA": "png", "RGB": "png", "CMYK": "jpg"}
    for mode, suffix in kinds.items():
        Image.fromarray(gray).convert(mode).save(tmp_path / f"a.{suffix}", quality=99)
        assert np.abs(read_radiograph(tmp_path / f"a.{suffix}").astype(int) - gray).max() <= 2, mode
    Image.fromarray(gray > 127).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png"), 255 * (gray > 127))
    deep = gray.astype(np.uint16) * 200
    cv2.imwrite(str(tmp_path / "plain.png"), deep)
    cv2.imwrite(str(tmp_path / "a.png"), np.dstack([deep, deep, deep, deep[::-1]]))
    np.testing.assert_array_equal(read_radiograph(tmp_path / "a.png"), read_radiograph(tmp_path / "plain.png"))


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "WEBP", "GIF", "JPEG2000", "ICO"])
def test_other_formats_are_refused_whatever_their_name(tmp_path, gray, kind):
    Image.fromarray(gray).save(tmp_path / "a.png", kind)
    with pytest.raises(UserError, match=r"a\.png: neither a JPEG nor a PNG nor a DICOM image"):
        read_radiograph(tmp_path / "a.png")


def test_black_sixteen_bit_image(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((3, 3), np.uint16))
    assert not read_radiograph(tmp_path / "a.png").any()


def _png_header(width, height):
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))


def _jpeg():
    return cv2.imencode(".jpg", np.full((80, 80), 9, np.uint8))[1].tobytes()


def _huge_jpeg():
    data = bytearray(_jpeg())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = struct.pack(">HH", 20000, 20000)
    return bytes(data)


def _jpeg_with_thumbnail_cut_off():
    """An end marker stands in the thumbnail only."""
    data = _jpeg()
    thumbnail = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    return data[:2] + thumbnail + data[2:-2]


def _jpeg_of_many_scans():
    """Each of a few bytes, and each a pass over all pixels."""
    _, encoded = cv2.imencode(".jpg", np.full((80, 80), 9, np.uint8), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    data = encoded.tobytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + 100 * scan + data[-2:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"GIF89a" + bytes(100), "neither a JPEG nor a PNG"),
        (b"\0" * 100, "neither a JPEG nor a PNG"),
        (b"\xff\xd8", "header is broken"),
        (b"\xff\xd8" + b"\xff" * 1000, "header is broken"),
        (b"\xff\xd8\xff\xe0\0\0" * 10, "header is broken"),
        (b"\x89PNG\r\n\x1a\n", "header is broken"),
        (_jpeg()[: len(_jpeg()) // 2], "truncated|broken"),
        (_jpeg()[:-2], "truncated"),
        (_jpeg_with_thumbnail_cut_off(), "truncated"),
        (cv2.imencode(".png", np.eye(50, dtype=np.uint8) * 255)[1].tobytes()[:-30], "truncated"),
        (_png_header(0, 0), "truncated"),
        (_png_header(50_000, 50_000), "50000 x 50000 pixels"),
        (_huge_jpeg(), "20000 x 20000 pixels"),
        (_jpeg_of_many_scans(), "more scans than any radiograph"),
    ],
)
def test_bad_files_are_named(tmp_path, content, message):
    path = tmp_path / "bad.jpg"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_radiograph(path)
    assert str(path) in str(caught.value)


def test_a_folder_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(UserError, match="not a regular file"):
        read_radiograph(tmp_path)
    with pytest.raises(UserError, match=r"absent\.jpg: no such image file"):
        read_radiograph(tmp_path / "absent.jpg")


def test_random_damage_never_crashes(tmp_path, gray):
    rng = np.random.default_rng(1)
    outcomes = set()
    for suffix in (".jpg", ".png"):
        data = cv2.imencode(suffix, gray)[1].tobytes()
        for _ in range(60):
            damaged = bytearray(data[: rng.integers(1, len(data) + 1)] if rng.random() < 0.5 else data)
            for position in rng.integers(0, len(damaged), 3):
                damaged[position] = rng.integers(256)
            (tmp_path / "a").write_bytes(damaged)
            try:
                image = read_radiograph(tmp_path / "a")
            except UserError:
                outcomes.add("refused")
            else:
                assert image.dtype == np.uint8 and image.ndim == 2
                outcomes.add("read")
    assert outcomes == {"refused", "read"}


@pytest.mark.parametrize(
    ("shape", "inner", "top", "left"),
    [
        ((512, 256), (256, 128), 0, 64),
        ((256, 512), (128, 256), 64, 0),
        ((256, 256), (256, 256), 0, 0),
        ((300, 299), (256, 255), 0, 0),  # odd padding: the larger half on the right
        ((299, 300), (255, 256), 0, 0),
        ((100, 50), (256, 128), 0, 64),
        ((1000, 1), (256, 1), 0, 127),
        ((1, 1), (256, 256), 0, 0),
        ((2544, 3056), (213, 256), 21, 0),  # floor(2544 * 256 / 3056) = floor(213.1)
    ],
)
def test_resize_and_pad(shape, inner, top, left):
    image = np.random.default_rng(0).integers(1, 256, shape, np.uint8)
    square = resize_and_pad(image, 256)
    assert square.shape == (256, 256) and square.dtype == np.uint8
    expected = np.zeros((256, 256), np.uint8)
    expected[top : top + inner[0], left : left + inner[1]] = (
        image if shape == inner else cv2.resize(image, inner[::-1], interpolation=cv2.INTER_AREA)
    )
    np.testing.assert_array_equal(square, expected)


def test_halving_averages_areas():
    image = np.array([[0, 100, 8, 8], [100, 200, 8, 8], [0, 0, 4, 4], [0, 0, 4, 4]], np.uint8)
    np.testing.assert_array_equal(resize_and_pad(image, 2), [[100, 8], [0, 4]])


def test_sixteen_bits_take_few_times_their_memory(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((4000, 8000), np.uint16), (cv2.IMWRITE_PNG_COMPRESSION, 1))
    with bounded(200 * 1024**2):
        assert read_radiograph(tmp_path / "a.png").shape == (4000, 8000)
