"""The files of the VinDr-CXR layout."""

import csv
from collections import defaultdict

import numpy as np
import pytest

from tests.test_phantom.conftest import boxes_of, read_truth

KINDS = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "cardiomegaly",
    "Consolidation": "consolidation",
    "Edema": "edema",
    "Nodule/Mass": "nodule",
    "Pleural effusion": "pleural_effusion",
    "Infiltration": "pneumonia",
    "Pneumothorax": "pneumothorax",
}


@pytest.fixture(scope="module")
def folder(written):
    return written("vindr_cxr")


def read(folder, name):
    with open(folder / "annotations" / name, newline="") as file:
        return list(csv.DictReader(file))


def corners(row):
    return [float(row[side]) for side in ("x_min", "y_min", "x_max", "y_max")]


def test_columns(folder):
    train, test = read(folder, "image_labels_train.csv"), read(folder, "image_labels_test.csv")
    assert len(train[0]) == 30 and len(test[0]) == 29
    assert set(train[0]) - set(test[0]) == {"rad_id", "Other diseases"}
    assert set(test[0]) - set(train[0]) == {"Other disease"}
    assert list(read(folder, "annotations_test.csv")[0]) == [
        "image_id",
        "class_name",
        "x_min",
        "y_min",
        "x_max",
        "y_max",
    ]
    assert list(read(folder, "annotations_train.csv")[0])[:3] == ["image_id", "rad_id", "class_name"]
    assert {len(row["image_id"]) for row in train + test} == {32}


@pytest.mark.parametrize("split", ["train", "test"])
def test_labels_are_those_of_the_boxes(folder, split):
    named = defaultdict(set)
    for row in read(folder, f"annotations_{split}.csv"):
        named[row["image_id"], row.get("rad_id")].add(row["class_name"])
        assert (row["x_min"] == "") == (row["class_name"] == "No finding")
    labels = read(folder, f"image_labels_{split}.csv")
    for row in labels:
        positive = {name for name, value in row.items() if value == "1"}
        assert positive - {"Pneumonia"} == named[row["image_id"], row.get("rad_id")]
        assert ("Pneumonia" in positive) == ("Infiltration" in positive)
    assert len(named) == len(labels)


def test_readers(folder):
    """Three an image, who see what was drawn, nearly all of it, and draw boxes a little off."""
    truth = {row["image_id"]: row for row in read_truth(folder)}
    readers = defaultdict(set)
    for row in read(folder, "image_labels_train.csv"):
        readers[row["image_id"]].add(row["rad_id"])
    assert {len(found) for found in readers.values()} == {3}
    assert set().union(*readers.values()) <= {f"R{n}" for n in range(1, 18)}
    offsets, imagined = [], 0
    for row in read(folder, "annotations_train.csv"):
        if row["class_name"] in KINDS:
            found = np.array(boxes_of(truth[row["image_id"]], KINDS[row["class_name"]]), float)
            found[:, 2:] += found[:, :2]
            side = (found[:, 2:] - found[:, :2]).max()
            offsets.append(np.abs(found - corners(row)).max(1).min() / side)
        imagined += row["class_name"] == "Other lesion"
    assert 0 < max(offsets) < 0.05 and imagined
    drawn = sum(len(boxes_of(truth[image_id], *KINDS.values())) for image_id in readers)
    assert 0.7 * 3 * drawn < len(offsets) < 3 * drawn


def test_the_test_has_what_was_drawn(folder):
    truth = {row["image_id"]: row for row in read_truth(folder)}
    for row in read(folder, "annotations_test.csv"):
        if row["class_name"] != "No finding":
            left, top, right, bottom = corners(row)
            boxes = boxes_of(truth[row["image_id"]], KINDS[row["class_name"]])
            assert [left, top, right - left, bottom - top] in boxes
