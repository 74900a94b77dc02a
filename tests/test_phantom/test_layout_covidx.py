"""The files of the COVIDx layout."""

import pytest

from tests.test_phantom.conftest import read_truth


@pytest.fixture(scope="module")
def folder(written):
    return written("covidx")


@pytest.fixture(scope="module")
def lists(folder):
    return {
        name: [line.split(" ") for line in (folder / f"{name}_COVIDx9A.txt").read_text().splitlines()]
        for name in ("train", "test")
    }


def test_classes_follow_from_what_was_drawn(folder, lists):
    truth = {row["file_name"]: {finding["kind"] for finding in row["findings"]} for row in read_truth(folder)}
    for name, lines in lists.items():
        for _, file_name, label, _ in lines:
            kinds = truth.pop(file_name)
            infected = "pneumonia" if kinds & {"consolidation", "pneumonia"} else "normal"
            assert label == ("COVID-19" if "edema" in kinds else infected)
            assert (folder / name / file_name).is_file()
    assert not truth
    assert {line[2] for lines in lists.values() for line in lines} == {"normal", "pneumonia", "COVID-19"}


def test_patients_are_unique_within_a_source_only(folder, lists):
    subject_of_file = {row["file_name"]: row["subject_id"] for row in read_truth(folder)}
    subjects, sources, splits = {}, {}, {}
    for name, lines in lists.items():
        for patient, file_name, _, source in lines:
            subjects.setdefault((source, patient), set()).add(subject_of_file[file_name])
            sources.setdefault(patient, set()).add(source)
            splits.setdefault((source, patient), set()).add(name)
    assert all(len(group) == 1 for group in [*subjects.values(), *splits.values()])
    assert len(subjects) == len(set(subject_of_file.values()))
    assert all(len(group) == 3 for group in sources.values())


def test_files_are_png_and_jpeg(folder):
    magic = {path.suffix: path.read_bytes()[:3] for path in folder.glob("t*/*")}
    assert magic == {".png": b"\x89PN", ".jpg": b"\xff\xd8\xff", ".jpeg": b"\xff\xd8\xff"}
