"""What CheXpert Plus gives: the sections of its table, images by either name, its splits."""

import json
import shutil

import pytest

from mgca_mm.preparation import Options, prepare
from tests.test_preparation.raw_trees import SECRET, raw_tree, refuse, write_image

TABLE = "df_chexpert_plus_240401.csv"
SIGNATURE = "I have personally reviewed the images for this examination and agree with the report transcribed above."


@pytest.fixture
def tree():
    return raw_tree("chexpert_plus")


def set_cells(tree, line, **cells):
    header, row = tree.tables[TABLE][0], tree.tables[TABLE][line - 1]
    for column, value in cells.items():
        row[header.index(column)] = value


def entries(tree, tmp_path, **options):
    """Entries of each split, by image."""
    out = tmp_path / "out"
    raw = tree.write(tmp_path / "raw", images=not options.get("annotations_only", True))
    prepare("chexpert_plus", raw, out, Options(**dict(annotations_only=True, image_size=16, vocab_size=200) | options))
    splits = ("train", "val", "test")
    return {s: {e["image_id"]: e for e in json.loads((out / f"{s}.json").read_text())["data_list"]} for s in splits}


@pytest.mark.parametrize(
    ("cells", "report"),
    [
        (
            dict(section_impression="1.NO EFFUSION SEEN.\n\n2. Stable heart.", section_findings="Lungs are clear."),
            ["no effusion seen", "stable heart", "lungs are clear"],
        ),
        (dict(section_impression="", section_findings="Lungs are clear."), ["lungs are clear"]),
        (
            dict(section_impression="", report=f"FINDINGS:\nLungs are clear.\n\nSUMMARY: 2\n\n{SIGNATURE}"),
            ["lungs are clear"],
        ),
        (dict(section_impression="", report=f"NARRATIVE:\nChest, two views of it.\n\n{SIGNATURE}"), None),
        (dict(section_impression="", report=""), None),
    ],
)
def test_report(tree, tmp_path, cells, report):
    """Where there is neither section, the last paragraph says nothing of the image."""
    set_cells(tree, 2, **cells)
    train = entries(tree, tmp_path)["train"]
    name = tree.tables[TABLE][1][0]
    assert (train[name]["report"] if name in train else None) == report
    rejected = (tmp_path / "out" / "rejected.csv").read_text()
    assert (f"{name},PNG/" in rejected or f"{name},train/" in rejected) == (report is None)


def test_a_table_that_is_no_utf_8(tree, tmp_path):
    set_cells(tree, 2, section_impression="Caf\udce9 \udc93normal\udc94 heart.", section_findings="")
    set_cells(tree, 3, section_impression="", report="FINDINGS:\nCaf\udce9 lungs seen.")
    train = entries(tree, tmp_path)["train"]
    reports = [train[cells[0]]["report"] for cells in tree.tables[TABLE][1:3]]
    assert reports == [["cafe normal heart"], ["cafe lungs seen"]]
    set_cells(tree, 2, section_impression=f"{SECRET} \x1b")
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("chexpert_plus", raw, "line 2: the report is not a text", annotations_only=True)


def test_splits(tree, tmp_path):
    """A tenth of the training images for validation, by patient; valid is the test; laterals are left out."""
    second = [*tree.tables[TABLE][3]]
    second[0] = second[0].replace("view1", "view2")
    lateral = [*tree.tables[TABLE][3]]
    lateral[:3] = second[0].replace("view2_frontal", "view3_lateral"), "Lateral", ""
    tree.tables[TABLE] += [second, lateral]
    found = entries(tree, tmp_path)
    assert {split: len(images) for split, images in found.items()} == {"train": 10, "val": 1, "test": 2}
    assert all(name.startswith("valid/") for name in found["test"])
    assert found["train"][second[0]]["study_id"] == "train/patient00002/study1"
    assert found["train"][second[0]]["report"] == found["train"][tree.tables[TABLE][3][0]]["report"]


@pytest.mark.parametrize("move", ["png", "jpg", "dcm", "CheXpert-v1.0-small/train", "moved/PNG/train"])
def test_images_by_either_name_in_any_folders(tree, tmp_path, move):
    """PNG of CheXpert Plus, JPEG of CheXpert, DICOM; unpacked anywhere."""
    names = [row[0].removesuffix(".jpg") for row in tree.tables[TABLE][1:]]
    folder = move.removesuffix("train") if "/" in move else ""
    tree.images = [f"{folder}{name}.{'png' if '/' in move else move}" for name in names]
    found = entries(tree, tmp_path, annotations_only=False)
    assert sum(map(len, found.values())) == len(names)


def test_png_before_dicom_and_no_image_twice(tree, tmp_path):
    raw = tree.write(tmp_path / "raw")
    name = tree.tables[TABLE][1][0].removesuffix(".jpg")
    write_image(raw / "DICOM" / f"{name}.dcm")
    prepare("chexpert_plus", raw, tmp_path / "out", Options(annotations_only=True, vocab_size=200))
    assert f'"raw_path": "{tree.images[0]}"' in (tmp_path / "out" / "train.json").read_text()
    (raw / "copy" / name).parent.mkdir(parents=True)
    shutil.copy(raw / tree.images[0], raw / "copy" / f"{name}.png")
    refuse("chexpert_plus", raw, r"raw: .*view1_frontal\.png and .*view1_frontal\.png are one image; remove one")


def test_a_patient_in_both_splits(tree, tmp_path):
    set_cells(tree, 13, path_to_image="valid/patient00000/study2/view1_frontal.jpg")
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("chexpert_plus", raw, "patient patient00000 is in the splits train and test", annotations_only=True)
