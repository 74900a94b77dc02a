"""The files of the RSNA Pneumonia layout."""

from itertools import groupby
from uuid import UUID

import pydicom
import pytest

from tests.test_phantom.conftest import boxes_of, read_table, read_truth


@pytest.fixture(scope="module")
def folder(written):
    return written("rsna_pneumonia")


def test_boxes_are_those_of_the_opacities(folder):
    truth = {row["patientId"]: row for row in read_truth(folder)}
    rows = read_table(folder / "stage_2_train_labels.csv")
    assert list(rows[0]) == ["patientId", "x", "y", "width", "height", "Target"]
    targets = set()
    for patient, group in groupby(rows, key=lambda row: row["patientId"]):
        expected = boxes_of(truth.pop(patient), "consolidation", "pneumonia")
        written = [[row[name] for name in ("x", "y", "width", "height")] for row in group]
        assert written == ([[f"{value}.0" for value in box] for box in expected] or [[""] * 4])
        targets.add(bool(expected))
    assert not truth and targets == {True, False}
    assert all(row["Target"] == ("1" if row["x"] else "0") for row in rows)


def test_classes(folder):
    truth = {row["patientId"]: row["findings"] for row in read_truth(folder)}
    labels = read_table(folder / "stage_2_train_labels.csv")
    classes = read_table(folder / "stage_2_detailed_class_info.csv")
    assert [row["patientId"] for row in classes] == [row["patientId"] for row in labels]  # a row a box in both
    for row, label in zip(classes, labels, strict=True):
        healthy = "No Lung Opacity / Not Normal" if truth[row["patientId"]] else "Normal"
        assert row["class"] == ("Lung Opacity" if label["Target"] == "1" else healthy)
    assert len({row["class"] for row in classes}) == 3


def test_images_are_as_published(folder):
    for row in read_truth(folder):
        assert str(UUID(row["patientId"])) == row["patientId"]
        dataset = pydicom.dcmread(folder / "stage_2_train_images" / f"{row['patientId']}.dcm")
        assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.50"
        assert (dataset.Rows, dataset.Columns, dataset.BitsStored) == (1024, 1024, 8)
        assert (dataset.PatientID, dataset.ViewPosition) == (row["patientId"], row["view"])
