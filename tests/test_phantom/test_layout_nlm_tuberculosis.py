"""The files of the Shenzhen and Montgomery layouts."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.test_phantom.conftest import PATIENTS, drawn

SIGNS = {"consolidation", "nodule", "pleural_effusion", "pneumonia"}


@pytest.mark.parametrize("name", ["shenzhen", "montgomery"])
def test_labels_readings_and_lungs(written, name):
    folder = written(name)
    labels, masked = set(), 0
    for row, study, image in drawn(folder):
        label = int(row["image_id"][-1])
        assert label == any(finding.kind in SIGNS for finding in study.findings)
        labels.add(label)
        reading = (folder / "ClinicalReadings" / f"{row['image_id']}.txt").read_text()
        assert ("normal\n" in reading.replace("abnormal", "")) == (not label) or "same pt" in reading
        assert f"{study.anatomy.age}" in reading
        if name == "shenzhen":
            masks = {folder / "mask" / f"{row['image_id']}_mask.png": image.lungs["left"] | image.lungs["right"]}
        else:
            masks = {
                folder / "ManualMask" / f"{side}Mask" / f"{row['image_id']}.png": lung
                for side, lung in image.lungs.items()
            }
        for path, mask in masks.items():
            if path.exists():
                masked += 1
                np.testing.assert_array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), 255 * mask)
    assert labels == {0, 1}
    images = len(list(folder.glob("CXR_png/*.png")))
    assert masked == len(list(folder.glob("*ask/**/*.png")))
    assert masked == 2 * images if name == "montgomery" else PATIENTS / 2 < masked < images == PATIENTS


def test_shenzhen_has_palettes(written):
    assert {Image.open(path).mode for path in written("shenzhen").glob("CXR_png/*.png")} == {"P"}


def test_montgomery_has_patients_of_two_images(written):
    """Only the reading of the second says so."""
    folder = written("montgomery")
    subjects = {row["image_id"]: row["subject_id"] for row, _, _ in drawn(folder)}
    pairs = 0
    for path in folder.glob("ClinicalReadings/*.txt"):
        if same := re.search(r"same pt as (\w+)", path.read_text()):
            assert subjects[path.stem] == subjects[same[1]] and path.stem != same[1]
            pairs += 1
    assert pairs == len(subjects) - len(set(subjects.values())) > 0
