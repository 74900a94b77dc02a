"""The files of the ChestX-ray14 layout."""

import csv

import pytest

from tests.test_phantom.conftest import boxes_of, read_table, read_truth


@pytest.fixture(scope="module")
def folder(written):
    return written("nih_chestxray14")


def test_labels_and_lists(folder):
    truth = {row["Image Index"]: row for row in read_truth(folder)}
    rows = read_table(folder / "Data_Entry_2017_v2020.csv")
    assert [row["Image Index"] for row in rows] == list(truth)
    lists = {name: (folder / f"{name}_list.txt").read_text().splitlines() for name in ("train_val", "test")}
    assert sorted(lists["train_val"] + lists["test"]) == sorted(truth)
    patients = [{name.partition("_")[0] for name in names} for names in lists.values()]
    assert all(patients) and not set.intersection(*patients)
    for row in rows:
        labels = row["Finding Labels"].split("|")
        kinds = {finding["kind"] for finding in truth[row["Image Index"]]["findings"]} - {"foreign_object"}
        assert (labels == ["No Finding"]) == (not kinds)
        assert ("Effusion" in labels) == ("pleural_effusion" in kinds)
        assert bool({"Nodule", "Mass"} & set(labels)) == ("nodule" in kinds)
        assert int(row["Patient ID"]) == int(row["Image Index"].partition("_")[0])


def test_boxes_are_those_drawn(folder):
    with open(folder / "BBox_List_2017.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""]
    found = {}
    for name, label, *box in rows:
        found.setdefault(name, {}).setdefault(label, []).append(list(map(float, box[:4])))
    for row in read_truth(folder):
        boxes = found.get(row["Image Index"], {})
        assert boxes.get("Effusion", []) == [box for box in boxes_of(row, "pleural_effusion") if box]
        assert boxes.get("Infiltrate", []) == [box for box in boxes_of(row, "consolidation") if box]
    assert {label for boxes in found.values() for label in boxes} > {"Infiltrate", "Effusion", "Cardiomegaly", "Nodule"}
