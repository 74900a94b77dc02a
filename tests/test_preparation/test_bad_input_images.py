"""Images, boxes, masks and links that are broken: left out and listed, or an error where they are too many."""

import csv
import json
import shutil

import cv2
import numpy as np
import pydicom
import pytest

from mgca_mm.preparation import Options, check, prepare
from mgca_mm.prepared import DATA_SETS
from tests.test_preparation.raw_trees import LUNG_BOXES, SECRET, SIDE, raw_tree, refuse, write_image


def prepare_without(name, raw, broken, **options):
    """Prepare, expect that these images alone, by what their row of rejected.csv says, are left out; the manifest."""
    out = raw.with_name("out")
    prepare(name, raw, out, Options(image_size=16, vocab_size=200, max_rejected=0.9, **options))
    assert check(name, out) == []
    manifest = json.loads((out / "manifest.json").read_text())
    with open(out / "rejected.csv", newline="") as file:
        rows = {row["file"]: row for row in csv.DictReader(file)}
    assert manifest["rejected"] == {"broken": len(broken), "without_text": 0}
    assert list(rows) == list(broken)
    for file, reason in broken.items():
        assert rows[file]["kind"] == "broken" and reason in rows[file]["reason"]
        assert str(raw) not in rows[file]["reason"] and SECRET not in rows[file]["reason"]
        for path in out.rglob("*.[jt][sx][ot]*"):
            if path.name != "manifest.json":
                assert f'"image_id": "{rows[file]["image_id"]}"' not in path.read_text()
                assert rows[file]["image_id"] not in path.read_text().splitlines()
    return manifest


@pytest.mark.parametrize("name", DATA_SETS)
def test_a_truncated_image(tmp_path, name):
    tree = raw_tree(name)
    raw = tree.write(tmp_path / "raw")
    broken = raw / tree.images[1]
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])
    number = len(tree.images)
    refuse(name, raw, f"1 of {number} images are missing or broken.*max-rejected is 0.01. The first:\n.*{broken}: ")
    assert tree.images[1] in (tmp_path / "refused" / "failed.csv").read_text()
    manifest = prepare_without(name, raw, {tree.images[1]: "truncated" if broken.suffix == ".png" else ""})
    assert manifest["total"]["images"] == number - 1
    assert manifest["filters"][-1] == {"stage": "image readable", "kept": number - 1, "dropped": 1}


def _png_header(path, side):
    data = bytearray(path.read_bytes())
    data[16:24] = side.to_bytes(4, "big") * 2
    path.write_bytes(data)


def _jpeg_header(path, side):
    data = bytearray(path.read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = side.to_bytes(2, "big") * 2
    path.write_bytes(data)


def _dicom_header(path, side):
    dataset = pydicom.dcmread(path)
    dataset.Rows = dataset.Columns = side
    dataset.save_as(path)


def _absurd(path):
    {".png": _png_header, ".jpg": _jpeg_header, ".dcm": _dicom_header}[path.suffix](path, 65_500)


def _no_extent(path):
    {".png": _png_header, ".jpg": _jpeg_header, ".dcm": _dicom_header}[path.suffix](path, 0)


def _folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda path: path.unlink(), "no such image file"),
        (lambda path: path.write_bytes(b""), "the image file is empty"),
        (lambda path: path.write_text(f"not an image: {SECRET}"), "neither a JPEG nor a PNG nor a DICOM image"),
        (_folder, "not a regular file"),
        (_absurd, "65500 x 65500 pixels are more than the 100 megapixels allowed"),
        (_no_extent, ""),
    ],
)
def test_every_kind_of_file(tmp_path, spoil, reason):
    tree = raw_tree("image_report_csv")
    raw = tree.write(tmp_path / "raw")
    for name in tree.images[:3]:  # A PNG, a JPEG and a DICOM file; one of each is left.
        spoil(raw / name)
    refuse("image_report_csv", raw, f"3 of 6 images .*--max-rejected is 0.01.*{reason}.*failed.csv.*--max-rejected 1")
    prepare_without("image_report_csv", raw, dict.fromkeys(tree.images[:3], reason))


def test_a_name_too_long_for_a_file(tmp_path):
    """No file can have it, but the system says so with another error than of a file that is missing."""
    tree = raw_tree("image_report_csv")
    tree.tables["pairs.csv"].append(["x" * 300, "The lungs are clear.", "p9"])
    prepare_without(
        "image_report_csv", tree.write(tmp_path / "raw"), {"x" * 300: "cannot be read (File name too long)"}
    )


def test_a_folder_too_long_for_a_file(tmp_path):
    """Rows without an image are no fault of covid-chestxray, and counted by a filter."""
    tree = raw_tree("covid_chestxray")
    raw = tree.write(tmp_path / "raw")
    tree.tables["metadata.csv"][1][4] = "x" * 300
    tree.write_table(raw / "metadata.csv", tree.tables["metadata.csv"])
    assert prepare_without("covid_chestxray", raw, {})["filters"][2]["dropped"] == 1


@pytest.mark.parametrize("reports", [1, 2])
def test_one_in_a_hundred(tmp_path, reports):
    """Reports of control characters: 1 of 150 is below the share that may be broken, 2 are above it."""
    tree = raw_tree("image_report_csv")
    header, row = tree.tables["pairs.csv"][:2]
    texts = ["a\1b"] * reports + [row[1]] * (150 - reports)
    tree.tables["pairs.csv"] = [header, *([f"{n}.png", text, f"p{n}"] for n, text in enumerate(texts))]
    raw = tree.write(tmp_path / "raw", images=False)
    if reports == 1:
        prepare("image_report_csv", raw, tmp_path / "out", Options(annotations_only=True, vocab_size=200))
        assert ",broken,pairs.csv\\," not in (tmp_path / "out" / "rejected.csv").read_text()
    else:
        refuse(
            "image_report_csv", raw, "2 of 150 images.*pairs.csv, line 2: the report is not a", annotations_only=True
        )


RSNA_IMAGE = "stage_2_train_images/p1.dcm"


@pytest.mark.parametrize(
    ("box", "reason"),
    [
        ((900, 100, 200, 100), "a box reaches out of the image of 1024 x 1024 pixels"),
        ((100, -50, 100, 100), "a box reaches out of the image of 1024 x 1024 pixels"),
        ((100, 100, 1e308, 1e308), "a box reaches out of the image of 1024 x 1024 pixels"),
        ((-9, 100, 5, 100), "a box reaches out of the image of 1024 x 1024 pixels"),
        ((100, 1025, 5, 5), "a box reaches out of the image of 1024 x 1024 pixels"),
    ],
)
@pytest.mark.parametrize("annotations_only", [False, True])
def test_box_outside_of_its_image(tmp_path, box, reason, annotations_only):
    tree = raw_tree("rsna_pneumonia")
    tree.tables["stage_2_train_labels.csv"][2][1:5] = map(str, box)
    raw = tree.write(tmp_path / "raw", images=not annotations_only)
    reason = f"stage_2_train_labels.csv, line 3: {reason}; correct it"
    refuse("rsna_pneumonia", raw, f"1 of 6 images.*{reason}", annotations_only=annotations_only)
    prepare_without("rsna_pneumonia", raw, {RSNA_IMAGE: reason}, annotations_only=annotations_only)


def test_box_that_sticks_out_a_little_is_cut(tmp_path):
    tree = raw_tree("rsna_pneumonia")
    tree.tables["stage_2_train_labels.csv"][2][1:5] = ["-5", "900", "64", "130"]
    tree.tables["stage_2_train_labels.csv"][3][1:5] = ["100", "100", "0.0001", "0.0001"]
    raw = tree.write(tmp_path / "raw", images=False)
    prepare_without("rsna_pneumonia", raw, {}, annotations_only=True)
    boxes = [
        box["bbox"]
        for split in ("train", "val", "test")
        for box in json.loads((tmp_path / "out" / "detection" / f"{split}.json").read_text())["annotations"]
    ]
    assert [0, 900, 59, 124] in boxes
    assert [100, 100, 0.001, 0.001] in boxes  # The smallest extent that is written, not 0.


@pytest.mark.parametrize("name", ["object_cxr", "covid_chestxray"])
def test_box_outside_of_other_images(tmp_path, name):
    tree = raw_tree(name)
    if name == "object_cxr":
        tree.tables["train.csv"][1][1] = f"0 5 6 20 30;0 5 5 {SIDE + 9} 9"
        reason = "train.csv, line 2: a box reaches out"
    else:
        content = json.loads(tree.files[LUNG_BOXES])
        content["annotations"][1]["bbox"] = [5, 5, SIDE, 9]
        tree.files[LUNG_BOXES] = json.dumps(content).encode()
        reason = f"{LUNG_BOXES}, annotation 1: a box reaches out"
    prepare_without(name, tree.write(tmp_path / "raw"), {tree.images[0]: reason})


@pytest.mark.parametrize("name", ["rsna_pneumonia", "siim_pneumothorax", "covid_chestxray"])
def test_image_of_another_shape_than_its_annotations(tmp_path, name):
    tree = raw_tree(name)
    raw = tree.write(tmp_path / "raw")
    write_image(raw / tree.images[0], side=SIDE // 2)
    shape = f"{tree.side} x {tree.side}"
    reason = f"{SIDE // 2} x {SIDE // 2} pixels, but the annotations are made for {shape}; take the published image"
    prepare_without(name, raw, {tree.images[0]: reason})


def test_mask_of_another_shape_or_none_at_all(tmp_path):
    tree = raw_tree("covid_chestxray")
    raw = tree.write(tmp_path / "raw")
    masks = raw / "annotations" / "lungVAE-masks"
    cv2.imwrite(str(masks / "0_mask.png"), np.zeros((5, 7), np.uint8))
    (masks / "1_mask.png").write_bytes(b"")
    reasons = {"images/0.png": "a mask of 7 x 5 pixels for an image of 64 x 64", "images/1.png": "file is empty"}
    prepare_without("covid_chestxray", raw, reasons)
    prepare_without("covid_chestxray", raw, reasons, annotations_only=True)


def test_two_files_of_one_image(tmp_path):
    tree = raw_tree("siim_pneumothorax")
    raw = tree.write(tmp_path / "raw")
    shutil.copy(raw / tree.images[0], raw)
    refuse("siim_pneumothorax", raw, r"raw: .*1\.2\.0\.dcm and .*1\.2\.0\.dcm are one image; remove one of them")


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00\x08\x00{      \n", bytes(200)])
def test_store_of_an_interrupted_run_that_did_not_reach_the_disk(tmp_path, content):
    raw, partial = raw_tree("covidx").write(tmp_path / "raw"), tmp_path / "out" / ".partial"
    partial.mkdir(parents=True)
    (partial / "images.npy").write_bytes(content)
    (partial / "progress.jsonl").write_text('[16, 9, ""]\n')
    prepare_without("covidx", raw, {})


LINKED = [
    ("image_report_csv", "pairs.csv"),
    ("image_report_csv", "scans/0.png"),
    ("image_report_csv", "scans"),
    ("chexpert", "train"),
    ("chexpert_plus", "PNG"),
    ("padchest", "0"),
    ("nih_chestxray14", "images_001"),
    ("nih_chestxray14", "BBox_List_2017.csv"),
    ("rsna_pneumonia", "stage_2_train_labels.csv"),
    ("siim_pneumothorax", "dicom-images-train"),
    ("siim_pneumothorax", "dicom-images-train/study0/series0/1.2.0.dcm"),
    ("iu_xray", "ecgen-radiology"),
    ("iu_xray", "ecgen-radiology/3.xml"),
    ("covid_chestxray", LUNG_BOXES),
    ("covid_chestxray", "annotations/lungVAE-masks/0_mask.png"),
    ("mimic_cxr", "files/p10/p10000000/s50000000.txt"),
    ("vindr_cxr", "annotations"),
    ("vindr_cxr", "train/t1.dicom"),
    ("shenzhen", "CXR_png"),
    ("shenzhen", "mask/CHNCXR_0001_0_mask.png"),
    ("montgomery", "ManualMask/rightMask"),
    ("montgomery", "ClinicalReadings/MCUCXR_0003_0.txt"),
]


@pytest.mark.parametrize(("name", "linked"), LINKED)
def test_link_out_of_the_raw_folder(tmp_path, name, linked):
    raw = raw_tree(name).write(tmp_path / "raw")
    options = dict(image_size=16, vocab_size=200)
    prepare(name, raw, tmp_path / "plain", Options(**options))
    (raw / linked).rename(tmp_path / "elsewhere")
    (raw / linked).symlink_to(tmp_path / "elsewhere")
    refuse(name, raw, "a link leads out of .*: --follow-links")
    prepare(name, raw, tmp_path / "followed", Options(follow_links=True, **options))
    inside = raw / "inside"
    (tmp_path / "elsewhere").rename(inside)
    (raw / linked).unlink()
    (raw / linked).symlink_to(inside)
    if not linked.endswith(".dcm"):  # The link and what it leads to are two files of one image.
        prepare(name, raw, tmp_path / "inside", Options(**options))
    manifests = {
        out.name: json.loads((out / "manifest.json").read_text())["files"]
        for out in (tmp_path / "plain", tmp_path / "followed", tmp_path / "inside")
        if out.exists()
    }
    assert all(files == manifests["plain"] for files in manifests.values())


def test_links_in_a_circle(tmp_path):
    raw = raw_tree("siim_pneumothorax").write(tmp_path / "raw")
    (raw / "dicom-images-train" / "back").symlink_to(raw)
    (raw / "dicom-images-train" / "self").symlink_to("self")
    prepare_without("siim_pneumothorax", raw, {})
