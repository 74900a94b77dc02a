"""Images that show nearly nothing are prepared, counted and named; real and made radiographs are not among them."""

import csv
import json

import cv2
import numpy as np
import pytest

from mgca_mm.preparation.options import Options
from mgca_mm.preparation.pipeline import prepare
from mgca_mm.preparation.suspicious import suspicion_of
from mgca_mm.radiographs.reading import Placement, read_radiograph, resize_and_pad
from tests.conftest import SHARED, needs_shared

RNG = np.random.default_rng(0)
PLAIN = RNG.integers(20, 220, (50, 30), np.uint8)


def noisy(low, high):
    return RNG.integers(low, high + 1, (50, 30)).astype(np.uint8)


IMAGES = {
    "plain": (PLAIN, None),
    "dark": (noisy(1, 15), "black"),  # a look-up table scaled by bits that its entries do not fill
    "bright": (noisy(200, 255), "white"),
    "gray": (noisy(120, 130), "constant"),
    "black": (np.zeros((50, 30), np.uint8), "black"),
    "white": (np.full((50, 30), 255, np.uint8), "white"),
    "dim": (PLAIN // 3, None),
}


@pytest.mark.parametrize("name", IMAGES)
def test_kinds(name):
    image, kind = IMAGES[name]
    found = suspicion_of(image)
    assert (found and found.kind) == kind
    if kind == "constant":
        assert found.number == pytest.approx(image.std(), abs=1e-3)
    elif kind:
        pixels = image < 32 if kind == "black" else image >= 224
        assert found.number == pytest.approx(pixels.mean(), abs=1e-3)


def write_raw(folder, names):
    folder.mkdir()
    rows = ["image,report"]
    for number, name in enumerate(names):
        cv2.imwrite(str(folder / f"{number}.png"), IMAGES[name][0])
        rows.append(f"{number}.png,the lungs are clear in study {number}.")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder


def read_rows(out):
    with open(out / "suspicious.csv", newline="") as file:
        return {row["file"]: (row["kind"], float(row["number"])) for row in csv.DictReader(file)}


def options(**given):
    return Options(image_size=32, vocab_size=100, **given)


def test_a_preparation_names_them(tmp_path, capsys):
    """By the part that is an image: the padding at the sides of these is black."""
    names = [*IMAGES, *["plain"] * 20]
    raw = write_raw(tmp_path / "raw", names)
    prepare("image_report_csv", raw, tmp_path / "out", options())
    rows = read_rows(tmp_path / "out")
    assert {file: kind for file, (kind, _) in rows.items()} == {
        f"{number}.png": IMAGES[name][1] for number, name in enumerate(names) if IMAGES[name][1]
    }
    note = "5 images show nearly nothing (2 black, 1 constant, 2 white); suspicious.csv names them"
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert note in manifest["notes"] and f"note: {note}" in capsys.readouterr().out
    assert manifest["files"]["suspicious.csv"]["bytes"] == (tmp_path / "out" / "suspicious.csv").stat().st_size
    prepare("image_report_csv", raw, tmp_path / "two", options(workers=2))
    assert (tmp_path / "two" / "suspicious.csv").read_text() == (tmp_path / "out" / "suspicious.csv").read_text()


def test_none_and_no_images(tmp_path):
    raw = write_raw(tmp_path / "raw", ["plain"] * 12)
    prepare("image_report_csv", raw, tmp_path / "out", options())
    assert (tmp_path / "out" / "suspicious.csv").read_text() == "image_id,file,kind,number\n"
    assert not any("nothing" in note for note in json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"])
    prepare("image_report_csv", raw, tmp_path / "out", options(annotations_only=True))
    assert not (tmp_path / "out" / "suspicious.csv").exists()


def test_an_interrupted_preparation_names_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("mgca_mm.preparation.image_store._CHUNK", 1)
    raw = write_raw(tmp_path / "raw", [*IMAGES, *["plain"] * 20])
    prepare("image_report_csv", raw, tmp_path / "fresh", options())

    def stop_at(path):
        if path.name == "20.png":
            raise KeyboardInterrupt
        return read_radiograph(path)

    module = "mgca_mm.preparation.image_store.read_radiograph"
    monkeypatch.setattr(module, stop_at)
    with pytest.raises(KeyboardInterrupt):
        prepare("image_report_csv", raw, tmp_path / "out", options())
    monkeypatch.setattr(module, lambda path: read_radiograph(path) if int(path.stem) >= 20 else pytest.fail(path.name))
    prepare("image_report_csv", raw, tmp_path / "out", options())
    assert len(read_rows(tmp_path / "out")) == 5
    for name in ("suspicious.csv", "manifest.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "fresh" / name).read_bytes()


def test_made_radiographs_are_none(prepared):
    store = np.load(prepared / "data" / "images.npy", mmap_mode="r")
    assert len(store) > 20 and not any(suspicion_of(image) for image in store)


@needs_shared("real_cxr")
def test_real_radiographs_are_none():
    for file in sorted((SHARED / "real_cxr" / "images").iterdir())[::3]:
        image = read_radiograph(file)
        place = Placement.of(*image.shape, 256)
        rows, columns = slice(place.top, place.top + place.height), slice(place.left, place.left + place.width)
        assert suspicion_of(resize_and_pad(image, 256)[rows, columns]) is None, file.name
