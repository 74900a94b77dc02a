"""The files of the MIMIC-CXR layout and the command line that writes them."""

import re

import cv2
import pytest

from mgca_mm.cli.phantom import main
from mgca_mm.errors import UserError
from mgca_mm.phantom import CHEXPERT_LABELS, sample_patient
from mgca_mm.phantom.layouts import PhantomOptions, write_mimic_cxr
from mgca_mm.phantom.layouts.layout import assign_splits
from tests.test_phantom.conftest import read_table, read_truth, tree_hash

PATIENTS = 30


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "raw"
    write_mimic_cxr(out, PhantomOptions(PATIENTS, seed=2), workers=1, progress=False)
    return out


def test_bytes_do_not_depend_on_the_workers(phantom, tmp_path):
    write_mimic_cxr(tmp_path / "two", PhantomOptions(PATIENTS, seed=2), workers=2, progress=False)
    assert tree_hash(tmp_path / "two") == tree_hash(phantom)


def test_bytes_depend_on_the_seed(phantom, tmp_path):
    write_mimic_cxr(tmp_path / "other", PhantomOptions(PATIENTS, seed=3), progress=False)
    assert tree_hash(tmp_path / "other") != tree_hash(phantom)


def test_tables_agree_with_one_another_and_with_the_files(phantom):
    metadata = read_table(phantom / "mimic-cxr-2.0.0-metadata.csv.gz")
    split = read_table(phantom / "mimic-cxr-2.0.0-split.csv.gz")
    chexpert = read_table(phantom / "mimic-cxr-2.0.0-chexpert.csv.gz")
    truth = read_truth(phantom)
    assert len(metadata) == len(split) == len(truth) > PATIENTS
    assert len({row["dicom_id"] for row in metadata}) == len(metadata)
    for meta, part, true in zip(metadata, split, truth, strict=True):
        assert meta["dicom_id"] == part["dicom_id"] == true["dicom_id"]
        assert re.fullmatch(r"([0-9a-f]{8}-){4}[0-9a-f]{8}", meta["dicom_id"])
        assert (meta["subject_id"], meta["study_id"]) == (part["subject_id"], part["study_id"])
        subject = meta["subject_id"]
        study = phantom / "files" / f"p{subject[:2]}" / f"p{subject}" / f"s{meta['study_id']}"
        image = cv2.imread(str(study / f"{meta['dicom_id']}.jpg"), cv2.IMREAD_UNCHANGED)
        assert image.shape == (int(meta["Rows"]), int(meta["Columns"])) == (true["height"], true["width"])
        assert 256 <= max(image.shape) <= 320 and 0.79 <= image.shape[1] / image.shape[0] <= 1.26
        assert study.with_suffix(".txt").is_file()
        for finding in true["findings"]:
            x, y, width, height = finding["box"]
            assert 0 <= x < x + width <= true["width"] and 0 <= y < y + height <= true["height"]
    assert {row["study_id"] for row in chexpert} == {row["study_id"] for row in metadata}
    assert {value for row in chexpert for name, value in row.items() if name in CHEXPERT_LABELS} == {"1.0", "0.0"}
    assert len(list(phantom.rglob("*.jpg"))) == len(metadata)
    assert len(list(phantom.rglob("s*.txt"))) == len(chexpert)


def test_files_hold_the_sampled_studies(phantom):
    chexpert = {row["study_id"]: row for row in read_table(phantom / "mimic-cxr-2.0.0-chexpert.csv.gz")}
    for study in sample_patient(2, 4):
        subject = f"p{study.subject_id}"
        path = phantom / "files" / subject[:3] / subject / f"s{study.study_id}.txt"
        assert path.read_text() == study.report.text
        written = {name: float(chexpert[str(study.study_id)][name]) for name in CHEXPERT_LABELS}
        assert written == study.labels


def test_a_patient_is_in_one_split(phantom):
    splits = {}
    for row in read_table(phantom / "mimic-cxr-2.0.0-split.csv.gz"):
        splits.setdefault(row["subject_id"], set()).add(row["split"])
    assert len(splits) == PATIENTS and all(len(names) == 1 for names in splits.values())
    assert {name for names in splits.values() for name in names} == {"train", "validate", "test"}


@pytest.mark.parametrize(
    ("patients", "split", "counts"),
    [
        (100, (0.7, 0.1, 0.2), (70, 10, 20)),
        (3, (0.7, 0.1, 0.2), (1, 1, 1)),
        (1, (0.7, 0.1, 0.2), (1, 0, 0)),
        (10, (0.5, 0.0, 0.5), (5, 0, 5)),
        (7, (0.0, 0.0, 1.0), (0, 0, 7)),
    ],
)
def test_split_quotas(patients, split, counts):
    fractions = dict(zip(("train", "validate", "test"), split, strict=True))
    names = assign_splits(PhantomOptions(patients), fractions)
    assert tuple(names.count(name) for name in fractions) == counts


def test_finished_phantom_is_left_alone(phantom, capsys):
    before = tree_hash(phantom)
    assert main(["--out", str(phantom), "--patients", str(PATIENTS), "--seed", "2"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert tree_hash(phantom) == before


def test_tool_writes(tmp_path, capsys):
    args = ["--layout", "mimic_cxr", "--out", str(tmp_path / "raw"), "--patients", "3", "--size", "96"]
    assert main([*args, "--split", "0", "0", "1"]) == 0
    assert "written" in capsys.readouterr().out
    assert {row["split"] for row in read_table(tmp_path / "raw" / "mimic-cxr-2.0.0-split.csv.gz")} == {"test"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--patients", "0"], "--patients"),
        (["--patients", "2", "--seed", "-1"], "--seed"),
        (["--patients", "2", "--size", "8"], "--size"),
        (["--patients", "2", "--split", "0.5", "0.1", "0.1"], "--split"),
        (["--patients", "2", "--workers", "0"], "--workers"),
    ],
)
def test_impossible_options_exit_2(tmp_path, capsys, args, words):
    assert main(["--out", str(tmp_path / "raw"), *args]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "raw").exists()


def test_foreign_directory_exits_2(phantom, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("keep me")
    assert main(["--out", str(tmp_path), "--patients", "2"]) == 2
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    assert main(["--out", str(phantom), "--patients", str(PATIENTS), "--seed", "9"]) == 2
    assert "other options" in capsys.readouterr().err
    with pytest.raises(UserError, match="is a file"):
        write_mimic_cxr(tmp_path / "mine.txt", PhantomOptions(2))
