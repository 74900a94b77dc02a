"""What is known of the pairs of a prepared folder: sentences, labels, and boxes in the pixels of the stored image."""

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from mgca_mm.apis.prepared import load_pairs
from mgca_mm.errors import UserError
from mgca_mm.evaluation.grounding import box_mask
from mgca_mm.preparation import Options, prepare
from mgca_mm.radiographs.frame import Frame
from mgca_mm.radiographs.reading import Placement

HEADER = "dicom_id,label_text,x,y,w,h,image_width,image_height\n"


def test_sentences_and_labels(prepared):
    pairs = load_pairs(prepared / "data")
    content = json.loads((prepared / "data/test.json").read_text())
    for pair, row in zip(pairs, content["data_list"], strict=True):
        assert list(pair.sentences) == row["report"] and pair.report == " ".join(row["report"])
        named = zip(content["metainfo"]["classes"], row["labels"], strict=True)
        assert pair.labels == {name: label for name, label in named if label in (1, -1)}
        assert pair.boxes == ()
    assert any(pair.labels for pair in pairs)


def test_boxes_of_phrases_are_where_the_evaluation_has_them(prepared):
    """The pixels of the stored image within a box are, through the frame of the model, those of the raw image."""
    table = prepared / "raw/phantom-phrases.csv"
    pairs = {pair.image.name: pair for pair in load_pairs(prepared / "data", phrases=table)}
    rows = [row for row in csv.DictReader(table.read_text().splitlines()) if row["dicom_id"] in pairs]
    assert len(rows) == sum(len(pair.boxes) for pair in pairs.values()) > 5
    for row in rows:
        height, width = int(row["image_height"]), int(row["image_width"])
        raw = box_mask([[int(row[key]) for key in "xywh"]], height, width)
        pair = pairs[row["dicom_id"]]
        side = len(pair.image.read())
        text = row["label_text"].lower().replace(".", "").replace("-", " ").split()
        box = next(box for box in pair.boxes if box.name.split()[:3] == text[:3])
        stored = box_mask([box[:4]], side, side)
        # The model's square, at the size of the store, laid over the raw image.
        back = Frame(side, side).to_image(stored.astype(float), height, width) > 0.5
        assert (back & raw).sum() / (back | raw).sum() > 0.8


def test_boxes_over_files_of_any_size(prepared, tmp_path):
    pair = load_pairs(prepared / "data")[0]
    cv2.imwrite(str(tmp_path / "a.png"), cv2.resize(pair.image.read(), (60, 90)))
    rows = [{"image_id": "a", "img_path": "a.png", "report": "a text"}]
    (tmp_path / "test.json").write_text(json.dumps({"metainfo": {}, "data_list": rows}))
    (tmp_path / "phrases.csv").write_text(f"{HEADER}a,A nodule.,20,30,40,60,600,900")
    (found,) = load_pairs(tmp_path, phrases=tmp_path / "phrases.csv")
    assert found.boxes == ((2, 3, 4, 6, "a nodule"),)
    assert found.sentences == ("a text",) and found.report == "a text"


def test_boxes_of_the_folder(tmp_path):
    """Own boxes, in the pixels of the stored image, by class; of images of the split alone."""
    (tmp_path / "raw").mkdir()
    images = [dict(id=number, file_name=f"{number}.png", patient=str(number)) for number in range(20)]
    for image in images:
        pixels = np.random.default_rng(image["id"]).integers(0, 255, (90, 60), np.uint8)
        cv2.imwrite(str(tmp_path / "raw" / image["file_name"]), pixels)
    boxes = [dict(id=n, image_id=n, category_id=3, bbox=[10, 20, 30, 40]) for n in range(20)]
    content = dict(images=images, annotations=boxes, categories=[dict(id=3, name="nodule")])
    (tmp_path / "raw" / "boxes.json").write_text(json.dumps(content))
    prepare("coco", tmp_path / "raw", tmp_path / "data", Options(image_size=64))
    path = tmp_path / "data" / "test.json"
    prepared = json.loads(path.read_text())
    for row in prepared["data_list"]:
        row["report"] = ["a nodule"]
    path.write_text(json.dumps(prepared))
    pairs = load_pairs(tmp_path / "data")
    place = Placement.of(90, 60, 64)
    assert pairs
    for pair in pairs:
        (box,) = pair.boxes
        assert box.name == "nodule"
        assert box[:4] == pytest.approx(place.of_box(10, 20, 30, 40, (90, 60)), abs=1e-3)
    (tmp_path / "data/detection/val.json").write_text("{}")
    with pytest.raises(UserError, match="COCO"):
        load_pairs(tmp_path / "data")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "does not exist"), (f"{HEADER}other,a mass,0,0,1,1,9,9", "none of 1 phrases"), ("a,b\n1,2", "column")],
)
def test_faulty_phrases(prepared, tmp_path, content, message):
    table = tmp_path / "phrases.csv"
    if content:
        table.write_text(content)
    with pytest.raises(UserError, match=message):
        load_pairs(prepared / "data", phrases=table)


def test_a_sentence_that_is_a_text(prepared, tmp_path):
    """As annotation files of one's own may have it."""
    shutil.copytree(prepared / "data", tmp_path / "data")
    path = Path(tmp_path / "data/test.json")
    content = json.loads(path.read_text())
    content["data_list"][0]["report"] = "no effusion"
    path.write_text(json.dumps(content))
    assert load_pairs(tmp_path / "data")[0].report == "no effusion"
