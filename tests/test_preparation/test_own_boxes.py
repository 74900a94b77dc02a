"""A user's own boxes: the layouts of COCO's files, what is in them, odd and bad ones."""

import json
import unicodedata

import pytest

from mgca_mm.preparation import Options, check, prepare
from tests.test_preparation.raw_trees import SIDE, coco_content, raw_tree, refuse, write_image


def write(raw, files, images):
    """Write json files by name and images by path."""
    for name, content in files.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(json.dumps(content))
    for number, name in enumerate(images):
        write_image(raw / name, SIDE, number)
    return raw


def prepared(raw, **options):
    """Manifest, image-level entries and boxes by split."""
    out = raw.with_name("out")
    prepare("coco", raw, out, Options(image_size=SIDE, **options))
    assert check("coco", out) == []
    splits = ("train", "val", "test")
    load = lambda name: json.loads((out / name).read_text())  # noqa: E731
    return load("manifest.json"), *({s: load(f"{folder}{s}.json") for s in splits} for folder in ("", "detection/"))


def test_one_file_is_divided(tmp_path):
    """Categories by any numbers; an image without boxes is a negative; images stay as they are at their size."""
    manifest, entries, boxes = prepared(raw_tree("coco").write(tmp_path / "raw"))
    assert [len(entries[split]["data_list"]) for split in entries] == [4, 1, 1]
    assert entries["train"]["metainfo"]["classes"] == ["nodule", "knot, large"]
    labels = {e["image_id"]: e["labels"] for part in entries.values() for e in part["data_list"]}
    assert labels == {f"images/{n}": [1, 1] for n in ("0.png", "1.jpg", "2.dcm", "3.png", "4.jpg")} | {
        "images/5.dcm": [0, 0]
    }
    found = {
        (image["image_id"], box["category_id"], tuple(box["bbox"]))
        for part in boxes.values()
        for image in part["images"]
        for box in part["annotations"]
        if box["image_id"] == image["id"]
    }
    names = ("0.png", "1.jpg", "2.dcm", "3.png", "4.jpg")
    assert found == {
        (f"images/{name}", k + 1, (10.5 + n, 5 + 20 * k, 20, 15)) for n, name in enumerate(names) for k in range(2)
    }
    assert manifest["total"]["boxes"] == 10 and manifest["total"]["images with boxes"] == 5


@pytest.mark.parametrize("key", ["patient", "patient_id"])
def test_patients_stay_together(tmp_path, key):
    tree = raw_tree("coco")
    content = json.loads(tree.files["boxes.json"])
    for number, image in enumerate(content["images"]):
        image[key] = number // 2
    tree.files["boxes.json"] = json.dumps(content).encode()
    _, entries, _ = prepared(tree.write(tmp_path / "raw"))
    patients = [sorted({e["patient_id"] for e in part["data_list"]}) for part in entries.values()]
    assert sorted(patients) == [["0"], ["1"], ["2"]]
    assert all(len(part["data_list"]) == 2 for part in entries.values())


LAYOUTS = {
    "beside": ("train.json", "val.json", "test.json", ""),
    "images": ("train.json", "valid.json", "test.json", "images/"),
    "annotations": ("annotations/train.json", "annotations/val.json", "annotations/test.json", "images/"),
    "coco": (*(f"annotations/instances_{s}2017.json" for s in ("train", "val", "test")), "{}2017/"),
    "export": ("train/_annotations.coco.json", "valid/_annotations.coco.json", "test/_annotations.coco.json", "{}/"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_file_a_split(tmp_path, layout):
    *files, folder = LAYOUTS[layout]
    names = [[f"sub/{n}.png" for n in numbers] for numbers in (range(4), range(4, 6), range(6, 8))]
    contents = {file: coco_content(own, first) for file, own, first in zip(files, names, (0, 4, 6), strict=True)}
    if layout == "coco":
        contents["annotations/captions_train2017.json"] = {"images": []}
    folders = [folder.format(split) for split in ("train", "valid" if layout == "export" else "val", "test")]
    images = [f"{place}{name}" for place, own in zip(folders, names, strict=True) for name in own]
    manifest, entries, boxes = prepared(write(tmp_path / "raw", contents, images))
    assert [len(part["data_list"]) for part in entries.values()] == [4, 2, 2]
    assert [len(part["annotations"]) for part in boxes.values()] == [6, 2, 2]
    assert manifest["notes"] == ["patients are not given: one with several images may be in several splits"]


def change(content, part, number, **values):
    content[part][number].update(values)
    return content


def test_odd_content(tmp_path):
    """Numbers as texts, Windows' slashes, crowds, outlines, a category without boxes, no sizes, no ids of boxes."""
    names = [f"a/{n}.png" for n in range(6)]
    content = coco_content([name.replace("/", "\\") for name in names])
    content["categories"].append({"id": 0, "name": " Lungenödem "})
    change(content, "annotations", 0, bbox=["10.5", "5", "20", "15.0"], segmentation=[[1, 2, 3, 4, 5, 6]])
    change(content, "annotations", 1, iscrowd=1)
    for image in content["images"]:
        del image["height"], image["width"]
    for box in content["annotations"]:
        del box["id"]
    manifest, entries, _ = prepared(write(tmp_path / "raw", {"a.json": content}, names))
    assert entries["train"]["metainfo"]["classes"] == ["nodule", "knot, large", "Lungenödem"]
    assert manifest["total"]["boxes"] == 9
    assert "1 outlines (segmentation) are not read: boxes alone" in manifest["notes"]
    assert "1 boxes around a crowd (iscrowd) are left out" in manifest["notes"]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda c: c.pop("categories"), "has no list 'categories' of dictionaries"),
        (lambda c: c["categories"].clear(), "the list 'categories' is empty"),
        (lambda c: change(c, "categories", 1, name=""), "category 1: it has no name"),
        (lambda c: c["categories"][1].pop("name"), "category 1: it has no name"),
        (lambda c: change(c, "categories", 1, name="nodule"), "category 1: its id or its name stands twice"),
        (lambda c: change(c, "categories", 1, id=7), "category 1: its id or its name stands twice"),
        (lambda c: change(c, "images", 2, id=1), "image 2: its id or its file_name stands twice"),
        (lambda c: change(c, "images", 2, file_name="./1.png"), "image 2: its id or its file_name stands twice"),
        (lambda c: change(c, "images", 2, file_name="/etc/passwd"), "image 2: 'file_name' is not a path inside"),
        (lambda c: change(c, "images", 2, file_name=None), "image 2: 'file_name' is not a path inside"),
        (lambda c: change(c, "images", 2, height="tall"), "image 2: 'height' and 'width' are not whole numbers"),
        (lambda c: change(c, "images", 2, patient="p"), "image 0: 'patient' is given of other images, but not"),
        (lambda c: change(c, "annotations", 3, image_id=99), "annotation 3: the file has no such image_id"),
        (lambda c: change(c, "annotations", 3, category_id=1), "annotation 3: the file has no such category_id"),
        (lambda c: change(c, "annotations", 3, id=2), "annotation 3: this id stands twice"),
        (lambda c: change(c, "annotations", 3, bbox=[1, 2, "x", 4]), "annotation 3: 'bbox' is not the four numbers"),
        (lambda c: change(c, "annotations", 3, bbox=[1, 2, float("nan"), 4]), "annotation 3: 'bbox' is not the four"),
        (lambda c: c["annotations"][3].pop("bbox"), "annotation 3: 'bbox' is not the four numbers"),
        (lambda c: change(c, "annotations", 3, bbox=[1, 2, 0, 4]), "1 of 6 .*annotation 3: a box without area"),
        (lambda c: change(c, "annotations", 3, bbox=[50, 2, 30, 4]), "1 of 6 .*annotation 3: a box reaches out of the"),
        (
            lambda c: change(c, "images", 0, height=SIDE * 2),
            "1 of 6 .*64 x 64 pixels, but the annotations are made for",
        ),
    ],
)
def test_bad_content(tmp_path, spoil, message):
    names = [f"{n}.png" for n in range(6)]
    content = coco_content(names)
    spoil(content)
    refuse("coco", write(tmp_path / "raw", {"boxes.json": content}, names), message)


def test_no_box(tmp_path):
    """None at all is refused; none in the test alone, which has healthy images only, is not."""
    names = [f"{n}.png" for n in range(6)]
    empty = coco_content(names) | {"annotations": []}
    message = r"json: no box on any image of the training split\nIs it a file of boxes"
    refuse("coco", write(tmp_path / "one" / "raw", {"boxes.json": empty}, names), message)
    parts = {"train.json": coco_content(names[:3]), "val.json": coco_content(names[3:5])}
    parts["test.json"] = coco_content(names[5:]) | {"annotations": []}
    _, _, boxes = prepared(write(tmp_path / "test" / "raw", parts, names))
    assert [len(part["annotations"]) > 0 for part in boxes.values()] == [True, True, False]
    parts["train.json"]["annotations"] = []
    refuse("coco", write(tmp_path / "train" / "raw", parts, names), message)


@pytest.mark.parametrize(
    "content",
    [
        {"images": [], "labels": {"a.png": 1}},
        [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
        {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "caption": "A chest."}]},
    ],
    ids=["another", "detections", "captions"],
)
def test_a_json_of_another_kind(tmp_path, content):
    refuse("coco", write(tmp_path / "raw", {"a.json": content}, []), "a.json: not in COCO's format: it has no list")


@pytest.mark.parametrize("name", ["macro", "loss"])
def test_categories_called_as_scores_are(tmp_path, name):
    content = change(coco_content(["0.png", "1.png"]), "categories", 1, name=name)
    message = f"boxes.json: a class is called '{name}', as a score of all classes is\nGive it another name"
    refuse("coco", write(tmp_path / "raw", {"boxes.json": content}, []), message)


def test_accents_in_names_of_files(tmp_path):
    names = [f"é{n}.png" for n in range(6)]
    contents = {"boxes.json": coco_content([unicodedata.normalize("NFC", name) for name in names])}
    raw = write(tmp_path / "raw", contents, [f"images/{unicodedata.normalize('NFD', name)}" for name in names])
    (raw / "._boxes.json").write_bytes(b"\0\5\x16\7")  # what macOS puts into archives
    assert prepared(raw)[0]["total"]["images"] == 6


def test_bad_folders(tmp_path):
    names = [f"{n}.png" for n in range(4)]
    raw, content = tmp_path / "raw", coco_content(names)
    raw.mkdir()
    refuse("coco", raw, "no json file in the folder, .*\nExpected one json file in COCO's format, or one a split")
    write(raw, {"test.json": content}, names)
    refuse("coco", raw, "all images are in the split test, none is for training")
    write(raw, {"other.json": content}, [])
    refuse("coco", raw, "other.json, test.json in the folder, which are not one file a split")
    (raw / "other.json").rename(raw / "train.json")
    refuse("coco", raw, "test.json: an image stands in train.json as well; remove it from one")
    write(raw, {"test.json": change(coco_content(["a.png", "b.png"]), "categories", 0, name="mass")}, [])
    refuse("coco", raw, "test.json: other categories than in train.json")
    (raw / "test.json").unlink()
    for name in names:
        (raw / name).unlink()
    refuse("coco", raw, "4 of 4 images are missing.*images/0.png: no such image file")
