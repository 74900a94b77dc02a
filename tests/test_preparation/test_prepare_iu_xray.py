"""The reports of Open-i: loose or in their archive, hostile and broken ones among them."""

import csv
import io
import json
import tarfile
import time

import pytest

from mgca_mm.preparation import Options, check, prepare
from tests.test_preparation.raw_trees import REPORT, SECRET, open_i_report, raw_tree, refuse

OPTIONS = dict(annotations_only=True, vocab_size=200)
ARCHIVE = "NLMCXR_reports.tgz"


def prepare_reports(raw, out, **options):
    prepare("iu_xray", raw, out, Options(**OPTIONS | options))
    assert check("iu_xray", out) == []
    return json.loads((out / "manifest.json").read_text())


def packed(tree, raw, members=()):
    """The tree with its reports in an archive, last number first."""
    with tarfile.open(raw / ARCHIVE, "w:gz") as archive:
        for name, content in reversed(tree.files.items()):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        for member in members:
            archive.addfile(member)
    return raw / ARCHIVE


def test_the_archive_gives_what_its_files_give(tmp_path):
    tree = raw_tree("iu_xray")
    tree.files["ecgen-radiology/10.xml"] = open_i_report(10)
    loose = prepare_reports(tree.write(tmp_path / "raw"), tmp_path / "loose", image_size=16)
    files, tree.files = tree.files, {}
    raw = tree.write(tmp_path / "packed")
    tree.files = files
    others = [tarfile.TarInfo(f"ecgen-radiology/{name}") for name in ("20.xml", "21.xml", "22.xml", "readme.txt")]
    for member, kind in zip(others, (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.REGTYPE), strict=True):
        member.type, member.linkname = kind, "/etc/passwd"
    packed(tree, raw, others)
    from_archive = prepare_reports(raw, tmp_path / "unpacked", image_size=16)
    assert from_archive["files"] == loose["files"]
    assert list(from_archive["sources"]) == ["reports", "indiana_projections.csv"]
    assert from_archive["filters"][0] == {"stage": "reports", "kept": 7, "dropped": 0}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:-8],  # The checksum is missing,
        lambda data: data[:-8] + bytes(8),  # or another one.
        lambda data: data[:40] + bytes(20) + data[60:],
        lambda data: b"no archive",
    ],
)
def test_damaged_archive(tmp_path, spoil):
    tree = raw_tree("iu_xray")
    (tmp_path / "raw").mkdir()
    path = packed(tree, tmp_path / "raw")
    path.write_bytes(spoil(path.read_bytes()))
    refuse("iu_xray", path.parent, rf"{ARCHIVE}: the archive is truncated or damaged; copy it again", **OPTIONS)


def _laughs(encoding):
    entities = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    document = f'<!DOCTYPE r [<!ENTITY a0 "ha">{entities}]>'
    text = open_i_report(9, "&a9;").decode().replace("<eCitation>", f"{document}<eCitation>")
    return text.replace("utf-8", encoding).encode(encoding)


NESTED = 30_000


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (_laughs("utf-8"), "with a document type"),
        (_laughs("utf-16"), "in UTF-16"),
        (open_i_report(9) + b" " * 1024 * 1024, "huge"),
        (open_i_report(9)[:-20], "not valid XML; copy it again"),
        (open_i_report(9, "caf\xe9").decode().encode("latin-1"), "not valid XML; copy it again"),
        (open_i_report(9).replace(b"utf-8", SECRET.encode()), "not valid XML; copy it again"),
        (b"", "not valid XML; copy it again"),
        (b"no XML", "not valid XML; copy it again"),
        (b"<a>" * NESTED + b"</a>" * NESTED, "no uId"),
        (open_i_report(9).replace(b"uId", b"pmcId"), "no uId"),
        (open_i_report(9).replace(b'"CXR9"', b'"../../CXR9"'), "no uId"),
        (open_i_report(9, images=("../../etc/passwd",)), "other characters than letters, digits, _ and -"),
        (open_i_report(9, images=("/etc/passwd",)), "other characters than letters, digits, _ and -"),
        (open_i_report(9, images=("",)), "other characters than letters, digits, _ and -"),
        (open_i_report(9, images=("x" * 300,)), "other characters than letters, digits, _ and -"),
    ],
)
def test_broken_report(tmp_path, content, reason):
    tree = raw_tree("iu_xray")
    tree.files["ecgen-radiology/9.xml"] = content
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("iu_xray", raw, f"1 of 7 images are missing or broken.*\n9.xml: .*{reason}", **OPTIONS)
    manifest = prepare_reports(raw, tmp_path / "out", max_rejected=0.2)
    assert manifest["rejected"] == {"broken": 1, "without_text": 0} and manifest["total"]["images"] == 6
    with open(tmp_path / "out" / "rejected.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == "9.xml" and row["kind"] == "broken" and reason in row["reason"]


@pytest.mark.parametrize("text", ["", "XXXX XXXX XXXX.", "Normal chest.", "<b/>"])
def test_report_without_text(tmp_path, text):
    tree = raw_tree("iu_xray")
    tree.files["ecgen-radiology/9.xml"] = open_i_report(9, text)
    manifest = prepare_reports(tree.write(tmp_path / "raw", images=False), tmp_path / "out")
    assert manifest["rejected"] == {"broken": 0, "without_text": 1} and manifest["total"]["images"] == 6


def test_parts_inside_each_other_take_no_time(tmp_path):
    tree = raw_tree("iu_xray")
    nested = "<AbstractText>a" * NESTED + "</AbstractText>" * NESTED
    tree.files["ecgen-radiology/9.xml"] = open_i_report(9, f"{REPORT}{nested}")
    start = time.process_time()
    assert prepare_reports(tree.write(tmp_path / "raw", images=False), tmp_path / "out")["total"]["images"] == 7
    assert time.process_time() - start < 5  # The text of each part would take some ten seconds.


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (open_i_report(3), "number"),
        (open_i_report(9, images=("CXR9_1", "CXR3_IM-0003-1001")), "image"),
    ],
)
def test_reports_that_share_a_number_or_an_image(tmp_path, content, what):
    tree = raw_tree("iu_xray")
    tree.files["ecgen-radiology/9.xml"] = content
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("iu_xray", raw, rf"raw: 9\.xml has (the|an) {what} of another report; remove one of them", **OPTIONS)


@pytest.mark.parametrize("marked", [True, False])
def test_laterals(tmp_path, marked):
    tree = raw_tree("iu_xray")
    tree.tables["indiana_projections.csv"][2][2] = "Lateral"
    if not marked:
        tree.tables.clear()
    manifest = prepare_reports(tree.write(tmp_path / "raw", images=False), tmp_path / "out")
    assert manifest["total"]["images"] == (5 if marked else 6)
    assert any("laterals are among the images" in note for note in manifest["notes"]) is not marked
