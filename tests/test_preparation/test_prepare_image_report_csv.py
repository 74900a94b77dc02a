"""A user's own pairs, from a table and files of three formats to the prepared folder."""

import csv
import gzip
import json

import numpy as np

from mgca_mm.preparation import Options, check, prepare
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from tests.test_preparation.raw_trees import REPORT, SECRET, raw_tree

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
