"""Shenzhen and Montgomery: labels in the names of images, masks of lungs, patients of several images."""

import json
import shutil

import cv2
import numpy as np
import pytest
from PIL import Image

from mgca_mm.preparation import Options, prepare
from tests.test_preparation.raw_trees import SIDE, raw_tree, refuse
from tests.test_preparation.test_bad_input_images import prepare_without

PREFIX = {"shenzhen": "CHNCXR", "montgomery": "MCUCXR"}


def prepared(name, raw):
    out = raw.with_name("out")
    prepare(name, raw, out, Options(image_size=SIDE, max_rejected=0.5))
    rows = [
        row
        for split in ("train", "val", "test")
        for row in json.loads((out / f"{split}.json").read_text())["data_list"]
    ]
    masks = {path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in out.glob("masks/*.png")}
    return {row["image_id"]: row for row in rows}, masks, json.loads((out / "manifest.json").read_text())


@pytest.mark.parametrize("name", PREFIX)
def test_labels_and_masks(tmp_path, name):
    rows, masks, manifest = prepared(name, raw_tree(name).write(tmp_path / "raw"))
    assert {image_id: row["labels"] for image_id, row in rows.items()} == {
        f"{PREFIX[name]}_{n:04}_{(n + 1) % 2}": [(n + 1) % 2] for n in range(1, 7)
    }
    assert rows.keys() - masks.keys() == {f"{PREFIX[name]}_0006_1"}
    expected = np.ones((SIDE, SIDE), np.uint8)
    expected[:, SIDE // 2 :] = name == "montgomery"  # whose two masks are halves of the image here
    for mask in masks.values():
        np.testing.assert_array_equal(mask, expected)
    assert manifest["notes"][0].startswith("1 images have no mask, ")
    assert sum(counts["images"] for counts in manifest["dense_splits"].values()) == 5


def test_two_images_of_one_patient(tmp_path):
    raw = raw_tree("montgomery").write(tmp_path / "raw")
    patients = {name: row["patient_id"] for name, row in prepared("montgomery", raw)[0].items()}
    assert patients["MCUCXR_0003_0"] == patients["MCUCXR_0002_1"] == "MCUCXR_0002_1"
    assert len(set(patients.values())) == 5


@pytest.mark.parametrize(
    ("name", "folder"), [("shenzhen", "mask/mask"), ("shenzhen", "masks"), ("montgomery", "masks")]
)
def test_other_places_of_the_masks(tmp_path, name, folder):
    raw = raw_tree(name).write(tmp_path / "raw")
    found = raw / ("mask" if name == "shenzhen" else "ManualMask/leftMask")
    found.rename(tmp_path / "moved")
    shutil.rmtree(raw / "ManualMask", ignore_errors=True)
    (raw / folder).parent.mkdir(exist_ok=True)
    (tmp_path / "moved").rename(raw / folder)
    assert len(prepared(name, raw)[1]) == 5


def test_without_masks_and_readings_there_are_labels(tmp_path):
    tree = raw_tree("montgomery")
    tree.files = {path: content for path, content in tree.files.items() if path.startswith("CXR_png")}
    rows, masks, manifest = prepared("montgomery", tree.write(tmp_path / "raw"))
    assert len(rows) == 6 and not masks and manifest["dense_splits"] == {}
    assert manifest["notes"][0] == (
        "6 images have no mask, ManualMask/leftMask/NAME.png and ManualMask/rightMask/NAME.png"
    )
    assert "no ClinicalReadings/" in manifest["notes"][1] and len({row["patient_id"] for row in rows.values()}) == 6


def test_half_a_mask_is_none(tmp_path):
    raw = raw_tree("montgomery").write(tmp_path / "raw")
    (raw / "ManualMask/rightMask/MCUCXR_0001_0.png").unlink()
    prepare_without("montgomery", raw, {"CXR_png/MCUCXR_0001_0.png": "no such image file"})


def test_palette(tmp_path):
    """Published so for Shenzhen: the indices are not the grays."""
    raw = raw_tree("shenzhen").write(tmp_path / "raw")
    grays = np.arange(SIDE * SIDE, dtype=np.uint8).reshape(SIDE, SIDE)
    image = Image.fromarray(255 - grays, "P")
    image.putpalette([value for gray in range(255, -1, -1) for value in (gray,) * 3])
    image.save(raw / "CXR_png/CHNCXR_0001_0.png")
    row = prepared("shenzhen", raw)[0]["CHNCXR_0001_0"]
    np.testing.assert_array_equal(np.load(tmp_path / "out/images.npy")[row["image_index"]], grays)


@pytest.mark.parametrize("name", PREFIX)
@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("{}_0001_1.png", "CXR_png: {0}_0001_0.png and {0}_0001_1.png are one image; remove one of them"),
        ("{}_0009_2.png", "CXR_png: the name of an image is not {}_, a number, _0 or _1 for its label, .png"),
        ("{}_0009.png", "CXR_png: the name of an image is not {}_, a number"),
        ("{}_x_1.png", "CXR_png: the name of an image is not {}_, a number"),
    ],
)
def test_names(tmp_path, name, file, message):
    tree = raw_tree(name)
    raw = tree.write(tmp_path / "raw")
    shutil.copy(raw / tree.images[0], raw / "CXR_png" / file.format(PREFIX[name]))
    refuse(name, raw, message.format(PREFIX[name]))


@pytest.mark.parametrize("name", PREFIX)
def test_another_folder(tmp_path, name):
    (tmp_path / "raw").mkdir()
    refuse(name, tmp_path / "raw", rf"CXR_png: no {PREFIX[name]}_\*.png; --raw takes the folder.*https://")


@pytest.mark.parametrize("name", PREFIX)
def test_images_of_other_sets_are_passed_over(tmp_path, name):
    """A mirror has both sets in one folder."""
    tree = raw_tree(name)
    raw = tree.write(tmp_path / "raw")
    other = next(prefix for prefix in PREFIX.values() if prefix != PREFIX[name])
    shutil.copy(raw / tree.images[0], raw / "CXR_png" / f"{other}_0001_0.png")
    assert len(prepared(name, raw)[0]) == 6
