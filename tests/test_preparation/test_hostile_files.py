"""Files that unpack to gigabytes, have no end or are no files: an error that names them, within the memory allowed."""

import gzip
import io
import json
import os
import tarfile
import zipfile

import pytest

from mgca_mm import bounds
from mgca_mm.preparation import Options, prepare
from tests.test_fuzz.cases import bounded, in_time
from tests.test_preparation.raw_trees import LUNG_BOXES, open_i_report, raw_tree, refuse

MIB = 1024**2
BLOCK = bytes(8 * MIB)
CHEXPERT = "mimic-cxr-2.0.0-chexpert.csv"


def gzipped(path, parts, level=9):
    """A gzip file of an iterable of bytes, whose members stand one after the other."""
    known = {}
    with open(path, "wb") as file:
        for part in parts:
            if part not in known:
                known[part] = gzip.compress(part, level)
            file.write(known[part])
    return path


@pytest.fixture(autouse=True)
def small_allowance(monkeypatch):
    """A tenth, so that a file of a tenth goes beyond it."""
    monkeypatch.setattr(bounds, "ALLOWANCE", 10 * MIB)


def refused(name, folder, expected):
    """Prepare with so much memory, and expect a refusal."""
    biggest = max(path.stat().st_size for path in folder.iterdir() if path.is_file())
    with bounded(10 * biggest + 2 * bounds.ALLOWANCE + 20 * MIB), in_time():
        refuse(name, folder, expected, annotations_only=True)


HEADER = b"subject_id,study_id,Edema\n"
TABLES = {
    "a line": ([HEADER, *[BLOCK] * 16], "line 2: a row of more than 1 MiB"),
    "a row in quotation marks": ([HEADER, b'1,2,"', *[b"\n" * 8 * MIB] * 16], "field larger than field limit"),
    "a row of many cells": ([HEADER, *[b'"\n",' * MIB] * 16], "(a row of|the rows take) more"),
    "a header": ([b"a,b," * 2 * MIB] * 16, "line 1: a row of more than 1 MiB"),
    "columns": ([b",".join(b"c%d" % n for n in range(100_000)) + b"\n", b"1\n" * MIB], "no column"),
    "labels": ([HEADER[:-1] + b",c" * 100_000 + b"\n"], "line 1: more than 1000 columns"),
    "rows": ([HEADER, *[b"1,%d\n" % n for n in range(3)], *[b"\n" * 8 * MIB] * 16], "the rows take more memory"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables(kind, tmp_path):
    parts, message = TABLES[kind]
    raw = raw_tree("mimic_cxr").write(tmp_path / "raw", images=False)
    (raw / CHEXPERT).unlink()
    gzipped(raw / f"{CHEXPERT}.gz", parts)
    refused("mimic_cxr", raw, message)


@pytest.mark.parametrize("name", ["mimic_cxr", "covid_chestxray", "image_report_csv", "covidx", "chexpert"])
def test_many_short_rows(name, tmp_path):
    """What is kept of them is many times their text."""
    tree = raw_tree(name)
    table = next(iter(tree.tables))
    header, row = tree.tables.pop(table)[:2]
    raw = tree.write(tmp_path / "raw", images=False)
    raw.mkdir(exist_ok=True)
    cells = [f"{cell[:-4]}{{0:06}}.jpg" if cell.endswith("g") else cell for cell in row]
    if name == "mimic_cxr":
        cells[:3] = "d{0}", "1{0:07}", "5{0:07}"
    separator, first = (" ", []) if table.endswith(".txt") else (",", [header])
    line = separator.join(cells) + "\n"
    content = "".join(separator.join(names) + "\n" for names in first) + "".join(map(line.format, range(60_000)))
    gzipped(raw / f"{table}.gz", [content.encode()], level=6)
    refused(
        name, raw, r"take more memory than those of a file of its size may \(10 times the size and 100 MiB\)\n.*gunzip"
    )


def test_tables_as_published(tmp_path, monkeypatch):
    """Rows of MIMIC-CXR's length, which pack to less than a quarter, and as many as it has."""
    monkeypatch.undo()
    from mgca_mm.tables import read_table

    row = b"%08d,%08d,1.0,,,,,,,,,,0.0,-1.0,,\n"
    content = HEADER[:-6] + b",".join(b"label%d" % n for n in range(14)) + b"\n"
    content += b"".join(row % (10_000_000 + n // 3, 50_000_000 + 7919 * n % 9_999_991) for n in range(227_827))
    path = gzipped(tmp_path / f"{CHEXPERT}.gz", [content])
    assert len(content) > 4 * path.stat().st_size
    assert sum(1 for _ in read_table(path, ("subject_id", "study_id"))) == 227_827


def member(name, size, kind=tarfile.REGTYPE):
    found = tarfile.TarInfo(name)
    found.size, found.type = size, kind
    return found.tobuf(tarfile.GNU_FORMAT)


REPORT = open_i_report(1)
PADDED = member("ecgen-radiology/1.xml", len(REPORT)) + REPORT + bytes(-len(REPORT) % 512)
ARCHIVES = {
    "a long name": ([member("x", 2**27, tarfile.GNUTYPE_LONGNAME), *[BLOCK] * 16, PADDED], "it unpacks to over"),
    "a long comment": ([member("x", 2**27, tarfile.XHDTYPE), *[BLOCK] * 16, PADDED], "it unpacks to over"),
    "one that ends early": ([member("x", 2**27, tarfile.GNUTYPE_LONGNAME), BLOCK[:MIB]], "truncated or damaged"),
    "a size that lies": ([member("ecgen-radiology/1.xml", 2**60), BLOCK[:MIB]], "truncated or damaged"),
    "a negative size": ([member("1.xml", -512), BLOCK[:MIB]], "truncated or damaged"),
    "members": ([member("x", 0) * 8192] * 8, "it unpacks to over"),
    "reports": ([member("1.xml", 0) * 8192] * 2, "0 patients are left"),
    "comments": (
        [(member("x", 512, tarfile.XGLTYPE) + b"9 a1=bcd\n" * 56 + bytes(8)) * 8192],
        "0 patients are left",
    ),
    "sparse": ([member("1.xml", 2**40, tarfile.GNUTYPE_SPARSE), BLOCK], "truncated or damaged"),
    "what follows the end": ([bytes(1024), *[BLOCK] * 16], "it unpacks to over"),
    "links to themselves": ([member("1.xml", 0, tarfile.LNKTYPE) * 8192], "0 patients are left"),
}


@pytest.mark.parametrize("kind", ARCHIVES)
def test_archives_of_open_i(kind, tmp_path):
    parts, message = ARCHIVES[kind]
    gzipped(tmp_path / "NLMCXR_reports.tgz", [*parts, bytes(1024)])
    refused("iu_xray", tmp_path, message)


def mimic_with(tmp_path, archive):
    tree = raw_tree("mimic_cxr")
    tree.files.clear()
    raw = tree.write(tmp_path / "raw", images=False)
    (raw / "mimic-cxr-reports.zip").write_bytes(archive)
    return raw


STUDY = "files/p10/p10000000/s50000000.txt"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_member_larger_than_it_says(method, tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, archive.open(STUDY, "w", force_zip64=True) as file:
        for _ in range(16):
            file.write(BLOCK)
    size = (2**27).to_bytes(8, "little")
    content = buffer.getvalue()
    start = content.rindex(b"PK\1\2")
    content = content[:start] + content[start:].replace(size[:4], (100).to_bytes(4, "little"))
    refused("mimic_cxr", mimic_with(tmp_path, content), f"zip: {STUDY} ")


def test_zip_of_many_members(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("x", b"")
    content = buffer.getvalue()
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    entries = content[start:end] * 300_000
    last = content[end:]
    last = last[:8] + b"\xff\xff" * 2 + len(entries).to_bytes(4, "little") + last[16:]
    refused("mimic_cxr", mimic_with(tmp_path, content[:start] + entries + last), "refused, it has too many members")


def test_zip64_that_lies(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(STUDY, b"FINDINGS: clear")
    content = buffer.getvalue()
    end = content.index(b"PK\5\6")
    for size in (2**40, 2**63, 2**64 - 1):
        big = b"PK\6\6" + (44).to_bytes(8, "little") + bytes(12) + (1).to_bytes(8, "little") * 2
        big += size.to_bytes(8, "little") + bytes(8)
        locator = b"PK\6\7" + bytes(4) + end.to_bytes(8, "little") + (1).to_bytes(4, "little")
        last = content[end : end + 8] + b"\xff" * 12 + bytes(2)
        raw = mimic_with(tmp_path / str(size), content[:end] + big + locator + last)
        refused("mimic_cxr", raw, "not a zip file, or truncated")


OPTIONAL = [
    ("mimic_cxr", f"{CHEXPERT}.gz"),
    ("mimic_cxr", CHEXPERT),
    ("mimic_cxr", "mimic-cxr-reports.zip"),
    ("mimic_cxr", STUDY),
    ("iu_xray", "indiana_projections.csv"),
    ("iu_xray", "NLMCXR_reports.tgz"),
    ("iu_xray", "ecgen-radiology/7.xml"),
    ("covid_chestxray", LUNG_BOXES),
    ("covid_chestxray", "annotations/lungVAE-masks/0_mask.png"),
    ("image_report_csv", "pairs.csv"),
    ("nih_chestxray14", "BBox_List_2017.csv"),
    ("siim_pneumothorax", "train-rle.csv.gz"),
    ("vindr_cxr", "annotations/annotations_test.csv.gz"),
    ("shenzhen", "CXR_png/CHNCXR_0002_1.png"),
    ("shenzhen", "mask/CHNCXR_0006_1_mask.png"),
    ("montgomery", "ManualMask/leftMask/MCUCXR_0001_0.png"),
    ("montgomery", "ClinicalReadings/MCUCXR_0001_0.txt"),
]


@pytest.mark.parametrize("what", ["pipe", "folder", "link to nothing"])
@pytest.mark.parametrize(("name", "file"), OPTIONAL)
def test_only_what_is_absent_is_absent(name, file, what, tmp_path):
    """Labels that cannot be read do not vanish without a word, and a pipe is not waited for."""
    raw = raw_tree(name).write(tmp_path / "raw", images=False)
    path = raw / file
    path.unlink(missing_ok=True)
    if what == "pipe":
        os.mkfifo(path)
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(raw / "nothing")
    refuse(name, raw, rf"{path.name}' cannot be read: (a file is expected here|No such file)", annotations_only=True)


def test_split_list_that_is_a_pipe(tmp_path):
    raw = raw_tree("covidx").write(tmp_path / "raw", images=False)
    os.mkfifo(tmp_path / "list.csv")
    refuse("covidx", raw, "list.csv' cannot be read", annotations_only=True, split_list=tmp_path / "list.csv")


@pytest.mark.parametrize("name", ["manifest.json", "failed.csv"])
def test_output_folder_with_a_pipe_in_it(name, tmp_path):
    raw = raw_tree("covidx").write(tmp_path / "raw", images=False)
    (tmp_path / "out").mkdir()
    os.mkfifo(tmp_path / "out" / name)
    assert prepare("covidx", raw, tmp_path / "out", Options(annotations_only=True, vocab_size=100))
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["dataset"] == "covidx"
