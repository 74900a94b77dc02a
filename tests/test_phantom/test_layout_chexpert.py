"""The files of the CheXpert layout."""

import re
from dataclasses import replace

import pytest

from mgca_mm.phantom import Report, Statement
from mgca_mm.phantom.layouts import PhantomOptions
from mgca_mm.phantom.layouts.chexpert import LAYOUT, drawn_labels, report_labels
from mgca_mm.phantom.study import LABELS_OF, sample_patient
from tests.test_phantom.conftest import drawn, read_table

LABELS = (
    "No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,Edema,Consolidation,Pneumonia,"
    "Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)


@pytest.fixture(scope="module")
def folder(written):
    return written("chexpert")


@pytest.fixture(scope="module")
def tables(folder):
    return {split: read_table(folder / f"{split}.csv") for split in ("train", "valid")}


def test_columns(folder):
    for split in ("train", "valid"):
        header = (folder / f"{split}.csv").read_text().splitlines()[0]
        assert header == f"Path,Sex,Age,Frontal/Lateral,AP/PA,{LABELS}"


def test_rows_are_the_images(folder, tables):
    truth = {row["Path"]: row for row, _, _ in drawn(folder)}
    rows = {row["Path"]: row for split in tables for row in tables[split]}
    assert rows.keys() == truth.keys()
    for split, table in tables.items():
        for row in table:
            view = truth[row["Path"]]["view"]
            plane = "Lateral" if view == "LATERAL" else "Frontal"
            pattern = rf"CheXpert-v1\.0-small/{split}/patient\d{{5}}/study\d/view[12]_{plane.lower()}\.jpg"
            assert re.fullmatch(pattern, row["Path"])
            assert (row["Frontal/Lateral"], row["AP/PA"]) == (plane, "" if plane == "Lateral" else view)
            sex = truth[row["Path"]]["attributes"]["sex"]
            assert row["Sex"] == {"F": "Female", "M": "Male"}[sex] and row["Age"].isdigit()


def test_patients_are_numbered_through_both_tables(tables):
    numbers = [[int(row["Path"].split("/")[2].removeprefix("patient")) for row in tables[s]] for s in tables]
    assert sorted({*numbers[0]} | {*numbers[1]}) == list(range(1, 13))
    assert max(numbers[0]) + 1 == min(numbers[1])


def test_labels_of_valid_are_what_was_drawn(folder, tables):
    truth = {row["Path"]: {finding["kind"] for finding in row["findings"]} for row, _, _ in drawn(folder)}
    for row in tables["valid"]:
        present = {label for kind in truth[row["Path"]] for label in LABELS_OF[kind]}
        present = present if present - {"Support Devices"} else {*present, "No Finding"}
        assert {label: row[label] for label in LABELS.split(",")} == {
            label: "1.0" if label in present else "0.0" for label in LABELS.split(",")
        }


def test_labels_of_train_are_what_the_report_says(folder, tables):
    studies = {row["Path"]: study for row, study, _ in drawn(folder)}
    for row in tables["train"]:
        labels = report_labels(studies[row["Path"]])
        assert {label: row[label] for label in LABELS.split(",")} == {
            label: str(labels.get(label, "")) for label in LABELS.split(",")
        }
    values = {row[label] for row in tables["train"] for label in LABELS.split(",")}
    assert values == {"", "0.0", "1.0", "-1.0"}


def test_unhedged_labels_are_true_and_hedges_are_few():
    counts = {0.0: 0, 1.0: 0, -1.0: 0}
    for index in range(300):
        for study in sample_patient(4, index):
            exact = drawn_labels(study)
            for label, value in report_labels(study).items():
                counts[value] += 1
                # An empty report makes a study normal, for the labeler as for its reader.
                assert value == -1 or label == "No Finding" or value == exact[label]
    assert counts[0.0] > 300 and counts[1.0] > 300
    assert 0.01 < counts[-1.0] / sum(counts.values()) < 0.05


@pytest.mark.parametrize(
    ("claims", "label"),
    [
        ([("absent", None)], 0.0),
        ([("absent", "left")], None),
        ([("absent", "left"), ("absent", None)], 0.0),
        ([("resolved", None)], 0.0),
        ([("present", "right"), ("absent", "left")], 1.0),
        ([("present", "right"), ("uncertain", "left")], 1.0),
        ([("absent", None), ("uncertain", "left")], -1.0),
    ],
)
def test_strongest_claim_about_both_sides_wins(claims, label):
    statements = tuple(Statement("", ("pleural_effusion",), polarity, side) for polarity, side in claims)
    study = replace(sample_patient(4, 0)[0], report=Report("", statements, "full"))
    assert report_labels(study).get("Pleural Effusion") == label


def test_one_opacity_denied_leaves_the_others():
    for topics, label in ((("consolidation",), None), (("consolidation", "atelectasis", "edema", "pneumonia"), 0.0)):
        report = Report("", (Statement("", topics, "absent"),), "full")
        assert report_labels(replace(sample_patient(4, 0)[0], report=report)).get("Lung Opacity") == label


def test_second_part_has_the_fraction_of_the_test():
    assert LAYOUT.splits(PhantomOptions(10, split=(0.5, 0.25, 0.25))) == {"train": 0.75, "valid": 0.25}
