"""From the raw files of each layout, written by the phantom, to the first training batch of the library in use."""

import gzip
import json

import cv2
import numpy as np
import pytest
import torch
from mmdet.datasets import CocoDataset
from mmdet.utils import register_all_modules as register_mmdet
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from mmseg.utils import register_all_modules as register_mmseg

from mgca_mm.datasets.classification import ChestXrayDataset
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.phantom import CHEXPERT_LABELS
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions
from mgca_mm.preparation import Options, check, prepare
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from tests.test_preparation.test_siim_masks import slow_decode

SIZE = 128


@pytest.fixture(scope="module")
def layout(tmp_path_factory):
    """Raw and prepared folder of a layout, each made once; patients enough for every split and finding."""
    root = tmp_path_factory.mktemp("layouts")

    def make(name):
        raw, out = root / "raw" / name, root / "data" / name
        if not out.exists():
            LAYOUTS[name](raw, PhantomOptions(14, seed=16, size=96), progress=False)
            assert prepare(name, raw, out, Options(image_size=SIZE, vocab_size=500))
        return raw, out

    return make


def load(path):
    return json.loads(path.read_text())


def truth(raw, key):
    with gzip.open(raw / "phantom-truth.jsonl.gz", "rt") as file:
        return {row[key]: row for row in map(json.loads, file)}


def entries(out):
    return [entry for split in ("train", "val", "test") for entry in load(out / f"{split}.json")["data_list"]]


def first_batch(dataset, collate="default_collate"):
    """The first batch a training loop would get."""
    loader = Runner.build_dataloader(
        dict(
            batch_size=3,
            num_workers=0,
            dataset=dataset,
            sampler=dict(type="DefaultSampler", shuffle=True),
            collate_fn=dict(type=collate),
        ),
        seed=0,
    )
    return next(iter(loader))


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_sound_and_private(layout, name):
    _, out = layout(name)
    assert check(name, out) == []
    assert (out / "train.json").stat().st_mode & 0o077 == 0
    manifest = load(out / "manifest.json")
    assert sum(counts["images"] for counts in manifest["splits"].values()) == len(entries(out))
    assert all(counts["images"] for counts in manifest["splits"].values()) or name == "covid_chestxray"
    assert manifest["patients_in_several_splits"] == {"splits": 0, "dense_splits": 0}
    assert prepare(name, layout(name)[0], out, Options(image_size=SIZE, vocab_size=500)) is False


@pytest.mark.parametrize("name", ["mimic_cxr", "iu_xray", "covid_chestxray", "chexpert_plus", "padchest"])
def test_image_report_batch(layout, name):
    _, out = layout(name)
    dataset = ImageReportDataset(
        data_root=out,
        ann_file="train.json",
        pipeline=[
            dict(type="LoadRadiograph"),
            dict(type="mmpretrain.RandomCrop", crop_size=112),
            dict(type="TokenizeReport", max_length=40),
            dict(type="PackImageReportInputs"),
        ],
    )
    inputs = first_batch(dataset)["inputs"]
    assert inputs["image"].shape == (3, 1, 112, 112) and inputs["image"].dtype == torch.uint8
    assert inputs["image"].float().std() > 10
    assert (inputs["attention_mask"].sum(1) > 4).all()


def test_iu_xray_without_laterals(layout):
    raw, out = layout("iu_xray")
    rows = truth(raw, "image_id")
    assert {rows[entry["image_id"]]["view"] for entry in entries(out)} <= {"PA", "AP"}
    assert "LATERAL" in {row["view"] for row in rows.values()}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("chexpert", dict(classes=["Edema", "Cardiomegaly"], uncertain={"Edema": 1, "Cardiomegaly": 0})),
        ("rsna_pneumonia", {}),
        ("covidx", dict(exclusive=True)),
        ("siim_pneumothorax", {}),
        ("object_cxr", {}),
        ("nih_chestxray14", {}),
        ("vindr_cxr", {}),
        ("shenzhen", {}),
        ("montgomery", {}),
    ],
)
def test_classification_batch(layout, name, options):
    _, out = layout(name)
    pipeline = [
        dict(type="LoadRadiograph", channels=3),
        dict(type="mmpretrain.RandomCrop", crop_size=112),
        dict(type="mmpretrain.PackInputs"),
    ]
    dataset = ChestXrayDataset(data_root=out, ann_file="train.json", pipeline=pipeline, **options)
    batch = first_batch(dataset, "pseudo_collate" if name != "covidx" else "default_collate")
    assert len(batch["inputs"]) == 3 and batch["inputs"][0].shape == (3, 112, 112)
    assert len(dataset) == len(load(out / "train.json")["data_list"])
    subset = ChestXrayDataset(data_root=out, ann_file="train.json", subset="subsets/train_10pct_seed42.txt", **options)
    assert 1 <= len(subset) < len(dataset)


def test_chexpert_labels_are_the_truth(layout):
    """What is positive in the table is drawn; the expert labels of the test are all exact."""
    raw, out = layout("chexpert")
    rows = {key.partition("/")[2]: row for key, row in truth(raw, "Path").items()}
    classes = load(out / "test.json")["metainfo"]["classes"]
    assert sorted(classes) == sorted(CHEXPERT_LABELS)
    column = classes.index("Cardiomegaly")
    for entry in load(out / "test.json")["data_list"]:
        kinds = {finding["kind"] for finding in rows[entry["image_id"]]["findings"]}
        assert entry["labels"][column] == int("cardiomegaly" in kinds)
    assert {-1, None, 1} <= {label for entry in load(out / "train.json")["data_list"] for label in entry["labels"]}


def raw_files(name, raw, out):
    """Raw image of each entry, found without the code under test."""
    by_stem = {path.stem: path for path in (*raw.rglob("*.dcm"), *raw.rglob("*.dicom"), *raw.glob("CXR_png/*"))}
    folders = {"iu_xray": "NLMCXR_png", "covid_chestxray": "images", "object_cxr": None}
    for entry in entries(out):
        image_id = entry["image_id"]
        if name == "mimic_cxr":
            path = next(raw.rglob(f"{image_id}.jpg"))
        elif name in ("rsna_pneumonia", "siim_pneumothorax", "vindr_cxr", "shenzhen", "montgomery"):
            path = by_stem[image_id]
        elif name in ("object_cxr", "padchest", "nih_chestxray14"):
            path = next(raw.rglob(image_id))
        elif name == "chexpert_plus":
            path = next(raw.glob(f"PNG/*/{image_id.removesuffix('.jpg')}.png"))
        elif name == "iu_xray":
            path = raw / folders[name] / f"{image_id}.png"
        else:
            path = raw / folders.get(name, "") / image_id
        yield entry, path


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_the_store_equals_processing_image_by_image(layout, name):
    raw, out = layout(name)
    store = np.load(out / "images.npy", mmap_mode="r")
    for entry, path in raw_files(name, raw, out):
        expected = resize_and_pad(read_radiograph(path), SIZE)
        assert expected.std() > 5
        np.testing.assert_array_equal(store[entry["image_index"]], expected)
        png = out / "images" / f"{entry['image_id']}.png"
        if png.exists():
            np.testing.assert_array_equal(cv2.imread(str(png), cv2.IMREAD_UNCHANGED), expected)


@pytest.fixture
def mmdet_scope():
    register_mmdet(init_default_scope=True)
    yield
    init_default_scope("mgca_mm")


@pytest.fixture
def mmseg_scope():
    register_mmseg(init_default_scope=True)
    yield
    init_default_scope("mgca_mm")


@pytest.mark.parametrize("name", ["rsna_pneumonia", "object_cxr", "covid_chestxray", "nih_chestxray14", "vindr_cxr"])
def test_detection_batch(layout, name, mmdet_scope):
    _, out = layout(name)
    classes = tuple(category["name"] for category in load(out / "detection" / "train.json")["categories"])
    dataset = CocoDataset(
        data_root=str(out),
        ann_file="detection/train.json",
        data_prefix=dict(img="images/"),
        metainfo=dict(classes=classes),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations", with_bbox=True),
            dict(type="Resize", scale=(224, 224)),
            dict(type="PackDetInputs"),
        ],
    )
    batch = first_batch(dataset, "pseudo_collate")
    assert all(image.shape == (3, 224, 224) for image in batch["inputs"])
    samples = [dataset[index]["data_samples"].gt_instances for index in range(len(dataset))]
    boxes = torch.cat([sample.bboxes.tensor for sample in samples])
    assert len(boxes) > 0 and boxes.min() >= 0 and boxes.max() <= 224
    labels = {int(label) for sample in samples for label in sample.labels}
    # The phantom draws few of VinDr-CXR's findings.
    assert labels == set(range(len(classes))) or (name == "vindr_cxr" and len(classes) == 22 and len(labels) > 2)


def dense_boxes(out):
    """Boxes of the COCO files by image, in pixels of the prepared image."""
    boxes = {}
    for split in ("train", "val", "test"):
        content = load(out / "detection" / f"{split}.json")
        names = {image["id"]: image["image_id"] for image in content["images"]}
        boxes |= {name: [] for name in names.values()}
        for annotation in content["annotations"]:
            boxes[names[annotation["image_id"]]].append(annotation["bbox"])
    return boxes


@pytest.mark.parametrize(
    ("name", "key", "kinds"),
    [
        ("rsna_pneumonia", "patientId", ("consolidation", "pneumonia")),
        ("object_cxr", "image_name", ("foreign_object",)),
    ],
)
def test_boxes_are_where_the_findings_are_drawn(layout, name, key, kinds):
    raw, out = layout(name)
    prepared = dense_boxes(out)
    num_boxes = 0
    for image_id, row in truth(raw, key).items():
        scale = SIZE / max(row["height"], row["width"])
        left = (SIZE - int(row["width"] * scale)) // 2
        top = (SIZE - int(row["height"] * scale)) // 2
        drawn = [finding["box"] for finding in row["findings"] if finding["kind"] in kinds and finding["box"]]
        expected = sorted([x * scale + left, y * scale + top, w * scale, h * scale] for x, y, w, h in drawn)
        assert len(expected) == len(prepared[image_id])
        if expected:
            # Outlines of objects are approximated to a pixel or two, and an image's side to one.
            np.testing.assert_allclose(sorted(prepared[image_id]), expected, atol=3 * max(scale, 1))
        num_boxes += len(expected)
    assert num_boxes >= 5


@pytest.mark.parametrize("name", ["rsna_pneumonia", "siim_pneumothorax", "covid_chestxray", "shenzhen", "montgomery"])
def test_segmentation_batch(layout, name, mmseg_scope):
    _, out = layout(name)
    dataset = BaseSegDataset(
        data_root=str(out),
        ann_file="segmentation/train.txt",
        data_prefix=dict(img_path="images", seg_map_path="masks"),
        img_suffix=".png",
        metainfo=dict(classes=(out / "segmentation" / "classes.txt").read_text().splitlines()),
        pipeline=[
            dict(type="LoadImageFromFile"),
            dict(type="LoadAnnotations"),
            dict(type="Resize", scale=(224, 224)),
            dict(type="PackSegInputs"),
        ],
    )
    batch = first_batch(dataset, "pseudo_collate")
    assert all(image.shape == (3, 224, 224) for image in batch["inputs"])
    masks = [dataset[index]["data_samples"].gt_sem_seg.data for index in range(len(dataset))]
    assert {int(value) for mask in masks for value in mask.unique()} == {0, 1}
    if name == "siim_pneumothorax":  # all positive images, and as many negative ones
        positive = sum(bool(mask.any()) for mask in masks)
        assert len(masks) == 2 * positive > 0


def test_rsna_masks_are_the_union_of_the_boxes(layout):
    _, out = layout("rsna_pneumonia")
    for image_id, boxes in dense_boxes(out).items():
        expected = np.zeros((SIZE, SIZE), np.uint8)
        for x, y, width, height in boxes:
            expected[round(y) : round(y + height), round(x) : round(x + width)] = 1
        mask = cv2.imread(str(out / "masks" / f"{image_id}.png"), cv2.IMREAD_UNCHANGED)
        # A row of pixels at an edge may be rounded otherwise.
        assert (mask != expected).sum() <= 2 * sum(width + height + 2 for _, _, width, height in boxes)
        assert bool(mask.any()) == bool(boxes)


def test_siim_masks_are_the_decoded_rows(layout):
    raw, out = layout("siim_pneumothorax")
    masks = {}
    for line in (raw / "train-rle.csv").read_text().splitlines()[1:]:
        image_id, runs = (cell.strip() for cell in line.split(","))
        mask = masks.setdefault(image_id, np.zeros((1024, 1024), bool))
        if runs != "-1":
            mask |= slow_decode(runs, 1024, 1024)
    assert sum(mask.any() for mask in masks.values()) > 2
    for image_id, mask in masks.items():
        if not (out / "masks" / f"{image_id}.png").exists():  # a negative that training leaves out
            assert not mask.any()
            continue
        covered = mask.reshape(SIZE, 1024 // SIZE, SIZE, 1024 // SIZE).mean((1, 3))
        prepared = cv2.imread(str(out / "masks" / f"{image_id}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(prepared, covered >= 0.5)


@pytest.mark.parametrize("name", sorted(LAYOUTS))
def test_annotations_alone_have_the_same_splits(layout, name, tmp_path):
    """Without the images: the same images in the same splits, with the same reports and labels."""
    raw, out = layout(name)
    prepare(name, raw, tmp_path, Options(annotations_only=True, vocab_size=500))
    assert check(name, tmp_path) == []
    assert not (tmp_path / "images.npy").exists() and not (tmp_path / "images").exists()
    for split in ("train", "val", "test"):
        with_images = [dict(e) for e in load(out / f"{split}.json")["data_list"]]
        alone = [dict(e) for e in load(tmp_path / f"{split}.json")["data_list"]]
        assert all(isinstance(e.pop("image_index"), int) for e in with_images)
        assert all((raw / e.pop("raw_path")).is_file() or name == "siim_pneumothorax" for e in alone)
        assert alone == with_images
        if (out / "segmentation").exists():
            list_name = f"segmentation/{split}.txt"
            assert (tmp_path / list_name).read_text() == (out / list_name).read_text()


def test_masks_without_images_are_cocos_rle(layout, tmp_path):
    from pycocotools import mask as coco_mask

    raw, _ = layout("siim_pneumothorax")
    prepare("siim_pneumothorax", raw, tmp_path, Options(annotations_only=True))
    masks = load(tmp_path / "segmentation" / "masks.json")
    rows = [line.split(",") for line in (raw / "train-rle.csv").read_text().splitlines()[1:]]
    assert set(masks) == {image_id.strip() for image_id, runs in rows if runs.strip() != "-1"}
    for image_id, mask in masks.items():
        runs = [cells[1] for cells in rows if cells[0].strip() == image_id]
        expected = np.any([slow_decode(run, 1024, 1024) for run in runs], axis=0)
        np.testing.assert_array_equal(coco_mask.decode(mask), expected)


@pytest.mark.parametrize("name", ["mimic_cxr", "chexpert", "covidx", "siim_pneumothorax", "object_cxr"])
def test_released_splits(layout, name, tmp_path):
    raw, _ = layout(name)
    prepare(name, raw, tmp_path, Options(annotations_only=True, protocol="released", vocab_size=500))
    assert check(name, tmp_path) == []
    manifest = load(tmp_path / "manifest.json")
    assert manifest["protocol"] == "released" and manifest["notes"]
    splits = manifest["splits"]
    if name == "mimic_cxr":
        assert splits["test"]["images"] == 0 and splits["val"]["images"] > splits["train"]["images"] / 10
    if name == "chexpert":
        assert manifest["patients_in_several_splits"]["splits"] > 0


def test_a_published_list_replaces_the_split(layout, tmp_path):
    raw, out = layout("rsna_pneumonia")
    ids = [entry["image_id"] for entry in entries(out)]
    wanted = dict(zip(ids[:9], ["train"] * 5 + ["val"] * 2 + ["test"] * 2, strict=True))
    listed = tmp_path / "list.csv"
    listed.write_text("id,split\n" + "".join(f"{name},{split}\n" for name, split in wanted.items()))
    prepare("rsna_pneumonia", raw, tmp_path / "out", Options(image_size=SIZE, split_list=listed))
    assert check("rsna_pneumonia", tmp_path / "out") == []
    for split in ("train", "val", "test"):
        expected = {name for name, value in wanted.items() if value == split}
        assert {e["image_id"] for e in load(tmp_path / "out" / f"{split}.json")["data_list"]} == expected
        images = load(tmp_path / "out" / "detection" / f"{split}.json")["images"]
        assert {image["image_id"] for image in images} == expected
    counts = load(tmp_path / "out" / "manifest.json")["filters"][2]
    assert counts == {"stage": "in the split list", "kept": 9, "dropped": len(ids) - 9}
