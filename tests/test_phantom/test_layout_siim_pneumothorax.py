"""The files of the SIIM-ACR Pneumothorax layout."""

import csv

import cv2
import numpy as np
import pydicom
import pytest

from mgca_mm.phantom.dicom import FORMS
from tests.test_phantom.conftest import drawn, read_truth


@pytest.fixture(scope="module")
def folder(written):
    return written("siim_pneumothorax")


def read_rows(folder):
    with open(folder / "train-rle.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["ImageId", " EncodedPixels"]
    return rows


def decode(text):
    """Relative offsets down the columns, as the competition's own example reads them."""
    mask, position = np.zeros(1024 * 1024, bool), 0
    numbers = list(map(int, text.split()))
    for gap, length in zip(numbers[::2], numbers[1::2], strict=True):
        position += gap
        mask[position : position + length] = True
        position += length
    return mask.reshape(1024, 1024).T


def test_masks_are_what_was_drawn(folder):
    rows_of = {}
    for image_id, text in read_rows(folder):
        assert text.startswith(" ")
        rows_of.setdefault(image_id, []).append(text)
    truth = {row["ImageId"]: (study, image) for row, study, image in drawn(folder)}
    assert rows_of.keys() == truth.keys()
    for image_id, (study, image) in truth.items():
        masks = [m for f, m in zip(study.findings, image.masks, strict=True) if f.kind == "pneumothorax"]
        if not masks:
            assert rows_of[image_id] == [" -1"]
            continue
        parts = np.array([decode(text) for text in rows_of[image_id]])
        assert np.array_equal(parts.sum(axis=0), masks[0])  # and no part overlaps another
        assert len(parts) == cv2.connectedComponents(masks[0].astype(np.uint8))[0] - 1
    assert {len(texts) > 1 for texts in rows_of.values()} == {True, False}


def test_folders_are_the_uids(folder):
    studies = {}
    for row in read_truth(folder):
        (path,) = folder.glob(f"dicom-images-train/*/*/{row['ImageId']}.dcm")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        assert path.parts[-3:-1] == (dataset.StudyInstanceUID, dataset.SeriesInstanceUID)
        assert (dataset.SOPInstanceUID, dataset.Rows, dataset.Columns) == (row["ImageId"], 1024, 1024)
        studies.setdefault(dataset.StudyInstanceUID, set()).add(row["study_id"])
    assert all(len(ids) == 1 for ids in studies.values())


def test_every_kind_of_file_occurs_and_jpeg_most(folder):
    kinds = []
    for path in folder.rglob("*.dcm"):
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        stored = dataset.PhotometricInterpretation, dataset.BitsStored, "WindowWidth" in dataset
        kinds.append((str(dataset.file_meta.TransferSyntaxUID), *stored))
    jpeg = ("1.2.840.10008.1.2.4.50", "MONOCHROME2", 8, False)
    assert len(set(kinds)) == len(FORMS)
    assert kinds.count(jpeg) > len(kinds) / 2
