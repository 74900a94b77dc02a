"""The files of the covid-chestxray layout."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mgca_mm.phantom.render import tight_box
from tests.conftest import SHARED, needs_shared
from tests.test_phantom.conftest import drawn, read_table, read_truth

REAL = SHARED / "real_cxr" / "metadata.csv"


@pytest.fixture(scope="module")
def folder(written):
    return written("covid_chestxray")


@pytest.fixture(scope="module")
def rows(folder):
    return read_table(folder / "metadata.csv")


def xrays(rows):
    return [row for row in rows if row["modality"] == "X-ray"]


@needs_shared("real_cxr/metadata.csv")
def test_columns_are_those_of_the_real_table(rows):
    with open(REAL, newline="") as file:
        assert list(rows[0]) == next(csv.reader(file))


def test_rows_are_the_images(folder, rows):
    truth = {row["filename"]: row for row in read_truth(folder)}
    assert [row["filename"] for row in xrays(rows)] == list(truth)
    patients = {}
    for row in xrays(rows):
        true = truth[row["filename"]]
        view = {"PA": "PA", "AP": "AP", "AP Supine": "AP", "L": "LATERAL"}[row["view"]]
        assert (row["folder"], view, row["sex"]) == ("images", true["view"], true["attributes"]["sex"])
        kinds = {finding["kind"] for finding in true["findings"]}
        infected = "Pneumonia/Bacterial/Streptococcus" if kinds & {"consolidation", "pneumonia"} else "todo"
        expected = "Pneumonia/Viral/COVID-19" if "edema" in kinds else infected if kinds else "No Finding"
        assert row["finding"] == expected
        patients.setdefault(row["patientid"], set()).add(true["subject_id"])
    assert all(len(subjects) == 1 for subjects in patients.values())


def test_oddities(folder, rows):
    assert {row["view"] for row in xrays(rows)} == {"PA", "AP", "AP Supine", "L"}
    findings = {"Pneumonia/Viral/COVID-19", "Pneumonia/Bacterial/Streptococcus", "No Finding", "todo"}
    assert {row["finding"] for row in xrays(rows)} == findings
    slices = [row for row in rows if row["modality"] == "CT"]
    assert slices and all((folder / "images" / row["filename"]).is_file() for row in slices)
    assert any(" " in row["filename"] and "[" in row["filename"] and "(" in row["filename"] for row in rows)
    for column in ("clinical_notes", "age", "date", "offset"):
        assert 0 < sum(not row[column] for row in rows) < len(rows) / 2
    study_of = {row["filename"]: row["study_id"] for row in read_truth(folder)}
    studies_of_note = {}
    for row in xrays(rows):
        studies_of_note.setdefault(row["clinical_notes"], set()).add(study_of[row["filename"]])
    assert any(note and len(studies) > 1 for note, studies in studies_of_note.items())


def test_lung_boxes(folder):
    coco = json.loads((folder / "annotations" / "imageannotation_ai_lung_bounding_boxes.json").read_text())
    assert {c["id"]: c["name"] for c in coco["categories"]} == {1: "Right Lung", 2: "Left Lung"}
    images = {image["id"]: image for image in coco["images"]}
    boxes = {(images[a["image_id"]]["file_name"], a["category_id"]): a["bbox"] for a in coco["annotations"]}
    assert len(boxes) == len(coco["annotations"]) == len({a["id"] for a in coco["annotations"]})
    frontals = 0
    for row, _, image in drawn(folder):
        frontals += row["view"] != "LATERAL"
        for side, category in (("right", 1), ("left", 2)):
            box = boxes.pop((row["filename"], category), None)
            assert box is None or (box == list(tight_box(image.lungs[side])) and row["view"] != "LATERAL")
    assert not boxes
    assert 0 < len(images) < frontals
    for image in images.values():
        pixels = cv2.imread(str(folder / "images" / image["file_name"]), cv2.IMREAD_UNCHANGED)
        assert pixels.shape == (image["height"], image["width"])


def test_lung_masks(folder):
    masks = {path.name: path for path in (folder / "annotations" / "lungVAE-masks").iterdir()}
    frontals = 0
    for row, _, image in drawn(folder):
        frontals += row["view"] != "LATERAL"
        path = masks.pop(f"{Path(row['filename']).stem}_mask.png", None)
        if path is not None:
            mask = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert np.array_equal(mask, 255 * (image.lungs["right"] | image.lungs["left"]))
            frontals -= 1
    assert not masks and frontals > 0
