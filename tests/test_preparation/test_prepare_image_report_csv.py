"""A user's own pairs, from a table and files of three formats to the prepared folder."""

import csv
import gzip
import json

import numpy as np
import pytest

from mgca_mm.preparation import Options, check, prepare
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from tests.test_preparation.raw_trees import REPORT, SECRET, RawTree, raw_tree, refuse

OPTIONS = dict(image_size=16, vocab_size=200)


def prepare_pairs(raw, out, **options):
    """The manifest, the entries by image with their split, and the rejected rows."""
    prepare("image_report_csv", raw, out, Options(**OPTIONS | options))
    assert check("image_report_csv", out) == []
    entries = {
        entry["image_id"]: entry | {"split": split}
        for split in ("train", "val", "test")
        for entry in json.loads((out / f"{split}.json").read_text())["data_list"]
    }
    with open(out / "rejected.csv", newline="", encoding="utf-8") as file:
        rejected = {row["image_id"]: row for row in csv.DictReader(file)}
    return json.loads((out / "manifest.json").read_text()), entries, rejected


def test_three_formats_and_a_gzipped_table(tmp_path):
    tree = raw_tree("image_report_csv")
    raw = tree.write(tmp_path / "raw")
    (raw / "pairs.csv.gz").write_bytes(gzip.compress((raw / "pairs.csv").read_bytes()))
    (raw / "pairs.csv").unlink()
    manifest, entries, rejected = prepare_pairs(raw, tmp_path / "out")
    assert list(manifest["sources"]) == ["pairs.csv.gz"] and manifest["notes"] == [] and not rejected
    assert sorted(entry["split"] for entry in entries.values()) == ["test"] + ["train"] * 4 + ["val"]
    store = np.load(tmp_path / "out" / "images.npy")
    for number, name in enumerate(tree.images):
        assert entries[name]["patient_id"] == f"p{number}"
        assert entries[name]["report"] == [f"the lungs are clear {SECRET.lower()}", "no effusion"]
        expected = resize_and_pad(read_radiograph(raw / name), 16)
        assert expected.std() > 30
        np.testing.assert_array_equal(store[entries[name]["image_index"]], expected)


def test_images_of_a_patient_stay_together(tmp_path):
    tree = raw_tree("image_report_csv")
    rows = [[f"{patient}-{image}", REPORT, f"p{patient}"] for patient in range(20) for image in range(3)]
    tree.tables["pairs.csv"][1:] = rows
    raw = tree.write(tmp_path / "raw", images=False)
    manifest, entries, _ = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    assert [manifest["splits"][split]["patients"] for split in ("train", "val", "test")] == [16, 2, 2]
    assert len({(entry["patient_id"], entry["split"]) for entry in entries.values()}) == 20


def test_a_split_of_ones_own(tmp_path):
    tree = raw_tree("image_report_csv")
    splits = ["train", "train", "test", "val", "train", "test"]
    for row, split in zip(tree.tables["pairs.csv"], ["split", *splits], strict=True):
        row.append(split)
    _, entries, _ = prepare_pairs(tree.write(tmp_path / "raw"), tmp_path / "out")
    assert [entries[name]["split"] for name in tree.images] == splits


def test_without_patients_each_image_is_one(tmp_path):
    tree = raw_tree("image_report_csv")
    tree.tables["pairs.csv"] = [row[:2] for row in tree.tables["pairs.csv"]]
    manifest, entries, _ = prepare_pairs(tree.write(tmp_path / "raw"), tmp_path / "out")
    assert manifest["notes"] == ["patients are not given: one with several images may be in several splits"]
    assert all(entry["patient_id"] == name for name, entry in entries.items())


def pairs(folder, header, rows):
    """A folder with a table alone."""
    folder.mkdir(exist_ok=True)
    RawTree.write_table(folder / "pairs.csv", [header.split(","), *rows])
    return folder


def studies(entries):
    """Images of each study, in order."""
    found = {}
    for image, entry in entries.items():
        found.setdefault(entry["study_id"], []).append(image)
    return sorted(sorted(images) for images in found.values())


def views(count, texts=("Clear lungs {}.", "Large effusion {}.")):
    """Rows of patients with two views of each of their reports, first all of the one view."""
    return [
        [f"{patient}/{study}-{view}.png", text.format("abcdefghij"[patient]), f"p{patient}", f"s{study}"]
        for view in range(2)
        for patient in range(count)
        for study, text in enumerate(texts)
    ]


PAIRS_OF_VIEWS = sorted(
    [f"{patient}/{study}-0.png", f"{patient}/{study}-1.png"] for patient in range(8) for study in "01"
)


@pytest.mark.parametrize("columns", ["image,report,patient,study", "image,report,patient", "image,report"])
def test_several_images_of_one_report_are_a_study(tmp_path, columns):
    rows = [cells[: columns.count(",") + 1] for cells in views(8)]
    raw = pairs(tmp_path / "raw", columns, rows)
    manifest, entries, _ = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    assert studies(entries) == PAIRS_OF_VIEWS and manifest["total"]["studies"] == 16
    assert len({(entry["study_id"], entry["split"]) for entry in entries.values()}) == 16
    assert manifest["total"]["patients"] == (8 if "patient" in columns else 16)


def test_numbers_of_studies_within_patients_and_of_all(tmp_path):
    raw = pairs(tmp_path / "raw", "image,report,patient,study", views(8))
    _, entries, _ = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    assert {entry["study_id"] for entry in entries.values()} == {f"p{p}/s{s}" for p in range(8) for s in range(2)}
    rows = [[image, report, patient, f"{patient}-{study}"] for image, report, patient, study in views(8)]
    _, entries, _ = prepare_pairs(pairs(raw, "image,report,patient,study", rows), tmp_path / "b", annotations_only=True)
    assert {entry["study_id"] for entry in entries.values()} == {f"p{p}-s{s}" for p in range(8) for s in range(2)}
    rows = [[image, report, study] for image, report, _, study in rows]
    manifest, entries, _ = prepare_pairs(pairs(raw, "image,report,study", rows), tmp_path / "c", annotations_only=True)
    assert all(entry["patient_id"] == entry["study_id"] for entry in entries.values())
    assert manifest["notes"] == ["patients are not given: one with several studies may be in several splits"]


def test_a_report_of_many_patients_is_no_study(tmp_path):
    """With patients, one report makes a study of each; without, of up to four images and not of more."""
    rows = [[f"{n}.png", "No acute disease.", f"p{n}"] for n in range(6)]
    rows += [[f"four {n}.png", "Four views of one chest.", f"p{6 + n // 4}"] for n in range(4)]
    raw = pairs(tmp_path / "raw", "image,report,patient", rows)
    _, entries, _ = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    four = [f"four {n}.png" for n in range(4)]
    assert studies(entries) == sorted([[f"{n}.png"] for n in range(6)] + [four])
    raw = pairs(raw, "image,report", [cells[:2] for cells in rows])
    _, entries, _ = prepare_pairs(raw, tmp_path / "b", annotations_only=True)
    assert studies(entries) == sorted([[f"{n}.png"] for n in range(6)] + [four])
    assert {entries[name]["patient_id"] for name in four} == {"four 0.png"}


def test_one_report_in_two_splits_of_ones_own_is_two_studies(tmp_path):
    rows = [[f"{n}.png", "No acute disease.", split] for n, split in enumerate(("train", "train", "val", "test"))]
    _, entries, _ = prepare_pairs(
        pairs(tmp_path / "raw", "image,report,split", rows), tmp_path / "out", annotations_only=True
    )
    assert studies(entries) == [["0.png", "1.png"], ["2.png"], ["3.png"]]


def test_a_study_with_two_reports(tmp_path):
    rows = views(3)
    rows[7][1] = f"Another {SECRET} report."
    raw = pairs(tmp_path / "raw", "image,report,patient,study", rows)
    message = r"pairs\.csv, line 9: another report than in line 3, which is of the same study\nA study has one report"
    refuse("image_report_csv", raw, message, annotations_only=True)
    rows[7][1] = "large  effusion, A"  # Other marks are no other report.
    raw = pairs(tmp_path / "raw", "image,report,patient,study", rows)
    _, entries, rejected = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    assert not rejected and len(entries) == 12


def test_the_report_in_one_row_of_a_study(tmp_path):
    rows = views(4)
    for row in (0, 9, 10):
        rows[row][1] = " "
    rows[2][1] = ""  # with row 10 all of a study
    raw = pairs(tmp_path / "raw", "image,report,patient,study", rows)
    manifest, entries, rejected = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    assert sorted(rejected) == ["1/0-0.png", "1/0-1.png"] and {row["kind"] for row in rejected.values()} == {
        "without text"
    }
    assert entries["0/0-0.png"]["report"] == entries["0/0-1.png"]["report"] == ["clear lungs a"]
    assert entries["0/1-1.png"]["report"] == ["large effusion a"] and len(entries) == 14
    assert manifest["notes"] == ["4 images without a report of their own have that of their study, where there is one"]
    assert manifest["filters"][2:4] == [
        {"stage": "report has text", "kept": 14, "dropped": 2},
        {"stage": "report of 3 tokens or more", "kept": 14, "dropped": 0},
    ]


@pytest.mark.parametrize("patient", [True, False])
def test_a_study_in_two_splits(tmp_path, patient):
    rows = [[*cells, "val" if number == 0 else "train"] for number, cells in enumerate(views(3))]
    header = "image,report,patient,study,split"
    if not patient:
        header, rows = header.replace(",patient", ""), [[*cells[:2], cells[2] + cells[3], cells[4]] for cells in rows]
    raw = pairs(tmp_path / "raw", header, rows)
    refuse("image_report_csv", raw, "patient p0(s0)? is in the splits train and val", annotations_only=True)


def test_columns_that_are_not_read_are_said(tmp_path):
    rows = [[f"{n}.png", f"Clear lungs {'abcdef'[n]}.", f"p{n}", "AP", "", "x"] for n in range(6)]
    raw = pairs(tmp_path / "raw", f"image,report,Subject,ViewPosition,,{SECRET} is clear.", rows)
    manifest, entries, _ = prepare_pairs(raw, tmp_path / "out", annotations_only=True)
    assert manifest["notes"] == [
        "patients are not given: one with several images may be in several splits",
        "columns not read: Subject, ViewPosition, 1 more",
        "to be read, the column 'Subject' must be named 'patient'",
        "to be read, the column 'ViewPosition' must be named 'view'",
    ]
    assert not any("view" in entry for entry in entries.values())
    raw = pairs(raw, "image,report,patient,view", [cells[:4] for cells in rows])
    manifest, entries, _ = prepare_pairs(raw, tmp_path / "views", annotations_only=True)
    assert manifest["notes"] == [] and all(entry["view"] == "AP" for entry in entries.values())


@pytest.mark.parametrize(
    "change",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: f".\\{name}",
        lambda name: f"./{name}",
        lambda name: name.replace("/", "//"),
    ],
)
def test_ways_to_write_a_path(tmp_path, change):
    tree = raw_tree("image_report_csv")
    prepare_pairs(tree.write(tmp_path / "raw"), tmp_path / "expected")
    for cells in tree.tables["pairs.csv"][1:]:
        cells[0] = change(cells[0])
    _, entries, _ = prepare_pairs(tree.write(tmp_path / "raw"), tmp_path / "out")
    assert sorted(entries) == sorted(tree.images)
    names = ("images.npy", "train.json")
    assert all((tmp_path / "out" / n).read_bytes() == (tmp_path / "expected" / n).read_bytes() for n in names)


def test_a_backslash_that_is_part_of_a_name(tmp_path):
    """As some tools unpack archives of Windows."""
    tree = raw_tree("image_report_csv")
    raw = tree.write(tmp_path / "raw")
    name = tree.images[0]
    (raw / name).rename(raw / name.replace("/", "\\"))
    tree.tables["pairs.csv"][1][0] = name.replace("/", "\\")
    tree.write_table(raw / "pairs.csv", tree.tables["pairs.csv"])
    _, entries, _ = prepare_pairs(raw, tmp_path / "out")
    assert name.replace("/", "\\") in entries


def test_a_folder_with_spaces_and_endings_in_capitals(tmp_path):
    tree = raw_tree("image_report_csv")
    raw = tree.write(tmp_path / "raw")
    (raw / "scans").rename(raw / "my scans")
    for number, name in enumerate(tree.images):
        moved = name.replace("scans", "my scans")
        loud = moved.rpartition(".")[0] + moved[moved.rindex(".") :].upper()
        (raw / moved).rename(raw / loud)
        tree.tables["pairs.csv"][number + 1][0] = loud
    (raw / "pairs.csv").unlink()
    tree.write_table(raw / "Pairs.CSV", tree.tables["pairs.csv"])
    (raw / "._Pairs.CSV").write_bytes(b"\0\5\x16\7")  # What macOS puts into archives.
    manifest, entries, _ = prepare_pairs(raw, tmp_path / "out")
    assert len(entries) == 6 and list(manifest["sources"]) == ["Pairs.CSV"]


def test_a_table_of_tabs_in_utf_16(tmp_path):
    """As a spreadsheet saves "Unicode text"."""
    tree = raw_tree("image_report_csv")
    prepare_pairs(tree.write(tmp_path / "raw"), tmp_path / "expected")
    text = "".join("\t".join(cells) + "\r\n" for cells in tree.tables["pairs.csv"])
    (tmp_path / "raw" / "pairs.csv").unlink()
    (tmp_path / "raw" / "pairs.tsv").write_bytes(text.encode("utf-16"))
    prepare_pairs(tmp_path / "raw", tmp_path / "out")
    for name in ("train.json", "val.json", "test.json", "images.npy"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "expected" / name).read_bytes()


def test_a_workbook_is_no_table(tmp_path):
    raw = raw_tree("image_report_csv").write(tmp_path / "raw", images=False)
    (raw / "pairs.csv").rename(raw / "pairs.xlsx")
    message = r"0 csv files in the folder.*Of a workbook \(\.xlsx\), save the sheet as CSV.*The folder has pairs\.xlsx"
    refuse("image_report_csv", raw, message)


def test_reports_of_every_kind(tmp_path):
    """What is not UTF-8 is Latin-1; reports without text, or of sections without any, are left out and listed."""
    texts = {
        "plain": ("Clear lungs are seen.\nNo effusion.", ["clear lungs are seen", "no effusion"]),
        "sections": ("HISTORY: Cough.\nFINDINGS: Clear lungs.\nIMPRESSION: All normal.", ["all normal", "clear lungs"]),
        "latin-1": ("The caf\udce9-au-lait spot is stable.", ["the cafe au lait spot is stable"]),
        "utf-8": ("The café-au-lait spot is stable.", ["the cafe au lait spot is stable"]),
        "quoted": ('The "lungs",\r\nare clear.', ["the lungs are clear"]),
        "capitals": ("HEART SIZE: IS NORMAL.", ["heart size is normal"]),
        "empty": ("", None),
        "short": ("Two words.", None),
        "masked": ("___ ___ ___.", None),
        "headers": ("FINDINGS:\n\nIMPRESSION:", None),
        "more headers": ("EXAM: Chest.\nTECHNIQUE:\nCOMPARISON: None.\nFINDINGS:\n\nIMPRESSION\n", None),
        "utf-16": (f"The {SECRET} is clear.".encode("utf-16-le").decode(), "broken"),
        "control": (f"The {SECRET} is\x1b clear.", "broken"),
    }
    tree = raw_tree("image_report_csv")
    tree.tables["pairs.csv"][1:] = [[name, text, name] for name, (text, _) in texts.items()]
    raw = tree.write(tmp_path / "raw", images=False)
    manifest, entries, rejected = prepare_pairs(raw, tmp_path / "out", annotations_only=True, max_rejected=0.5)
    assert {name: entry["report"] for name, entry in entries.items()} == {
        name: report for name, (_, report) in texts.items() if isinstance(report, list)
    }
    assert {name: row["kind"] for name, row in rejected.items()} == {
        name: "without text" if kind is None else kind
        for name, (_, kind) in texts.items()
        if not isinstance(kind, list)
    }
    assert manifest["rejected"] == {"broken": 2, "without_text": 5}
    assert rejected["control"]["reason"].startswith("pairs.csv, line 26: the report is not a text in UTF-8 or Latin-1")
    assert SECRET not in (tmp_path / "out" / "rejected.csv").read_text()
