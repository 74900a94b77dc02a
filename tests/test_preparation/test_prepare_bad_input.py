"""Raw data and options that cannot be prepared: each message names the place and the remedy, in three lines at most."""

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, prepare
from tests.command_line import call

ROOT = Path(__file__).parents[2]
TOOL = ROOT / "tools" / "prepare_data.py"
METADATA = "mimic-cxr-2.0.0-metadata.csv"
SPLIT = "mimic-cxr-2.0.0-split.csv"
SECRET = "SECRETWORD"  # Stands for report text, which no message may repeat.


def refuse(mimic, out, message):
    """Prepare and expect a refusal."""
    with pytest.raises(UserError, match=message) as caught:
        prepare("mimic_cxr", mimic.folder, out, Options(image_size=16))
    assert len(str(caught.value).splitlines()) <= 3
    assert SECRET not in str(caught.value)
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize("name", [METADATA, SPLIT])
def test_missing_table(mimic, tmp_path, name):
    mimic.write(gzipped=False)
    (mimic.folder / name).unlink()
    refuse(mimic, tmp_path / "out", rf"{name}\[\.gz\]: no such file\n.*physionet\.org/content/mimic-cxr-jpg")


def test_missing_raw_folder(mimic, tmp_path):
    refuse(mimic, tmp_path / "out", "no such folder; --raw takes the folder")


def test_folder_in_place_of_a_table(mimic, tmp_path):
    mimic.write(gzipped=False)
    (mimic.folder / METADATA).unlink()
    (mimic.folder / METADATA).mkdir()
    refuse(mimic, tmp_path / "out", f"{METADATA}' cannot be read: a file is expected here")


@pytest.mark.parametrize("column", ["dicom_id", "subject_id", "study_id", "ViewPosition"])
def test_missing_column(mimic, tmp_path, column):
    mimic.write()
    mimic.metadata[0][mimic.metadata[0].index(column)] = "other"
    mimic.write_tables()
    refuse(mimic, tmp_path / "out", rf"metadata\.csv\.gz, line 1: no column '{column}'")


@pytest.mark.parametrize("value", [SECRET, "10000001.0", "-1", "１２"])
def test_non_numeric_subject(mimic, tmp_path, value):
    mimic.write()
    mimic.metadata[3][1] = value
    mimic.write_tables()
    refuse(mimic, tmp_path / "out", r"metadata\.csv\.gz, line 4: column 'subject_id' is not a whole number")


def test_short_row(mimic, tmp_path):
    mimic.write()
    mimic.metadata.append(["z1"])
    mimic.write_tables()
    refuse(mimic, tmp_path / "out", r"metadata\.csv\.gz, line 12: column 'subject_id' is empty")


@pytest.mark.parametrize("table", ["metadata", "split"])
def test_duplicate_image(mimic, tmp_path, table):
    mimic.write()
    rows = getattr(mimic, table)
    rows.append(rows[1])
    mimic.write_tables()
    refuse(mimic, tmp_path / "out", rf"{table}\.csv\.gz, line {len(rows)}: this dicom_id stands twice")


@pytest.mark.parametrize("dicom_id", ["../../../etc/passwd", "..", "a\nb", "a/b"])
def test_image_name_that_leads_elsewhere(mimic, tmp_path, dicom_id):
    mimic.write()
    mimic.metadata[1][0] = dicom_id
    mimic.write_tables()
    refuse(mimic, tmp_path / "out", "column 'dicom_id' is not a plain file name")


def test_unknown_split_name(mimic, tmp_path):
    mimic.split[2][3] = SECRET
    mimic.write()
    refuse(mimic, tmp_path / "out", r"split\.csv\.gz, line 3: column 'split' is none of train, validate, test")


def test_unknown_label(mimic, tmp_path):
    mimic.labels = [["subject_id", "study_id", "Edema"], ["10000001", "50000001", SECRET]]
    mimic.write()
    refuse(mimic, tmp_path / "out", r"chexpert\.csv\.gz, line 2: column 'Edema' is none of blank")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[: len(data) // 2], "the gzip file is truncated or damaged"),
        (lambda data: data[:-4], "the gzip file is truncated or damaged"),
        (lambda data: data[:30] + bytes(20) + data[50:], "truncated or damaged|not valid csv|no column|not a gzip"),
        (gzip.decompress, r"not a gzip file\n.*rename it to end in \.csv"),
        (lambda _: gzip.compress(b""), "the file is empty"),
        (lambda _: b"", "the file is empty"),
        (
            lambda data: gzip.compress(gzip.decompress(data) + b'"' + b"SECRETWORD " * 20_000),
            "after line 11: not valid csv",
        ),
    ],
)
def test_damaged_gzip(mimic, tmp_path, spoil, message):
    mimic.write()
    path = mimic.folder / f"{METADATA}.gz"
    path.write_bytes(spoil(path.read_bytes()))
    refuse(mimic, tmp_path / "out", rf"{METADATA}\.gz.*({message})")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xd8 broken", "header is broken"),
        (b"", "the image file is empty"),
        (b"SECRETWORD", "neither a JPEG nor a PNG nor a DICOM"),
        (None, "not a regular file"),
    ],
)
def test_unreadable_image(mimic, tmp_path, content, message):
    mimic.write()
    image = mimic.image("b1")
    image.unlink()
    if content is None:
        image.mkdir()
    else:
        image.write_bytes(content)
    refuse(mimic, tmp_path / "out", rf"1 of 5 images are missing or broken(.|\n)*The first:\n.*b1\.jpg: .*{message}")


def test_no_report_anywhere(mimic, tmp_path):
    mimic.reports = {}
    mimic.write()
    refuse(mimic, tmp_path / "out", r"none of 7 studies has a report(.|\n)*physionet\.org/content/mimic-cxr/")


def test_archive_without_a_member_loses_that_study_only(mimic, tmp_path):
    del mimic.reports["files/p10/p10000001/s50000001.txt"]
    prepare("mimic_cxr", mimic.write(reports="zip"), tmp_path / "out", Options(image_size=16))
    assert '"image_id": "a1"' not in (tmp_path / "out" / "train.json").read_text()
    assert '"image_id": "b1"' in (tmp_path / "out" / "train.json").read_text()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"FINAL REPORT", b"FINAL RECORD", 1),
        lambda data: data.replace(b"PK\1\2\x14\x03\x14", b"PK\1\2\x14\x03\xff", 1),  # A version yet to come.
    ],
)
def test_damaged_archive(mimic, tmp_path, spoil):
    mimic.write(reports="zip")
    path = mimic.folder / "mimic-cxr-reports.zip"
    path.write_bytes(spoil(path.read_bytes()))
    refuse(mimic, tmp_path / "out", r"mimic-cxr-reports\.zip: (not a zip file|.*s50000001\.txt cannot be unpacked)")


def test_nothing_left(mimic, tmp_path):
    for row in mimic.metadata[1:]:
        row[4] = "LATERAL"
    mimic.write()
    refuse(mimic, tmp_path / "out", "no image is left after the filter 'view PA or AP'")


def test_no_training_image(mimic, tmp_path):
    mimic.split = [row if row[3] != "train" else [*row[:3], "test"] for row in mimic.split]
    mimic.write()
    refuse(mimic, tmp_path / "out", "no image of the training split is left")


@pytest.mark.parametrize("where", ["a file", "inside a file", "not writable"])
def test_impossible_output_folder(mimic, tmp_path, where):
    mimic.write()
    file = tmp_path / "file"
    file.write_text("")
    # /proc refuses new folders to everyone, root included.
    out = {"a file": file, "inside a file": file / "out", "not writable": Path("/proc/out")}[where]
    refuse(mimic, out, "a file of this name exists|Not a directory|No such file|Permission denied")


@pytest.mark.parametrize("option", [{"image_size": 0}, {"vocab_size": 5}, {"workers": 0}, {"workers": -2}])
def test_impossible_options(option):
    with pytest.raises(UserError, match="a whole number from"):
        Options(**option)


def test_command_line(mimic, tmp_path):
    raw, out = mimic.write(), tmp_path / "out"
    command = ("prepare", "mimic_cxr", "--out", out)
    arguments = ("--raw", raw, "--workers", 1, "--image-size", 16)
    assert call(*command, *arguments).returncode == 0
    done = call(*command, *arguments)
    assert done.returncode == 0 and "nothing to do" in done.stdout
    done = call(*command, "--check")
    assert done.returncode == 0 and done.stdout.startswith(f"{out}: no faults\n")
    (out / "val.json").unlink()
    done = call(*command, "--check")
    assert done.returncode == 1 and "val.json: missing" in done.stdout
    done = call(*command)
    assert done.returncode == 2 and "--raw is required" in done.stderr
    done = call(*command, "--raw", raw, "--workers", 0)
    assert done.returncode == 2 and done.stderr.startswith("error: --workers")


def test_tool_prints_errors_without_traceback_or_report_text(mimic, tmp_path):
    mimic.reports = dict.fromkeys(mimic.reports, f"FINDINGS: {SECRET} is seen here.")
    mimic.write()
    mimic.image("b1").write_bytes(b"")
    run = subprocess.run(
        [sys.executable, TOOL, "mimic_cxr", "--raw", mimic.folder, "--out", tmp_path / "out", "--workers", "1"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 2
    assert run.stderr.startswith("error: 1 of 7 images") and len(run.stderr.splitlines()) == 3
    assert SECRET not in run.stdout + run.stderr
