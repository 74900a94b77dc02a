"""The layouts in which the data sets are found today: other folders, other names, one folder too high or too low."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from mgca_mm.preparation import Options, check, prepare
from tests.test_preparation.raw_trees import REPORT, RawTree, raw_tree, refuse, write_image

FIRST = "CheXpert-v1.0 batch 1 (validate & csv)"
SECOND, THIRD = "CheXpert-v1.0 batch 2 (train 1)", "CheXpert-v1.0 batch 3 (train 2)"


def prepared(name, raw, out, **options):
    """The files of a prepared folder by name, and its manifest."""
    assert prepare(name, raw, out, Options(**dict(image_size=16, vocab_size=200) | options))
    assert check(name, out) == []
    manifest = json.loads((out / "manifest.json").read_text())
    return manifest["files"], manifest


def unpack_as_batches(raw: Path) -> None:
    """Move the images of a CheXpert tree to where the four archives of the full download put them."""
    for number, folder in enumerate(sorted((raw / "train").iterdir())):
        (raw / (SECOND, THIRD)[number % 2]).mkdir(exist_ok=True)
        folder.rename(raw / (SECOND, THIRD)[number % 2] / folder.name)
    (raw / "train").rmdir()
    (raw / FIRST).mkdir()
    (raw / "valid").rename(raw / FIRST / "valid")


@pytest.fixture
def batches(tmp_path) -> Path:
    """A CheXpert tree of batches with the tables at the top."""
    tree = raw_tree("chexpert")
    for rows in tree.tables.values():
        for cells in rows[1:]:
            cells[0] = cells[0].replace("-small", "")
    raw = tree.write(tmp_path / "raw")
    # Labels of other labelers, which the download has at its top.
    for name in ("train_cheXbert.csv", "train_visualCheXbert.csv"):
        (raw / name).write_text("Path,Edema\nCheXpert-v1.0/train/patient00001/study1/view1_frontal.jpg,9\n")
    prepared("chexpert", raw, tmp_path / "one tree")
    unpack_as_batches(raw)
    return raw


def test_batches_of_chexpert_give_what_one_tree_gives(batches, tmp_path):
    expected, _ = prepared("chexpert", shutil.copytree(batches, tmp_path / "copy"), tmp_path / "top")
    assert json.loads((tmp_path / "one tree" / "manifest.json").read_text())["files"] == expected
    for name in ("train.csv", "valid.csv"):
        (batches / name).rename(batches / FIRST / name)
    assert prepared("chexpert", batches, tmp_path / "first")[0] == expected
    for name in (FIRST, SECOND, THIRD):  # as "extract to a folder of its name" does
        (batches / name).rename(batches / "x")
        (batches / name).mkdir()
        (batches / "x").rename(batches / name / name)
    assert prepared("chexpert", batches, tmp_path / "twice")[0] == expected
    for name in (SECOND, THIRD):
        (batches / "train").mkdir(exist_ok=True)
        (batches / name / name).rename(batches / "train" / name.replace(" ", "_").replace("CheXpert", "chexpert"))
        (batches / name).rmdir()
    assert prepared("chexpert", batches, tmp_path / "below train")[0] == expected


def test_batches_of_chexpert_without_images(batches, tmp_path):
    _, manifest = prepared("chexpert", batches, tmp_path / "out", annotations_only=True)
    assert manifest["total"]["images"] == 12


def test_one_batch_of_chexpert_is_not_the_folder(batches, tmp_path):
    for name in ("train.csv", "valid.csv"):
        (batches / name).rename(batches / FIRST / name)
    refuse("chexpert", batches / FIRST, f"the training images are not here\nFound it in {batches}: take --raw")
    shutil.rmtree(batches / SECOND)
    shutil.rmtree(batches / THIRD)
    refuse("chexpert", batches, r"the training images are not here\nExpected: train\.csv and valid\.csv beside train/")


def test_a_missing_batch_is_named(batches, tmp_path):
    for folder in (batches / THIRD).iterdir():
        folder.rename(batches / SECOND / folder.name)
    (batches / THIRD).rmdir()  # Where all images are there, no folder is missing.
    prepared("chexpert", batches, tmp_path / "out")
    shutil.rmtree(batches / SECOND / "patient00001")
    message = (
        r"1 of 12 images are missing; there is no folder 'CheXpert-v1\.0 batch 3 \(train 2\)', '.* batch 4 \(train"
    )
    refuse("chexpert", batches, message)
    assert prepared("chexpert", batches, tmp_path / "rest", max_rejected=0.5)[1]["total"]["images"] == 11


PROJECTIONS, REPORTS = "indiana_projections.csv", "indiana_reports.csv"


def mirrored(tree: RawTree) -> RawTree:
    """The tree of Open-i with the mirror's names of images."""
    tree.images = [
        f"images/images_normalized/{name.removeprefix('NLMCXR_png/CXR').removesuffix('.png')}.dcm.png"
        for name in tree.images
    ]
    return tree


def test_mirror_names_of_open_i(tmp_path):
    expected, _ = prepared("iu_xray", raw_tree("iu_xray").write(tmp_path / "raw"), tmp_path / "out")
    raw = mirrored(raw_tree("iu_xray")).write(tmp_path / "mirror")
    assert prepared("iu_xray", raw, tmp_path / "normalized")[0] == expected
    for number, folder in enumerate(("images_normalized", "images", "NLMCXR_png", ".")):
        moved = tmp_path / f"mirror {number}"
        (moved / folder).mkdir(parents=True)
        for name in (PROJECTIONS, "ecgen-radiology"):
            (raw / name).rename(moved / name)
        for path in raw.rglob("*.png"):
            path.rename(moved / folder / path.name)
        raw = moved
        assert prepared("iu_xray", raw, tmp_path / f"out {number}")[0] == expected
    (raw / PROJECTIONS).unlink()  # The names are found without it.
    assert prepared("iu_xray", raw, tmp_path / "no views")[1]["total"]["images"] == 6


@pytest.mark.parametrize(
    ("folder", "change"),
    [
        ("images/images_normalized/images_normalized", lambda name: name),
        ("NLMCXR_png/NLMCXR_png", lambda name: name),
        ("more/and more", lambda name: name.replace(".png", ".JPG")),
        ("images", lambda name: name.replace(".dcm.png", ".jpeg")),
        ("NLMCXR_dcm/1", lambda name: name.removesuffix(".png")),
    ],
)
def test_images_of_open_i_anywhere_below(tmp_path, folder, change):
    tree = mirrored(raw_tree("iu_xray"))
    tree.images = [f"{folder}/{change(Path(name).name)}" for name in tree.images]
    manifest = prepared("iu_xray", tree.write(tmp_path / "raw"), tmp_path / "out")[1]
    assert manifest["total"]["images"] == 6 and manifest["rejected"]["broken"] == 0


def test_an_image_of_open_i_twice_is_of_its_first_folder(tmp_path):
    tree = raw_tree("iu_xray")
    expected = prepared("iu_xray", tree.write(tmp_path / "raw"), tmp_path / "out")[0]
    for name in tree.images:
        write_image(tmp_path / "raw" / "more" / Path(name).name, number=99)
    assert prepared("iu_xray", tmp_path / "raw", tmp_path / "twice")[0] == expected


def test_hidden_files_of_macos_beside_those_of_open_i(tmp_path):
    tree = raw_tree("iu_xray")
    expected = prepared("iu_xray", tree.write(tmp_path / "raw"), tmp_path / "out")[0]
    for path in [*(tmp_path / "raw").rglob("*.png"), *(tmp_path / "raw").rglob("*.xml")]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    assert prepared("iu_xray", tmp_path / "raw", tmp_path / "hidden")[0] == expected
    with tarfile.open(tmp_path / "raw" / "NLMCXR_reports.tgz", "w:gz") as archive:
        archive.add(tmp_path / "raw" / "ecgen-radiology", "./ecgen-radiology")
    shutil.rmtree(tmp_path / "raw" / "ecgen-radiology")
    assert prepared("iu_xray", tmp_path / "raw", tmp_path / "archive")[0].keys() == expected.keys()
    assert json.loads((tmp_path / "archive" / "manifest.json").read_text())["rejected"]["broken"] == 0


def test_no_image_of_open_i(tmp_path):
    raw = raw_tree("iu_xray").write(tmp_path / "raw", images=False)
    (raw / "NLMCXR_png.tgz").touch()
    refuse("iu_xray", raw, r"raw: no image of a report\n.*The folder has NLMCXR_png\.tgz, ecgen-radiology, ind")


def mirror_alone() -> RawTree:
    """The mirror: two tables, and images, one of them lateral."""
    tree = mirrored(raw_tree("iu_xray"))
    tree.files.clear()
    header = ["uid", "MeSH", "Problems", "image", "indication", "comparison", "findings", "impression"]
    rest = ["normal", "normal", "Xray Chest PA and Lateral", "Cough.", "None."]
    tree.tables[REPORTS] = [header] + [[str(n), *rest, REPORT, "XXXX, no change."] for n in range(1, 7)]
    tree.tables[PROJECTIONS].append(["6", "6_IM-0006-2001.dcm.png", "Lateral"])
    tree.images.append("images/images_normalized/6_IM-0006-2001.dcm.png")
    return tree


def test_the_mirror_alone(tmp_path):
    _, manifest = prepared("iu_xray", mirror_alone().write(tmp_path / "raw"), tmp_path / "out")
    assert list(manifest["sources"]) == [REPORTS, PROJECTIONS]
    kept = {row["stage"]: row["kept"] for row in manifest["filters"]}
    assert (kept["reports"], kept["images"], kept["view frontal or not marked"]) == (6, 7, 6)
    entries = [
        entry
        for split in ("train", "val", "test")
        for entry in json.loads((tmp_path / "out" / f"{split}.json").read_text())["data_list"]
    ]
    assert all(entry["report"] == ["no change", "the lungs are clear secretword", "no effusion"] for entry in entries)
    assert {(entry["study_id"], entry["image_id"]) for entry in entries} == {
        (f"CXR{n}", f"{n}_IM-{n:04}-1001") for n in range(1, 7)
    }
    # The reports of Open-i come first, and divide the same way.
    expected = raw_tree("iu_xray").write(tmp_path / "xml", images=False)
    prepared("iu_xray", expected, tmp_path / "xml out", annotations_only=True)
    for split in ("train", "val", "test"):
        both = [
            {e["study_id"] for e in json.loads((tmp_path / out / f"{split}.json").read_text())["data_list"]}
            for out in ("out", "xml out")
        ]
        assert both[0] == both[1]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda tree: tree.tables.pop(PROJECTIONS), rf"{PROJECTIONS}\[\.gz\]: no such file\n.*https://"),
        (lambda tree: tree.tables[REPORTS].append(tree.tables[REPORTS][2]), "line 8 has the number of another report"),
        (lambda tree: tree.tables[REPORTS][0].__setitem__(6, "text"), "line 1: no column 'findings' in the header; it"),
        (lambda tree: tree.tables[REPORTS][2].__setitem__(0, "two"), "line 3: column 'uid' is not a whole number"),
        (lambda tree: tree.tables[REPORTS][2].__setitem__(6, "\x1b"), "1 of .*line 3: the report is not a text"),
        (lambda tree: tree.tables[PROJECTIONS][2].__setitem__(0, ""), "line 3: column 'uid' is empty"),
        (lambda tree: tree.images.pop(), r"1 of 7 images are missing.*6_IM-0006-2001"),
    ],
)
def test_a_spoilt_mirror(tmp_path, spoil, message):
    tree = mirror_alone()
    tree.tables[PROJECTIONS][-1][2] = "Frontal"
    spoil(tree)
    refuse("iu_xray", tree.write(tmp_path / "raw"), message)


METADATA = "mimic-cxr-2.0.0-metadata.csv"
CHEXPERT = "mimic-cxr-2.0.0-chexpert.csv"
TEST_LABELS = "mimic-cxr-2.1.0-test-set-labeled.csv"


def labels_of(out):
    """Classes, and labels by image."""
    parts = [json.loads((out / f"{split}.json").read_text()) for split in ("train", "val", "test")]
    return parts[0]["metainfo"].get("classes"), {e["image_id"]: e.get("labels") for p in parts for e in p["data_list"]}


def mimic_with_test_labels() -> RawTree:
    """Six studies, the fifth of the test, which a radiologist labeled, too."""
    tree = raw_tree("mimic_cxr")
    tree.tables["mimic-cxr-2.0.0-split.csv"][5][3] = "test"
    tree.tables[CHEXPERT] = [["subject_id", "study_id", "Edema", "Lung Opacity", "Fracture"]] + [
        [f"1000000{n}", f"5000000{n}", "1.0", "", "0.0"] for n in range(6)
    ]
    tree.tables[TEST_LABELS] = [
        ["study_id", "No Finding", "Airspace Opacity", "Edema"],
        ["50000004", "", "1.0", "-1.0"],
    ]
    return tree


def test_labels_of_a_radiologist(tmp_path):
    tree = mimic_with_test_labels()
    _, manifest = prepared("mimic_cxr", tree.write(tmp_path / "raw"), tmp_path / "out")
    assert TEST_LABELS in manifest["sources"]
    assert manifest["notes"] == [f"labels of 1 studies of the test are a radiologist's ({TEST_LABELS})"]
    classes, labels = labels_of(tmp_path / "out")
    assert classes == ["Edema", "Lung Opacity", "Fracture"]
    assert labels == {f"d{n}": [-1, 1, None] if n == 4 else [1, None, 0] for n in range(6)}
    tree.tables[TEST_LABELS].append(["50000001", "1.0", "1.0", "1.0"])  # of the training
    manifest = prepared("mimic_cxr", tree.write(tmp_path / "train"), tmp_path / "train out")[1]
    assert labels_of(tmp_path / "train out") == (classes, labels) and "labels of 1 studies" in manifest["notes"][0]
    prepared("mimic_cxr", tmp_path / "train", tmp_path / "released", protocol="released")
    assert labels_of(tmp_path / "released") == (classes, labels)
    del tree.tables[CHEXPERT]
    prepared("mimic_cxr", tree.write(tmp_path / "alone"), tmp_path / "alone out")
    classes, labels = labels_of(tmp_path / "alone out")
    assert classes == ["No Finding", "Lung Opacity", "Edema"]
    assert labels == {f"d{n}": [None, 1, -1] if n == 4 else [None] * 3 for n in range(6)}


def test_what_is_there_instead_of_the_reports(tmp_path):
    tree = raw_tree("mimic_cxr")
    tree.files = {"mimic-cxr-reports.tar": b""}
    message = (
        r"none of 6 studies has a report\nExpected mimic-cxr-reports\.zip, or .*The folder has files, mimic.*ts\.tar"
    )
    refuse("mimic_cxr", tree.write(tmp_path / "raw"), message)


def test_names_of_the_next_version(tmp_path):
    tree = raw_tree("mimic_cxr")
    expected, _ = prepared("mimic_cxr", tree.write(tmp_path / "raw"), tmp_path / "out")
    tree.tables = {name.replace("2.0.0", "2.1.0"): rows for name, rows in tree.tables.items()}
    raw = tree.write(tmp_path / "next")
    files, manifest = prepared("mimic_cxr", raw, tmp_path / "next out")
    assert files == expected and manifest["notes"] == []
    shutil.copy(raw / METADATA.replace("2.0.0", "2.1.0"), raw / METADATA)
    assert prepared("mimic_cxr", raw, tmp_path / "both")[1]["notes"] == [
        f"{METADATA} is read; {METADATA.replace('2.0.0', '2.1.0')} is not"
    ]


@pytest.mark.parametrize("spoil", ["value", "name", "twice"])
def test_spoilt_labels_of_a_radiologist(tmp_path, spoil):
    tree = mimic_with_test_labels()
    rows = tree.tables[TEST_LABELS]
    if spoil == "value":
        rows[1][2], message = "2", "line 2: column 'Airspace Opacity' is none of blank"
    elif spoil == "name":
        rows[0][0], message = "study", "line 1: no column 'study_id' in the header; it has study, 3 more"
    else:
        rows.append(rows[1])
        message = "line 3: this study_id stands twice"
    refuse("mimic_cxr", tree.write(tmp_path / "raw", images=False), f"{TEST_LABELS}, {message}", annotations_only=True)


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("mimic_cxr", METADATA),
        ("chexpert", "train.csv"),
        ("rsna_pneumonia", "stage_2_train_labels.csv"),
        ("covidx", "test_COVIDx9A.txt"),
        ("object_cxr", "dev.csv"),
        ("siim_pneumothorax", "train-rle.csv"),
        ("covid_chestxray", "metadata.csv"),
        ("iu_xray", "ecgen-radiology"),
        ("image_report_csv", "pairs.csv"),
    ],
)
def test_what_is_there_and_where_it_is(tmp_path, name, table):
    raw = raw_tree(name).write(tmp_path / "above" / "data set", images=False)
    names = sorted(path.name for path in raw.iterdir())
    refuse(name, tmp_path / "above", f"\nFound it in {raw}: take --raw '{raw}'\nThe folder has data set$")
    below = raw / "images" / "more"
    below.mkdir(parents=True)
    if name != "image_report_csv":  # Any csv file may be one.
        refuse(name, below.parent, f"\nFound it in {raw}: take --raw '{raw}'\nThe folder has more$")
    (raw / table).rename(raw / "x")
    (raw / f"{table}.zip").write_bytes(b"PK")
    for number in range(9):
        (raw / f"z{number}").write_bytes(b"")
    (raw / "a\nb").write_bytes(b"")
    others = sorted([*{*names, "images"} - {table}, "x", f"{table}.zip", *(f"z{number}" for number in range(9))])
    more = len(others) + 1 - 6
    message = f"The folder has {', '.join(others[:6])} and {more} more" + f"; unpack {table}.zip" * (name != "iu_xray")
    refuse(name, raw, message if name != "image_report_csv" else message.partition(";")[0])
