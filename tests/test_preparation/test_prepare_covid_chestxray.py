"""The covid-chestxray preparation on rows of every odd kind, and on the real images where they are."""

import json

import pytest

from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, check, prepare
from tests.conftest import SHARED, needs_shared

REAL_RAW = SHARED / "real_cxr"
NOTE = "Bilateral opacities are seen."
CREDIT = "Case courtesy of Dr Nobody."


def row(patient, filename, view="PA", finding="COVID-19", modality="X-ray", note=NOTE, folder="images"):
    return [patient, "0", finding, view, modality, folder, filename, note, CREDIT]


def entries(out):
    return {
        entry["image_id"]: entry | {"split": split}
        for split in ("train", "val", "test")
        for entry in json.loads((out / f"{split}.json").read_text())["data_list"]
    }


def counts(out):
    return {row["stage"]: row["kept"] for row in json.loads((out / "manifest.json").read_text())["filters"]}


def test_rows_of_every_kind(tmp_path, covid):
    rows = [
        row("1", "a name (1).png", finding="Pneumonia/Viral/COVID-19"),
        row("1", "same note.jpg", view="AP Supine"),
        row("1", "other note.jpg", view="AP semi erect", note="Resolved opacities now.", finding="No Finding"),
        row("2", "b.jpg", finding="todo", folder=""),
        row("2", "ct.jpg", modality="CT", view="Axial"),
        row("2", "absent.jpg"),
        row("2", "lateral.jpg", view="L"),
        row("2", "no view.jpg", view=""),
        row("", "whose.jpg"),
        row("2", "short.jpg", note="Patient 2 - CXR: Normal"),
        row("2", "empty.jpg", note=""),
        row("3", "b.jpg", note="The second entry of an image."),  # patients 2 and 3 are one
        row("3", "c.jpg", finding=""),
        row("4a", "d.jpg", finding="ARDS"),
        row("5", "e.jpg", finding="COVID-19, ARDS"),
    ]
    rows[9][7] = "Two words"
    prepare("covid_chestxray", covid(rows, absent={"absent.jpg"}), tmp_path / "out", Options())
    found = entries(tmp_path / "out")
    assert counts(tmp_path / "out") == {
        "rows in the metadata": 15,
        "modality X-ray": 14,
        "image file exists": 13,
        "frontal view": 11,
        "patient given": 10,
        "one row an image": 9,
        "note of 3 tokens, box or mask": 7,
        "image readable": 7,
    }
    assert {image: (entry["patient_id"], entry["study_id"], entry["labels"]) for image, entry in found.items()} == {
        "a name (1).png": ("1", "1-1", [1]),
        "same note.jpg": ("1", "1-1", [1]),
        "other note.jpg": ("1", "1-2", [0]),
        "b.jpg": ("2", "2-1", [None]),
        "c.jpg": ("2", "2-1", [None]),
        "d.jpg": ("4a", "4a-1", [0]),
        "e.jpg": ("5", "5-1", [1]),
    }
    assert found["b.jpg"]["split"] == found["c.jpg"]["split"]
    assert all(entry["report"][0] != "case courtesy of dr nobody" for entry in found.values())
    assert check("covid_chestxray", tmp_path / "out") == []


def test_patients_connected_by_a_chain_of_images_are_one(tmp_path, covid):
    rows = [row("1", "a.jpg"), row("2", "b.jpg"), row("3", "b.jpg"), row("3", "c.jpg"), row("1", "c.jpg")]
    rows += [row("8", "d.jpg"), row("9", "e.jpg")]
    prepare("covid_chestxray", covid(rows), tmp_path / "out", Options())
    assert {image: entry["patient_id"] for image, entry in entries(tmp_path / "out").items()} == {
        "a.jpg": "1",
        "b.jpg": "1",
        "c.jpg": "1",
        "d.jpg": "8",
        "e.jpg": "9",
    }


def test_splits_are_by_patient_and_repeatable(tmp_path, covid):
    rows = [row(str(patient), f"{patient}_{image}.jpg") for patient in range(50) for image in range(2)]
    raw = covid(rows)
    for out in ("a", "b"):
        prepare("covid_chestxray", raw, tmp_path / out, Options(image_size=8))
    first = entries(tmp_path / "a")
    assert first == entries(tmp_path / "b")
    sizes = [sum(entry["split"] == split for entry in first.values()) for split in ("train", "val", "test")]
    assert sizes == [70, 10, 20]
    assert all(first[f"{patient}_0.jpg"]["split"] == first[f"{patient}_1.jpg"]["split"] for patient in range(50))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (row("1", "../../etc/passwd"), "'filename' is not a plain file name"),
        (row("1", "two\nlines.jpg"), "'filename' is not a plain file name"),
        (row("1", ""), "'filename' is empty"),
        (row("1", "a.jpg", folder="../elsewhere"), "'folder' leads out"),
        (row("1", "a.jpg", folder="/etc"), "'folder' leads out"),
    ],
)
def test_names_that_lead_elsewhere(tmp_path, covid, cells, message):
    raw = covid([cells], absent={cells[6]})
    with pytest.raises(UserError, match=rf"metadata\.csv, line \d: column {message}"):
        prepare("covid_chestxray", raw, tmp_path / "out", Options())


def test_too_few_patients(tmp_path, covid):
    raw = covid([row("1", "a.jpg"), row("2", "b.jpg")])
    with pytest.raises(UserError, match="2 patients are left"):
        prepare("covid_chestxray", raw, tmp_path / "out", Options())


def test_a_note_of_another_encoding(tmp_path, covid):
    raw = covid([row(str(n), f"{n}.jpg", note="temperature is 38@C today") for n in range(3)])
    table = raw / "metadata.csv"
    table.write_bytes(table.read_bytes().replace(b"@", b"\xb0"))
    prepare("covid_chestxray", raw, tmp_path / "out", Options(image_size=8))
    assert entries(tmp_path / "out")["0.jpg"]["report"] == ["temperature is 38 c today"]


@needs_shared("real_cxr")
def test_real_images(tmp_path):
    prepare("covid_chestxray", REAL_RAW, tmp_path / "out", Options(image_size=64))
    assert list(counts(tmp_path / "out").values()) == [311, 311, 311, 279, 279, 275, 183, 183]
    assert check("covid_chestxray", tmp_path / "out") == []
    # Two cases were entered twice, under two patients each.
    patients = {entry["patient_id"] for entry in entries(tmp_path / "out").values()}
    assert {"285", "287"} <= patients and not {"339", "340"} & patients
