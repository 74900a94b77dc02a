"""What ChestX-ray14 gives: 14 labels, the official test, boxes of eight findings, images with transparency."""

import json

import cv2
import numpy as np
import pytest

from mgca_mm.preparation import Options, check, prepare
from mgca_mm.radiographs.reading import resize_and_pad
from tests.test_preparation.raw_trees import raw_tree, refuse

TABLE, BOXES = "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"
OPTIONS = dict(annotations_only=True)


def load(out, name):
    return json.loads((out / f"{name}.json").read_text())


def entries(tree, tmp_path, **options):
    """Entries of each split, by image."""
    raw, out = tree.write(tmp_path / "raw", images=False), tmp_path / "out"
    prepare("nih_chestxray14", raw, out, Options(**OPTIONS | options))
    assert check("nih_chestxray14", out) == []
    return {s: {e["image_id"]: e for e in load(out, s)["data_list"]} for s in ("train", "val", "test")}


def test_labels_and_official_test(tmp_path):
    tree = raw_tree("nih_chestxray14")
    tree.tables["train_val_list.txt"] = [[name] for (name,) in tree.tables["train_val_list.txt"] if "3_" not in name]
    found = entries(tree, tmp_path)
    assert sorted(found["test"]) == [name for (name,) in tree.tables["test_list.txt"]]
    assert len(found["val"]) == 1 and len(found["train"]) == 3
    manifest = load(tmp_path / "out", "manifest")
    assert manifest["filters"][1] == {"stage": "in the split lists", "kept": 7, "dropped": 1}
    classes = load(tmp_path / "out", "test")["metainfo"]["classes"]
    assert len(classes) == 14 and "Infiltration" in classes and "No Finding" not in classes
    images = found["train"] | found["val"] | found["test"]
    for name, labels, *_ in tree.tables[TABLE][1:]:
        if name in images:
            positive = [label for label, value in zip(classes, images[name]["labels"], strict=True) if value]
            assert positive == [label for label in classes if label in labels.split("|")]
            assert set(images[name]["labels"]) <= {0, 1}


def test_boxes_are_divided_by_patient(tmp_path):
    tree = raw_tree("nih_chestxray14")
    tree.tables[BOXES].append(["00000007_000.png", "Atelectasis", "5", "6", "7", "8", "", "", ""])
    tree.tables[BOXES].append(["00009999_000.png", "Mass", "5", "6", "7", "8", "", "", ""])
    entries(tree, tmp_path)
    found = {}
    for split in ("train", "val", "test"):
        content = load(tmp_path / "out" / "detection", split)
        names = {category["id"]: category["name"] for category in content["categories"]}
        (image,) = content["images"]
        found[image["image_id"]] = [(names[box["category_id"]], box["bbox"]) for box in content["annotations"]]
    assert list(names.values())[:4] == ["Atelectasis", "Cardiomegaly", "Effusion", "Infiltration"] and len(names) == 8
    assert found == {
        "00000001_000.png": [("Mass", [100.5, 200, 300, 400.25])],
        "00000007_000.png": [("Nodule", [100.5, 200, 300, 400.25]), ("Atelectasis", [5, 6, 7, 8])],
        "00000008_000.png": [("Infiltration", [1, 2, 3, 4])],
    }
    assert "images with boxes that are not in the table or the lists: 1" in load(tmp_path / "out", "manifest")["notes"]


@pytest.mark.parametrize("header", ["x", ""])
def test_the_first_table_with_its_comma_too_many(tmp_path, header):
    """Data_Entry_2017.csv has an empty last column, under the header too."""
    tree = raw_tree("nih_chestxray14")
    rows = tree.tables.pop(TABLE)
    tree.tables["Data_Entry_2017.csv"] = [[*cells, header if line == 0 else ""] for line, cells in enumerate(rows)]
    assert sum(map(len, entries(tree, tmp_path).values())) == 8


def test_images_in_any_folder_and_of_any_channels(tmp_path):
    """Some of the published files have four channels, or gray with transparency."""
    tree = raw_tree("nih_chestxray14")
    tree.images = [f"images/{name.rpartition('/')[2]}" for name in tree.images]
    raw = tree.write(tmp_path / "raw")
    gray = cv2.imread(str(raw / tree.images[1]), cv2.IMREAD_UNCHANGED)
    alpha = np.zeros_like(gray)  # wholly transparent, if it counted
    cv2.imwrite(str(raw / tree.images[1]), np.dstack([gray, gray, gray, alpha]))
    prepare("nih_chestxray14", raw, tmp_path / "out", Options(image_size=64))
    assert check("nih_chestxray14", tmp_path / "out") == []
    store = np.load(tmp_path / "out" / "images.npy")
    assert len(store) == 8
    np.testing.assert_array_equal(store[1], resize_and_pad(gray, 64))


def test_boxes_of_a_smaller_copy_are_scaled(tmp_path):
    tree = raw_tree("nih_chestxray14")
    boxes = []
    for side in (1024, 224):
        tree.side = side
        out = tmp_path / f"out {side}"
        prepare("nih_chestxray14", tree.write(tmp_path / str(side)), out, Options(image_size=64))
        assert load(out, "manifest")["rejected"]["broken"] == 0
        boxes.append([load(out / "detection", split)["annotations"] for split in ("train", "val", "test")])
    assert boxes[0] == boxes[1] and all(boxes[0])
    name = next(name for name in tree.images if name.endswith(tree.tables[BOXES][1][0]))
    cv2.imwrite(str(tmp_path / "224" / name), np.arange(224 * 200, dtype=np.uint8).reshape(224, 200))  # no copy of it
    message = "200 x 224 pixels, but the annotations are made for 1024 x 1024"
    refuse("nih_chestxray14", tmp_path / "224", message, max_rejected=0)


def test_a_patient_in_both_lists(tmp_path):
    tree = raw_tree("nih_chestxray14")
    for cells in tree.tables[TABLE][1:]:
        cells[2] = "1" if cells[0] in ("00000001_000.png", "00000006_000.png") else cells[2]
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("nih_chestxray14", raw, "patient 1 is in the splits (train|val) and test", **OPTIONS)


def test_too_few_patients_with_boxes(tmp_path):
    tree = raw_tree("nih_chestxray14")
    del tree.tables[BOXES][2:]
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("nih_chestxray14", raw, rf"{BOXES}: 1 patients .* three splits need at least 3", **OPTIONS)
