"""A user's own labels: which columns are labels, which values they have, what the splits are; odd and bad files."""

import json
import unicodedata

import pytest
import torch

from mgca_mm.evaluation import AUROC, ClassificationLoss, PerImageDice, Top1Accuracy
from mgca_mm.preparation import Options, check, own_files, prepare
from tests.test_preparation.raw_trees import RawTree, raw_tree, refuse, write_image

NAMES = [f"scans/{n}.png" for n in range(6)]


def prepare_rows(tmp_path, header, columns, annotations_only=True, options=None, **files):
    """Prepare one row an image; header and cells beside ``image``. Manifest and training, validation, test entries."""
    raw, out = tmp_path / "raw", tmp_path / "out"
    names = [f"scans/{n}.png" for n in range(len(columns[0]))]
    rows = [["image", *header], *([name, *cells] for name, *cells in zip(names, *columns, strict=True))]
    RawTree({"labels.csv": rows}, names, files).write(raw, images=not annotations_only)
    prepare("labels_csv", raw, out, Options(annotations_only=annotations_only, image_size=16, **options or {}))
    assert check("labels_csv", out) == []
    parts = {split: json.loads((out / f"{split}.json").read_text()) for split in ("train", "val", "test")}
    return json.loads((out / "manifest.json").read_text()), parts


def labels_of(parts):
    entries = sorted((entry["image_id"], entry["labels"]) for part in parts.values() for entry in part["data_list"])
    return [labels for _, labels in entries]


def test_many_columns(tmp_path):
    """Spaces, commas and accents in names; every way that a label is written."""
    header = ["Pleural Effusion", "nodule, solid", "Épanchement", "patient"]
    first = ["1", "0", "-1", "", "1.0", "-1.0"]
    second = ["yes", "No", "TRUE", "False", "NaN", "n/a"]
    manifest, parts = prepare_rows(
        tmp_path, header, [first, second, ["0"] * 6, [f"p{n}" for n in range(6)]], annotations_only=False
    )
    assert parts["train"]["metainfo"] == {"dataset": "labels_csv", "split": "train", "classes": header[:3]}
    assert labels_of(parts) == [[1, 1, 0], [0, 0, 0], [-1, 1, 0], [None, 0, 0], [1, None, 0], [-1, None, 0]]
    assert manifest["notes"] == ["no split is given: the patients are divided 80/10/10"]
    assert manifest["total"]["positive: nodule, solid"] == 2


@pytest.mark.parametrize("values", [["0", "1"] * 3, ["0.0", "1.0", "", "-1", "0", "1"], ["yes", "no"] * 3])
def test_one_column_of_labels_is_binary(tmp_path, values):
    manifest, parts = prepare_rows(tmp_path, ["tuberculosis"], [values])
    assert "exclusive" not in parts["train"]["metainfo"] and parts["train"]["metainfo"]["classes"] == ["tuberculosis"]
    written = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "": None, "-1": -1, "yes": 1, "no": 0}
    assert labels_of(parts) == [[written[value]] for value in values]
    assert any("no label at all" in note for note in manifest["notes"]) == ("" in values)


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (
            ["normal", "Pneumonie bactérienne", "a, b", "", "normal", "a, b"],
            ["Pneumonie bactérienne", "a, b", "normal"],
        ),
        (["10", "2.0", "2", "0", "10", "NaN"], ["0", "2", "10"]),
        (["no", "yes", "unclear"] * 2, ["no", "unclear", "yes"]),
    ],
)
def test_one_column_of_other_values_is_of_classes(tmp_path, values, classes):
    manifest, parts = prepare_rows(tmp_path, ["diagnosis"], [values])
    metainfo = parts["train"]["metainfo"]
    assert metainfo["classes"] == classes and metainfo["exclusive"] is True
    assert all(sum(labels) == 1 for labels in labels_of(parts))
    blank = values.count("") + values.count("NaN")
    assert len(labels_of(parts)) == 6 - blank
    assert manifest["filters"][1] == {"stage": "class given", "kept": 6 - blank, "dropped": blank}


def test_columns_of_labels_that_are_named(tmp_path):
    """Others are not read; each of class names is one label, or one a value, and a blank leaves them uncertain."""
    header = ["age", "died", "view", "side", "patient"]
    columns = [["60", "x"] * 3, ["0", "1", ""] * 2, ["PA", "AP", ""] * 2, ["left", "right", "both"] * 2, list("abcdef")]
    manifest, parts = prepare_rows(tmp_path, header, columns, options={"labels": ["died", "view", "side"]})
    metainfo = parts["train"]["metainfo"]
    assert metainfo["classes"] == ["died", "view=PA", "side=both", "side=left", "side=right"]
    assert "exclusive" not in metainfo and manifest["parameters"]["labels"] == ["died", "view", "side"]
    assert labels_of(parts) == [[0, 1, 0, 1, 0], [1, 0, 0, 0, 1], [None, -1, 1, 0, 0]] * 2


def test_a_single_named_column_is_read_as_if_it_were_the_only_one(tmp_path):
    columns = [["normal", "sick"] * 3, ["a", "b", "c"] * 2]
    _, parts = prepare_rows(tmp_path, ["label", "subtype"], columns, options={"labels": ["label"]})
    assert parts["train"]["metainfo"]["classes"] == ["normal", "sick"] and parts["train"]["metainfo"]["exclusive"]
    assert labels_of(parts) == [[1, 0], [0, 1]] * 3


@pytest.mark.parametrize("given", [True, False])
def test_patients_by_a_pattern(tmp_path, given):
    """Of the patient's name or, without one, the image's; the split, made for other patients, is not read."""
    header, names = ["a", "split"], [f"person{number // 4}{'bv'[number % 2]}" for number in range(20)]
    columns = [["0", "1"] * 10, ["train", "test"] * 10]
    pattern = r"person\d+" if given else r"\d"
    if given:
        header, columns = [*header, "patient"], [*columns, names]
    manifest, parts = prepare_rows(tmp_path, header, columns, options={"patients": pattern})
    patients = {entry["patient_id"] for part in parts.values() for entry in part["data_list"]}
    assert patients == ({f"person{n}" for n in range(5)} if given else set("0123456789"))
    assert "no split is given: the patients are divided 80/10/10" in manifest["notes"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": ["b"]}, "no column 'b' in the header"),
        ({"labels": ["a", "age"]}, "column 'age' has a number that is no label"),
        (
            {"labels": ["a", "year"]},
            "column 'year' has 12 different numbers, hence no classes\nLeave it out",
        ),
        ({"labels": ["view", "view=pa"]}, "'view=pa' is a column and a value of another\nLeave one out"),
        ({"patients": "x+"}, r"line 2: --patients x\+ finds nothing in the patient's name"),
        ({"patients": "x*"}, r"line 2: --patients x\* finds nothing in the patient's name"),
    ],
)
def test_bad_options(tmp_path, options, message):
    names = [f"{n}.png" for n in range(12)]
    header = ["image", "a", "age", "year", "view", "view=pa"]
    rows = [[name, n % 2, 40.5 + n, 2000 + n, ("ap", "pa")[n % 2], n % 2] for n, name in enumerate(names)]
    raw = RawTree({"labels.csv": [header, *rows]}, names).write(tmp_path / "raw", images=False)
    refuse("labels_csv", raw, message, annotations_only=True, **{"labels": ["a"]} | options)


def test_options_of_labels_alone(tmp_path):
    for options in ({"labels": ["a"]}, {"patients": "p"}):
        raw = raw_tree("masks").write(tmp_path / "raw", images=False)
        refuse("masks", raw, "--labels and --patients: of labels_csv alone", **options)
    refuse("labels_csv", raw, r"--patients \(: no regular expression", patients="(")


def test_splits_that_are_given(tmp_path):
    splits = ["train", "valid", "test", "train", "train", "validation"]
    _, parts = prepare_rows(tmp_path, ["a", "split"], [["0", "1"] * 3, splits])
    assert [len(parts[split]["data_list"]) for split in ("train", "val", "test")] == [3, 2, 1]


def test_a_missing_validation_is_held_out_by_patient(tmp_path):
    patients = [f"p{n // 2}" for n in range(40)]
    manifest, parts = prepare_rows(
        tmp_path, ["a", "patient", "split"], [["0", "1"] * 20, patients, ["train"] * 30 + ["test"] * 10]
    )
    assert [len(parts[split]["data_list"]) for split in ("train", "val", "test")] == [26, 4, 10]
    assert manifest["notes"] == ["no validation split is given: a tenth of the training patients is held out"]


def test_a_missing_test_is_said(tmp_path):
    manifest, parts = prepare_rows(tmp_path, ["a", "split"], [["0", "1"] * 3, ["train"] * 4 + ["val"] * 2])
    assert parts["test"]["data_list"] == [] and any("no test split" in note for note in manifest["notes"])


@pytest.mark.parametrize(
    ("header", "columns", "message"),
    [
        (["a", "b"], [["1", "0.5"] * 3, ["1"] * 6], "line 3: column 'a' is no label: 1, 0, -1 .* or blank is expected"),
        (
            ["a", "b"],
            [["1"] * 6, ["sick"] * 6],
            "line 2: column 'b' is no label: .*a column of class names must be the",
        ),
        (["a"], [["1", "0.5"] * 3], "line 3: column 'a' has a number that is no label"),
        (["a"], [["normal"] * 6], "column 'a' has the same class in all rows; at least two are expected"),
        (["a"], [["b\tc", "d"] * 3], "line 2: column 'a' has line breaks"),
        (["patient"], [["p"] * 6], "line 1: no column of labels"),
        (["a", ""], [["1"] * 6, ["1"] * 6], "line 1: a column has no name\nName it"),
        (
            ["a", "split"],
            [["1", "0"] * 3, ["test"] * 6],
            "all images are in the split test, none is for training\nName",
        ),
        (["a", "split"], [["1", "0"] * 3, ["train"] * 5 + [""]], "line 7: column 'split' is none of train, val, test"),
        (["a", "patient"], [["1", "0"] * 3, ["p"] * 5 + [""]], "line 7: column 'patient' is empty"),
        (["a", "patient"], [["1", "0"] * 3, ["p"] * 6], "1 patients are left after the filters"),
        (["a"], [[f"report {n}" for n in range(1001)]], "line 1002: column 'a' has more than 1000 values"),
    ],
)
def test_bad_tables(tmp_path, header, columns, message):
    names = [f"{n}.png" for n in range(len(columns[0]))]
    rows = [["image", *header], *([name, *cells] for name, *cells in zip(names, *columns, strict=True))]
    raw = RawTree({"labels.csv": rows}, names).write(tmp_path / "raw", images=False)
    refuse("labels_csv", raw, rf"labels\.csv(, |: ){message}", annotations_only=True)


@pytest.mark.parametrize("name", ["macro", "macro_low", "top1", "top1_high", "loss"])
def test_classes_called_as_scores_are(tmp_path, name):
    tree = raw_tree("labels_csv")
    tree.tables["labels.csv"][0][1] = name
    raw = tree.write(tmp_path / "raw", images=False)
    message = rf"labels\.csv: a class is called '{name}', as a score of all classes is\nGive it another name"
    refuse("labels_csv", raw, message, annotations_only=True)
    tree.tables["labels.csv"] = [["image", "diagnosis"], *([f"{n}.png", ("normal", name)[n % 2]] for n in range(6))]
    refuse("labels_csv", tree.write(raw, images=False), message, annotations_only=True)


def test_names_of_scores_are_those_of_the_metrics():
    scores: dict[str, float] = {}
    samples = [dict(pred_score=torch.tensor([0.9, 0.1]), gt_label=torch.tensor([label])) for label in (0, 1)]
    for metric in (AUROC(num_bootstrap=2), Top1Accuracy(num_bootstrap=2), ClassificationLoss(multi_label=True)):
        metric.dataset_meta = {"classes": ["a", "b"]}
        metric.process({}, samples)
        scores |= metric.compute_metrics(metric.results)
    assert scores.keys() - {"a", "b"} == set(own_files._SCORES)
    dice = PerImageDice()
    dice.dataset_meta = {"classes": ["background", "a", "b"]}
    names = dice.compute_metrics([([1.0, 1.0], [True, True])]).keys() - {"dice", "dice_a", "dice_b"}
    assert {name.removeprefix("dice_") for name in names} < set(own_files._NAMES_OF_MASKS)


def test_a_delimiter_at_the_end_of_each_row(tmp_path):
    _, parts = prepare_rows(tmp_path, ["a", "", ""], [["0", "1"] * 3, [""] * 6, [""] * 6])
    assert parts["train"]["metainfo"]["classes"] == ["a"] and labels_of(parts) == [[0], [1]] * 3


@pytest.mark.parametrize("column", ["patient", "patient_id", "subject_id", "PatientID", "Subject ID"])
def test_names_of_the_patient(tmp_path, column):
    manifest, parts = prepare_rows(tmp_path, ["a", column], [["0", "1"] * 3, ["1", "0", "2"] * 2])
    assert parts["train"]["metainfo"]["classes"] == ["a"] and manifest["total"]["patients"] == 3


@pytest.mark.parametrize(
    ("header", "cells", "labels"),
    [
        ("a;b", ("1,0;0", "0,0;-1,0", ";1"), [[1, 0], [0, -1], [None, 1]]),
        ("a", ("1,0", "0,0", "-1,0"), [[1], [0], [-1]]),
        ("grade", ("1,0", "2,0", "10"), [[1, 0, 0], [0, 1, 0], [0, 0, 1]]),
        ("side", ("left, lower", "right", "both"), [[0, 1, 0], [0, 0, 1], [1, 0, 0]]),
    ],
)
def test_decimal_commas(tmp_path, header, cells, labels):
    (tmp_path / "raw").mkdir()
    rows = "".join(f"{n}.png;{cells[n % 3]}\n" for n in range(6))
    (tmp_path / "raw" / "labels.CSV").write_text(f"image;{header}\n{rows}")
    (tmp_path / "raw" / "._labels.CSV").write_bytes(b"\0\5\x16\7")
    prepare("labels_csv", tmp_path / "raw", tmp_path / "out", Options(annotations_only=True))
    parts = {split: json.loads((tmp_path / "out" / f"{split}.json").read_text()) for split in ("train", "val", "test")}
    assert labels_of(parts) == labels * 2
    if "," in cells[0] and header == "side":
        assert parts["train"]["metainfo"]["classes"] == ["both", "left, lower", "right"]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_accents_in_names_of_files(tmp_path, form, encoding):
    """macOS writes them in two characters; a table may be in another encoding than the names of files are."""
    tree = raw_tree("labels_csv")
    raw = tree.write(tmp_path / "raw", images=False)
    names = [f"séries/â{n}.png" for n in range(6)]
    for name in names:
        write_image(raw / unicodedata.normalize(form, name))
    rows = "".join(f"{name},{number % 2}\n" for number, name in enumerate(names))
    (raw / "labels.csv").write_bytes(f"image,a\n{rows}".encode(encoding))
    prepare("labels_csv", raw, tmp_path / "out", Options(image_size=16))
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["total"]["images"] == 6


def test_a_file_name_that_is_no_utf_8(tmp_path):
    raw = raw_tree("labels_csv").write(tmp_path / "raw", images=False)
    name = "\udce9.png"
    write_image(raw / "0.png")
    (raw / "0.png").rename(raw / name)
    (raw / "labels.csv").write_bytes(b"image,a\n\xe9.png,1\n")
    message = "line 2: column 'image' names a file in another encoding than UTF-8\nRename the file"
    refuse("labels_csv", raw, message)
    (raw / "labels.csv").write_bytes(b"image,a\n\xe9\x1b.png,1\n")
    refuse("labels_csv", raw, message)


def test_other_bad_tables(tmp_path):
    tree = raw_tree("labels_csv")
    tree.tables["labels.csv"].append(["./scans//0.png", "1", "1", "p9"])
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("labels_csv", raw, r"labels\.csv, line 8: this image stands twice", annotations_only=True)
    tree.tables["labels.csv"][-1][0] = "../x.png"
    refuse("labels_csv", tree.write(raw), "line 8: column 'image' is not a path inside", annotations_only=True)
    (raw / "labels.csv").rename(raw / "a.csv")
    (raw / "b.csv").touch()
    refuse(
        "labels_csv",
        raw,
        r"raw: 2 csv files in the folder; expected one csv .*, or labels\.csv among several\n.*has a\.csv, b",
    )
    (raw / "a.csv").unlink()
    refuse("labels_csv", raw, "b.csv: the file is empty")
    (raw / "b.csv").write_text("image,a\n")
    refuse("labels_csv", raw, "b.csv: no row below the header")
    (raw / "b.csv").unlink()
    refuse(
        "labels_csv",
        raw,
        "raw: 0 csv files in the folder; expected one csv file with the columns image, one or many of",
    )
