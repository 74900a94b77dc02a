"""VinDr-CXR: what several readers say becomes what most of them say."""

import json

import numpy as np
import pytest

from mgca_mm.preparation import Options, prepare
from mgca_mm.preparation.collection import Box
from mgca_mm.preparation.vindr_cxr import fuse_boxes
from tests.test_preparation.raw_trees import SIDE, raw_tree
from tests.test_preparation.test_bad_input_images import prepare_without

TRAIN, LABELS = "annotations/annotations_train.csv", "annotations/image_labels_train.csv"


def box(x, y=0, width=100, height=100, category=0):
    return Box(x, y, width, height, category, f"line {x}")


def fuse(*boxes, readers=3):
    return [found[:5] for found in fuse_boxes(boxes, readers)]


def test_what_most_readers_have_drawn_is_their_mean():
    two = ("a", box(0)), ("b", box(20, 30, 80, 100))  # IoU 0.41
    assert fuse(*two) == [(10, 15, 90, 100, 0)]
    assert fuse(*two, ("c", box(500))) == [(10, 15, 90, 100, 0)]
    assert fuse(*two, readers=4) == []
    assert fuse(("a", box(0)), ("b", box(6)), ("c", box(12))) == [(6, 0, 100, 100, 0)]


@pytest.mark.parametrize(("shift", "joined"), [(42, True), (43, False)])
def test_boxes_are_one_from_an_iou_of_two_fifths(shift, joined):
    """(100 - shift) / (100 + shift) is 0.408 and 0.399."""
    assert bool(fuse(("a", box(0)), ("b", box(shift)))) == joined


def test_each_two_of_a_finding_overlap():
    """No chain: the first and the last are too far apart, so the closer two are the finding."""
    assert fuse(("a", box(0)), ("b", box(30)), ("c", box(50))) == [(40, 0, 100, 100, 0)]


def test_boxes_of_one_reader_or_of_two_classes_are_not_one():
    assert fuse(("a", box(0)), ("a", box(2))) == []
    assert fuse(("a", box(0)), ("b", box(2, category=1))) == []
    pair = ("a", box(0)), ("a", box(40)), ("b", box(1)), ("b", box(41))
    assert fuse(*pair) == [(0.5, 0, 100, 100, 0), (40.5, 0, 100, 100, 0)]
    # What a consensus has drawn stays, overlapping or not.
    assert fuse(("a", box(0)), ("a", box(2)), readers=1) == [(0, 0, 100, 100, 0), (2, 0, 100, 100, 0)]


def test_the_order_of_the_rows_does_not_matter():
    rng = np.random.default_rng(0)
    for _ in range(20):
        boxes = [(reader, box(*rng.uniform(0, 100, 2))) for reader in "abc" for _ in range(4)]
        shuffled = [boxes[index] for index in rng.permutation(len(boxes))]
        expected = fuse(*boxes)
        assert expected
        np.testing.assert_allclose(sorted(fuse(*shuffled)), sorted(expected))


def prepared(tree, folder):
    prepare("vindr_cxr", tree.write(folder / "raw"), folder / "out", Options(image_size=SIDE))
    read = {}
    for split in ("train", "val", "test"):
        rows = json.loads((folder / "out" / f"{split}.json").read_text())
        names = rows["metainfo"]["classes"]
        boxes = json.loads((folder / "out" / "detection" / f"{split}.json").read_text())
        for row in rows["data_list"]:
            found = [b["bbox"] for b in boxes["annotations"] if b["image_id"] == row["image_index"]]
            positive = {name for name, label in zip(names, row["labels"], strict=True) if label}
            read[row["image_id"]] = split, positive, found
    return read


def test_labels_boxes_and_splits(tmp_path):
    read = prepared(raw_tree("vindr_cxr"), tmp_path)
    assert [split for split, _, _ in read.values()].count("val") == 1
    assert read["t0"][1:] == ({"Cardiomegaly"}, [[12, 20, 20, 20]])
    assert read["t1"][1:] == ({"No finding"}, [])
    assert read["u0"] == ("test", {"Cardiomegaly", "Pneumonia"}, [[10, 20, 20, 20]])
    notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
    assert notes[0].startswith("2 different boxes of the training images' readers became 1,")


def test_a_label_of_one_reader_is_none(tmp_path):
    tree = raw_tree("vindr_cxr")
    tree.tables[LABELS][2][5:6] = ["0"]  # Of Cardiomegaly, by the second of the two.
    assert prepared(tree, tmp_path)["t0"][1] == set()


def test_a_box_that_stands_twice_is_one(tmp_path):
    tree = raw_tree("vindr_cxr")
    tree.tables[TRAIN][2] = tree.tables[TRAIN][1]
    assert prepared(tree, tmp_path)["t0"][2] == []


def test_a_box_out_of_its_image_is_left_out_with_it(tmp_path):
    tree = raw_tree("vindr_cxr")
    for row in tree.tables[TRAIN][1:3]:
        row[5] = str(SIDE + 9)
    raw = tree.write(tmp_path / "raw")
    prepare_without("vindr_cxr", raw, {"train/t0.dicom": f"{TRAIN}, line 2: a box reaches out of the image of 64 x 64"})
