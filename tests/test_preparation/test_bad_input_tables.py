"""Tables of every data set with one thing wrong: the message names file, line and remedy and quotes no cell.

MIMIC-CXR's tables, and what all csv files share, are in ``test_prepare_bad_input.py``.
"""

import gzip
import json
import os
import re

import pytest

from mgca_mm.preparation import Options, prepare
from tests.test_preparation.raw_trees import LUNG_BOXES, PADCHEST, SECRET, raw_tree, refuse

RSNA, SIIM, PROJECTIONS = "stage_2_train_labels.csv", "train-rle.csv", "indiana_projections.csv"
PLUS, NIH, NIH_BOXES = "df_chexpert_plus_240401.csv", "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"
VINDR_LABELS, VINDR_TEST = "annotations/image_labels_train.csv", "annotations/image_labels_test.csv"
VINDR_BOXES, VINDR_TEST_BOXES = "annotations/annotations_train.csv", "annotations/annotations_test.csv"
TABLES = {  # The tables a data set cannot do without, and their columns.
    ("chexpert", "train.csv"): ("Path", "Frontal/Lateral"),
    ("chexpert", "valid.csv"): ("Path", "Frontal/Lateral", "Edema", "Fracture"),
    ("rsna_pneumonia", RSNA): ("patientId", "x", "y", "width", "height", "Target"),
    ("object_cxr", "train.csv"): ("image_name", "annotation"),
    ("object_cxr", "dev.csv"): ("image_name", "annotation"),
    ("siim_pneumothorax", SIIM): ("ImageId", "EncodedPixels"),
    ("covid_chestxray", "metadata.csv"): ("patientid", "finding", "view", "modality", "filename", "clinical_notes"),
    ("image_report_csv", "pairs.csv"): ("image", "report"),
    ("iu_xray", PROJECTIONS): ("filename", "projection"),
    ("chexpert_plus", PLUS): (
        *("path_to_image", "frontal_lateral", "ap_pa", "split"),
        *("section_impression", "section_findings", "report"),
    ),
    ("padchest", PADCHEST): ("ImageID", "StudyID", "PatientID", "Projection", "Report"),
    ("nih_chestxray14", NIH): ("Image Index", "Finding Labels", "Patient ID"),
    ("nih_chestxray14", NIH_BOXES): ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]"),
    ("vindr_cxr", VINDR_LABELS): ("image_id", "rad_id", "Edema", "Other diseases"),
    ("vindr_cxr", VINDR_TEST): ("image_id", "COPD"),
    ("vindr_cxr", VINDR_BOXES): ("image_id", "rad_id", "class_name", "x_min", "y_min", "x_max", "y_max"),
    ("vindr_cxr", VINDR_TEST_BOXES): ("image_id", "class_name", "y_max"),
}
LISTS = [("covidx", "train_COVIDx9A.txt"), ("covidx", "test_COVIDx9A.txt")]
LISTS += [("nih_chestxray14", "train_val_list.txt"), ("nih_chestxray14", "test_list.txt")]
NO_PATH = "is not a plain file name"
NO_BOX = "has a (rectangle|ellipse|polygon) with other numbers than its coordinates"


@pytest.mark.parametrize(("name", "table"), [*TABLES, *LISTS])
def test_missing_table(tmp_path, name, table):
    raw = raw_tree(name).write(tmp_path / "raw", images=False)
    (raw / table).unlink()
    if table == PROJECTIONS:  # Without it, laterals cannot be told.
        prepare(name, raw, tmp_path / "out", Options(annotations_only=True))
        notes = json.loads((tmp_path / "out" / "manifest.json").read_text())["notes"]
        assert any(PROJECTIONS in note for note in notes)
    elif table == NIH_BOXES:
        prepare(name, raw, tmp_path / "out", Options(annotations_only=True))
        assert not (tmp_path / "out" / "detection").exists()
    elif name == "image_report_csv":
        refuse(name, raw, "raw: 0 csv files in the folder; expected one csv file with the columns image, report")
    else:
        refuse(name, raw, rf"{table}\[\.gz\]: no such file\n.*https://", annotations_only=True)


def test_missing_reports(tmp_path):
    tree = raw_tree("iu_xray")
    tree.files.clear()
    refuse("iu_xray", tree.write(tmp_path / "raw"), r"raw: no reports; expected ecgen-radiology/N\.xml.*https://")


@pytest.mark.parametrize(
    ("name", "table", "column"), [(*key, column) for key, names in TABLES.items() for column in names]
)
def test_missing_column(tmp_path, name, table, column):
    tree = raw_tree(name)
    header = next(iter(tree.tables[table]))
    header[[cell.strip() for cell in header].index(column)] = f"The {SECRET} is clear."
    raw = tree.write(tmp_path / "raw", images=False)
    refuse(name, raw, f"{table}, line 1: no column {re.escape(repr(column))} in the header", annotations_only=True)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_malformed_rows(tmp_path, name, table):
    """A cell too many, a column twice, blank cells, and a line of NUL."""
    tree = raw_tree(name)
    rows = tree.tables[table]
    for spoilt, message in (
        ([*rows[:2], [*rows[2], SECRET]], ", line 3: more cells than columns; is a comma without quotation marks"),
        ([[*cells, cells[0]] for cells in rows], ", line 1: a column stands twice in the header"),
        ([*rows[:2], [*[""] * (len(rows[0]) - 1), "x"]], ", line 3: column '.*' is (empty|not of the form|none of)"),
        ([["\0" * 10], *rows], ": UTF-16 without a byte order mark, or UTF-32"),
        ([], ": the file is empty"),
    ):
        tree.tables[table] = spoilt
        raw = tree.write(tmp_path / "raw", images=False)
        refuse(name, raw, table + message, annotations_only=True)


@pytest.mark.parametrize(
    ("name", "table", "line", "column", "values", "message"),
    [
        (
            "chexpert",
            "train.csv",
            3,
            "Path",
            ("../../a/b", "/etc/a/b/c", "train/../b/c", "a.jpg", f"CheXpert-small/train/{SECRET}/a", "a/b\n/c/d"),
            "is not of the form train/patient/study/image.jpg",
        ),
        ("chexpert", "train.csv", 4, "Frontal/Lateral", (SECRET, ""), "is none of Frontal, Lateral"),
        ("chexpert", "valid.csv", 2, "Edema", (SECRET, "2.0", "nan"), "is none of blank, 1.0, 0.0, -1.0"),
        ("rsna_pneumonia", RSNA, 2, "Target", (SECRET, "2", ""), "is none of 0, 1"),
        ("rsna_pneumonia", RSNA, 3, "x", (SECRET, "nan", "1e999", ""), "is (not a number|empty)"),
        ("rsna_pneumonia", RSNA, 7, "patientId", ("../x", "/etc/passwd", "..", "a\\b", SECRET * 30), NO_PATH),
        ("object_cxr", "train.csv", 2, "image_name", ("../dev/6.jpg", "/etc/passwd", "a\nb.jpg"), NO_PATH),
        ("object_cxr", "train.csv", 2, "annotation", (f"{SECRET} 1 2 3 4", "3 1 2 3 4"), "has an object that is none"),
        ("object_cxr", "dev.csv", 3, "annotation", ("0 1 2 3", f"1 1 1 {SECRET} 5", "0 1 1 nan 5"), NO_BOX),
        ("object_cxr", "dev.csv", 3, "annotation", ("2 1 1 2 2", "2 1 1 2 2 3", "0 1 1 1e6 5"), NO_BOX),
        ("object_cxr", "train.csv", 5, "annotation", ("1 5 5 5 9", "2 1 1 2 1 3 1"), "a box without area"),
        ("siim_pneumothorax", SIIM, 2, "ImageId", ("../x", "/etc/passwd", ""), f"({NO_PATH}|is empty)"),
        (
            "siim_pneumothorax",
            SIIM,
            3,
            "EncodedPixels",
            ("0 1048577", "1048576 1", "9" * 18 + " 1"),
            ".*ends beyond the",
        ),
        ("siim_pneumothorax", SIIM, 3, "EncodedPixels", ("1 2 3", SECRET, "1 x", "-1 5", "1.0 2"), ".*is made of"),
        ("iu_xray", PROJECTIONS, 4, "projection", (SECRET, ""), "is none of Frontal, Lateral"),
        ("iu_xray", PROJECTIONS, 4, "filename", ("../x.png", "/etc/passwd"), NO_PATH),
        ("covid_chestxray", "metadata.csv", 3, "filename", (SECRET * 30, "\udcff.png"), NO_PATH),
        ("covid_chestxray", "metadata.csv", 3, "folder", ("images\0",), "leads out of the data set"),
        (
            "image_report_csv",
            "pairs.csv",
            5,
            "image",
            (
                "../a.png",
                "/etc/passwd",
                "a/../../b.png",
                f"a\n{SECRET}.png",
                "a\0b",
                "C:\\a.png",
                "..\\a.png",
                "\\a.png",
            ),
            "is not a path inside the folder of the table",
        ),
        ("vindr_cxr", VINDR_LABELS, 2, "image_id", ("../x", "/etc/passwd", ".."), NO_PATH),
        ("vindr_cxr", VINDR_LABELS, 3, "Edema", (SECRET, "2", "-1", ""), "is none of 1.0, 0.0, 1, 0"),
        ("vindr_cxr", VINDR_BOXES, 2, "class_name", (SECRET, "Fracture", ""), "is none of Aortic enlargement, "),
        ("vindr_cxr", VINDR_BOXES, 3, "x_min", (SECRET, "nan", ""), "is (not a number|empty)"),
        ("vindr_cxr", VINDR_BOXES, 3, "x_max", ("14", "-5", "1e300"), "a box without area, or far outside"),
        ("vindr_cxr", VINDR_BOXES, 3, "rad_id", ("R3", SECRET), "this image and reader are not in annotations/image"),
        ("vindr_cxr", VINDR_TEST_BOXES, 2, "image_id", ("t0", SECRET), "this image and reader are not in annotations"),
        ("image_report_csv", "pairs.csv", 5, "image", ("",), "is empty"),
        (
            "chexpert_plus",
            PLUS,
            3,
            "path_to_image",
            (
                *("../../../a/view1_frontal.jpg", "/train/patient1/study1/view1_frontal.jpg", "train/patient1/a.jpg"),
                *("train/patient1/../view1_frontal.jpg", f"train/{SECRET}/study1/view1_frontal.jpg", "\0"),
                *("train/patient1/study1/view1_frontal.png", "train/patient1\n/study1/view1_frontal.jpg"),
            ),
            "is not of the form train/patient1/study1/view1_frontal.jpg",
        ),
        ("chexpert_plus", PLUS, 4, "frontal_lateral", (SECRET, ""), "is none of Frontal, Lateral"),
        ("chexpert_plus", PLUS, 2, "split", (SECRET, "", "test"), "is none of train, valid"),
        ("padchest", PADCHEST, 3, "ImageID", ("../x.png", "/etc/passwd", "a\nb.png"), NO_PATH),
        ("padchest", PADCHEST, 3, "StudyID", ("",), "is empty"),
        ("padchest", PADCHEST, 3, "Report", (f"{SECRET}\1",), "the report is not a text"),
        ("padchest", PADCHEST, 7, "PatientID", ("",), "is empty"),
        ("nih_chestxray14", NIH, 2, "Image Index", ("../x.png", "/etc/passwd", ""), f"({NO_PATH}|is empty)"),
        ("nih_chestxray14", NIH, 2, "Finding Labels", ("",), "is empty"),
        (
            "nih_chestxray14",
            NIH,
            3,
            "Finding Labels",
            (SECRET, "No Finding|Mass", "Mass|", "Infiltrate", "mass"),
            "is neither No Finding nor some of Atelectasis, .* Hernia",
        ),
        ("nih_chestxray14", NIH, 3, "Patient ID", (SECRET, "1.0", ""), "is (not a whole number|empty)"),
        ("nih_chestxray14", NIH_BOXES, 2, "Image Index", ("../x.png", ""), f"({NO_PATH}|is empty)"),
        (
            "nih_chestxray14",
            NIH_BOXES,
            3,
            "Finding Label",
            (SECRET, "", "Edema"),
            "is none of Atelectasis, .*Infiltrate",
        ),
        ("nih_chestxray14", NIH_BOXES, 4, "Bbox [x", (SECRET, "nan", "1e999", ""), "is (not a number|empty)"),
        ("image_report_csv", "pairs.csv", 2, "patient", ("",), "is empty"),
    ],
)
def test_bad_cell(tmp_path, name, table, line, column, values, message):
    for value in values:
        tree = raw_tree(name)
        rows = tree.tables[table]
        rows[line - 1][[cell.strip() for cell in rows[0]].index(column)] = value
        place = rf"{table}, line {line + value.count(chr(10))}: (column '{re.escape(column)}'.* |the box is )?"
        refuse(name, tree.write(tmp_path / "raw", images=False), place + message, annotations_only=True)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["9", f"{SECRET}.png", SECRET, "cohen"], "column 'class' is none of normal, pneumonia, COVID-19"),
        (["9", "../x.png", "normal", "cohen"], f"column 'file_name' {NO_PATH}"),
        (["9", "/etc/passwd", "normal", "cohen"], f"column 'file_name' {NO_PATH}"),
        ([SECRET], "patient_id, file_name, class and source are expected"),
        (["9", "x.png", "normal"], "patient_id, file_name, class and source are expected"),
        (["", "x.png", "normal", "cohen"], "patient_id, file_name, class and source are expected"),
        (["9", "image 0.png", "normal", "cohen"], "this file_name stands twice in the file"),
    ],
)
def test_bad_line_of_a_list(tmp_path, cells, message):
    tree = raw_tree("covidx")
    tree.tables["train_COVIDx9A.txt"].append(cells)
    refuse("covidx", tree.write(tmp_path / "raw"), rf"train_COVIDx9A\.txt, line 7: {message}", annotations_only=True)


@pytest.mark.parametrize(
    ("name", "table", "row", "message"),
    [
        ("chexpert", "train.csv", 3, "this Path stands twice"),
        ("rsna_pneumonia", RSNA, 5, "this patientId stands twice, and one of its rows has no box"),
        ("rsna_pneumonia", RSNA, ["p0", "", "", "", "", "0"], "this patientId stands twice, and one of its rows"),
        ("rsna_pneumonia", RSNA, ["p5", "1", "1", "5", "5", "1"], "this patientId stands twice, and one of its rows"),
        ("rsna_pneumonia", RSNA, ["p9", "1", "1", "5", "5", "0"], "a box where column 'Target' is 0"),
        ("rsna_pneumonia", RSNA, ["p9", "1", "1", "-5", "5", "1"], "a box without area"),
        ("object_cxr", "dev.csv", ["00001.jpg", ""], "this image_name stands twice"),
        ("siim_pneumothorax", SIIM, 6, "this ImageId stands twice, and one of its rows has no mask"),
        ("siim_pneumothorax", SIIM, ["1.2.0", "-1"], "this ImageId stands twice, and one of its rows"),
        ("siim_pneumothorax", SIIM, ["1.2.5", "1 1"], "this ImageId stands twice, and one of its rows"),
        ("iu_xray", PROJECTIONS, 2, "this filename stands twice"),
        ("chexpert_plus", PLUS, 2, "this path_to_image stands twice"),
        ("padchest", PADCHEST, 2, "this ImageID stands twice"),
        ("nih_chestxray14", NIH, 3, "this Image Index stands twice"),
        ("nih_chestxray14", NIH_BOXES, 3, "this box stands twice"),
        ("nih_chestxray14", "test_list.txt", 1, "this image stands twice in the lists"),
        ("nih_chestxray14", "test_list.txt", ["00000002_000.png"], "this image stands twice in the lists"),
        ("vindr_cxr", VINDR_LABELS, 2, "this image_id and rad_id stands twice"),
        ("vindr_cxr", VINDR_TEST, 2, "this image_id stands twice"),
        ("vindr_cxr", VINDR_TEST, ["t5"], "this image_id is in the training table, too"),
        ("vindr_cxr", VINDR_BOXES, ["t5", "R1", "No finding", "1", "1", "5", "5"], "a box of a class that has none"),
        ("image_report_csv", "pairs.csv", 2, "this image stands twice"),
        ("image_report_csv", "pairs.csv", ["./scans//0.png", SECRET, "p9"], "this image stands twice"),
    ],
)
def test_repeated_identifier(tmp_path, name, table, row, message):
    """``row``: the number of one to repeat, or one that repeats an identifier."""
    tree = raw_tree(name)
    rows = tree.tables[table]
    rows.append(rows[row] if isinstance(row, int) else row)
    raw = tree.write(tmp_path / "raw", images=False)
    refuse(name, raw, f"{table}, line {len(rows)}: {message}", annotations_only=True)


def test_two_tables_of_pairs(tmp_path):
    raw = raw_tree("image_report_csv").write(tmp_path / "raw", images=False)
    (raw / "more.csv.gz").write_bytes(gzip.compress(b"image,report\n"))
    refuse("image_report_csv", raw, "raw: 2 csv files in the folder; expected one csv file")


def test_unknown_split(tmp_path):
    tree = raw_tree("image_report_csv")
    for line, cells in enumerate(tree.tables["pairs.csv"], start=1):
        cells.append("train" if line > 1 else "split")
    for split in (SECRET, "", "Train"):
        tree.tables["pairs.csv"][4][-1] = split
        raw = tree.write(tmp_path / "raw", images=False)
        refuse("image_report_csv", raw, r"pairs\.csv, line 5: column 'split' is none of train, val, test")


def test_labels_need_a_name(tmp_path):
    """A quotation mark left open in the header would make a class of the rows below."""
    for name in (f"Edema\n{SECRET}", "", "caf\udce9"):
        tree = raw_tree("chexpert")
        for table in tree.tables.values():
            table[0][5] = name
        raw = tree.write(tmp_path / "raw", images=False)
        refuse("chexpert", raw, r"train\.csv, line 1: a column of labels has no name, or one with line breaks")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (f"name,split\n{SECRET},train\n", "line 1: no column 'id' in the header"),
        ("id,split\np0,train\np1,TRAIN\n", "line 3: column 'split' is none of train, val, test"),
        (f"id,split\np0,{SECRET}\n", "line 2: column 'split' is none of"),
        (f"id,split\n{SECRET},train\n{SECRET},val\n", "line 3: this id stands twice in the file"),
        ("id,split\n,train\n", "line 2: column 'id' is empty"),
        (f"id,split\n{SECRET},train\n", "none of its 1 ids is an image or a patient of the data set\nThe ids are"),
        ("id,split\np0,val\np3,test\n", "no image of the training split is left"),
        ("", "the file is empty"),
        (None, "cannot be read"),
    ],
)
def test_bad_split_list(tmp_path, content, message):
    raw, listed = raw_tree("rsna_pneumonia").write(tmp_path / "raw", images=False), tmp_path / "list.csv"
    if content is not None:
        listed.write_text(content)
    if message.startswith("no image"):
        refuse("rsna_pneumonia", raw, message, annotations_only=True, split_list=listed)
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(tmp_path)
            refuse("rsna_pneumonia", raw, rf"list\.csv.*{message}", annotations_only=True, split_list=listed)


def _set(part, number, key, value):
    def spoil(content):
        content[part][number][key] = value

    return spoil


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (lambda content: content.pop("images"), ""),
        (lambda content: content.pop("categories"), ""),
        (_set("categories", 1, "name", SECRET), ""),
        (_set("images", 1, "id", 0), ""),
        (_set("images", 1, "file_name", "0.png"), ""),
        (_set("images", 1, "height", 65_500 * 65_500), ""),
        (_set("images", 1, "width", 0), ""),
        (_set("images", 1, "width", float("inf")), ""),
        (_set("images", 1, "height", SECRET), ""),
        (_set("annotations", 3, "bbox", [1, 2, 3]), ", annotation 3"),
        (_set("annotations", 3, "bbox", [1, 2, 0, 4]), ", annotation 3"),
        (_set("annotations", 3, "bbox", [float("nan"), 2, 3, 4]), ", annotation 3"),
        (_set("annotations", 3, "bbox", [10**400, 2, 3, 4]), ", annotation 3"),
        (_set("annotations", 0, "image_id", 99), ", annotation 0"),
        (_set("annotations", 0, "category_id", [SECRET]), ", annotation 0"),
        (lambda content: content["annotations"].append(SECRET), ", annotation 8"),
        (f'["{SECRET}"]'.encode(), ""),
    ],
)
def test_bad_coco_file(tmp_path, spoil, place):
    tree = raw_tree("covid_chestxray")
    content = json.loads(tree.files[LUNG_BOXES])
    if isinstance(spoil, bytes):
        tree.files[LUNG_BOXES] = spoil
    else:
        spoil(content)
        tree.files[LUNG_BOXES] = json.dumps(content).encode()
    raw = tree.write(tmp_path / "raw")
    refuse("covid_chestxray", raw, f"bounding_boxes.json{place}: not in COCO's format .a key is missing.*copy it again")
    refuse("covid_chestxray", raw, "not in COCO's format", annotations_only=True)


@pytest.mark.parametrize("content", [b"{", b"[" * 100_000, b"\xff\xfe\xff", b"[[]," * 500_000 + b"[]" + b"]" * 500_000])
def test_coco_file_that_is_no_json(tmp_path, content):
    tree = raw_tree("covid_chestxray")
    tree.files[LUNG_BOXES] = content
    raw = tree.write(tmp_path / "raw", images=False)
    refuse("covid_chestxray", raw, "bounding_boxes.json' (cannot be read|is refused)", annotations_only=True)


@pytest.mark.parametrize("number", [0, 1, 3])
def test_too_few_rows_of_the_released_split(tmp_path, number):
    tree = raw_tree("siim_pneumothorax")
    del tree.tables[SIIM][number + 1 :]
    raw = tree.write(tmp_path / "raw", images=False)
    options = dict(annotations_only=True, protocol="released")
    refuse("siim_pneumothorax", raw, rf"{SIIM}: {number} rows; three splits need at least 4", **options)


@pytest.mark.parametrize("name", sorted({name for name, _ in (*TABLES, *LISTS)} | {"mimic_cxr"}))
def test_the_same_from_tables_with_a_mark_other_line_ends_and_gzip(tmp_path, name):
    """A byte order mark, CRLF, line ends inside quotation marks, and a gzipped table change nothing."""
    tree = raw_tree(name)
    if name == "image_report_csv":
        tree.tables["pairs.csv"][1][1] = f'The lungs are "clear",\n\n{SECRET}.\nNo effusion.'
    raw = tree.write(tmp_path / "raw", images=False)
    other = tree.write(tmp_path / "other", images=False)
    for table in tree.tables:
        path = other / table
        changed = b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n")
        os.remove(path)
        if table == PROJECTIONS:
            path.write_bytes(changed)
        else:
            path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(changed))
    manifests = []
    for folder in (raw, other):
        prepare(name, folder, tmp_path / f"{folder.name} out", Options(annotations_only=True, vocab_size=200))
        manifests.append(json.loads((tmp_path / f"{folder.name} out" / "manifest.json").read_text()))
    assert manifests[0]["files"] == manifests[1]["files"]
    assert manifests[0]["sources"] != manifests[1]["sources"]
