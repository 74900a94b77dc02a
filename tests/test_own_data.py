"""Own labels, boxes and masks give what the built-in route gives: the same images and annotations, the same scores."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS as ROOT_DATASETS
from mmengine.registry import RUNNERS, DefaultScope

from mgca_mm.cli.probe import compare
from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.engine.launch import configure_run
from mgca_mm.engine.own_classes import follow_classes
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, check, prepare
from mgca_mm.registry import MODELS
from tests.conftest import ROOT, SHARED, needs_shared

install()

BUILT_IN = "covid_chestxray"
REAL = SHARED / "real_cxr"
SPLITS = ("train", "val", "test")
TASKS = {"labels_csv": "classification", "coco": "detection", "masks": "segmentation"}
ITERATIONS = {"labels_csv": 12, "coco": 80, "masks": 12}
SIZE = 128


def load(path):
    return json.loads(path.read_text())


def write_rows(path, *rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows(rows)


def convert(raw, built_in, folder):
    """The annotations of a prepared covid-chestxray as a user would have them: a csv, json files, pairs of files."""
    prepare(BUILT_IN, raw, folder / "tables", Options(annotations_only=True))  # the boxes in raw pixels
    boxes = {s: load(folder / f"tables/detection/{s}.json") for s in SPLITS}
    raw_box = {image["image_id"]: (part, image) for part in boxes.values() for image in part["images"]}
    path_of = {
        row["image_id"]: row["raw_path"] for s in SPLITS for row in load(folder / f"tables/{s}.json")["data_list"]
    }
    path_of |= {image["image_id"]: image["file_name"] for _, image in raw_box.values()}
    for name in TASKS:
        (folder / name).mkdir()
    rows = []
    for split in SPLITS:
        for entry in load(built_in / f"{split}.json")["data_list"]:
            label = {1: "1.0", 0: "0", -1: "-1", None: ""}[entry["labels"][0]]
            rows.append([entry["image_id"], label, entry["patient_id"], split])
            shutil.copy(raw / path_of[entry["image_id"]], folder / "labels_csv" / entry["image_id"])
        content = load(built_in / f"detection/{split}.json")
        images, annotations = [], []
        for number, image in enumerate(content["images"]):
            part, found = raw_box[image["image_id"]]
            kept = {key: image[key] for key in ("image_id", "patient_id")}
            images.append({"id": number, "file_name": image["image_id"], "patient": kept["patient_id"]})
            images[-1] |= {side: found[side] for side in ("height", "width")}
            for box in part["annotations"]:
                if box["image_id"] == found["id"]:
                    annotations.append({**box, "image_id": number, "id": len(annotations)})
            shutil.copy(raw / path_of[image["image_id"]], folder / "coco" / image["image_id"])
        content |= {"images": images, "annotations": annotations}
        (folder / "coco" / f"{split}.json").write_text(json.dumps(content))
    write_rows(folder / "labels_csv/labels.csv", ["image", "COVID-19", "patient", "split"], *rows)
    pairs = []
    for split in SPLITS:
        for name in (built_in / f"segmentation/{split}.txt").read_text().splitlines():
            mask = f"{Path(name).stem}_mask.png"
            shutil.copy(raw / path_of.get(name, f"images/{name}"), folder / "masks" / name)
            shutil.copy(raw / "annotations/lungVAE-masks" / mask, folder / "masks" / mask)
            pairs.append([name, mask, split])
    write_rows(folder / "masks/masks.csv", ["image", "mask_lung", "split"], *pairs)


@pytest.fixture(
    scope="module", params=["phantom", pytest.param("real", marks=[pytest.mark.slow, needs_shared("real_cxr")])]
)
def folders(request, tmp_path_factory):
    """Prepared folder by command: the built-in one and the three of own annotations."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "real":
        raw = REAL
    else:
        from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions

        raw = folder / "raw"
        LAYOUTS[BUILT_IN](raw, PhantomOptions(50, seed=16, size=96), progress=False)
    built_in = folder / "built_in"
    prepare(BUILT_IN, raw, built_in, Options(image_size=SIZE, vocab_size=2000))
    convert(raw, built_in, folder)
    prepared = {BUILT_IN: built_in}
    for name in TASKS:
        prepared[name] = folder / "data" / name
        prepare(name, folder / name, prepared[name], Options(image_size=SIZE))
        assert check(name, prepared[name]) == []
    return prepared


def pixels(out, row):
    return np.load(out / "images.npy", mmap_mode="r")[row]


def test_the_same_labels(folders):
    own, built_in = folders["labels_csv"], folders[BUILT_IN]
    for split in SPLITS:
        mine, theirs = (load(out / f"{split}.json") for out in (own, built_in))
        assert mine["metainfo"]["classes"] == theirs["metainfo"]["classes"] == ["COVID-19"]
        assert len(mine["data_list"]) == len(theirs["data_list"]) > 0
        for row, other in zip(mine["data_list"], theirs["data_list"], strict=True):
            assert [row[key] for key in ("image_id", "patient_id", "labels")] == [
                other[key] for key in ("image_id", "patient_id", "labels")
            ]
            assert (pixels(own, row["image_index"]) == pixels(built_in, other["image_index"])).all()
    for name in (own / "subsets").iterdir():
        assert name.read_text() == (built_in / "subsets" / name.name).read_text()


def test_the_same_boxes(folders):
    own, built_in = folders["coco"], folders[BUILT_IN]
    for split in SPLITS:
        mine, theirs = (load(out / f"detection/{split}.json") for out in (own, built_in))
        assert mine["categories"] == theirs["categories"]
        assert len(mine["annotations"]) == len(theirs["annotations"]) > 0
        for row, other in zip(mine["images"], theirs["images"], strict=True):
            assert row["file_name"] == other["file_name"] and row["patient_id"] == other["patient_id"]
            assert (pixels(own, row["id"]) == pixels(built_in, other["id"])).all()
            assert (own / "images" / row["file_name"]).read_bytes() == (
                built_in / "images" / row["file_name"]
            ).read_bytes()
            boxes = [
                [(box["category_id"], box["bbox"]) for box in part["annotations"] if box["image_id"] == image["id"]]
                for part, image in ((mine, row), (theirs, other))
            ]
            assert [category for category, _ in boxes[0]] == [category for category, _ in boxes[1]]
            # Those of the tables are rounded to a thousandth of a raw pixel.
            np.testing.assert_allclose([b for _, b in boxes[0]], [b for _, b in boxes[1]], atol=0.0011)


def test_the_same_masks(folders):
    own, built_in = folders["masks"], folders[BUILT_IN]
    for name in ("train.txt", "val.txt", "test.txt", "classes.txt", "subsets/train_10pct_seed42.txt"):
        assert (own / "segmentation" / name).read_text() == (built_in / "segmentation" / name).read_text()
    masks = list((own / "masks").iterdir())
    assert len(masks) > 5
    for mask in masks:
        assert mask.read_bytes() == (built_in / "masks" / mask.name).read_bytes()
        assert (own / "images" / mask.name).read_bytes() == (built_in / "images" / mask.name).read_bytes()


def configure(config, data_root, work_dir, iterations):
    cfg = load_config(f"quickstart/{config}", {"data_root": str(data_root), "image_init": "random"})
    cfg.work_dir = str(work_dir)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=iterations)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.batch_size = 4
    return cfg


@pytest.mark.parametrize(
    "command",
    ["labels_csv", pytest.param("coco", marks=pytest.mark.slow), pytest.param("masks", marks=pytest.mark.slow)],
)
def test_the_same_scores(folders, command, tmp_path):
    """A seeded training on either route ends at the same metrics."""
    scores = []
    for config, out in (("custom", folders[command]), (BUILT_IN, folders[BUILT_IN])):
        runner = PrivateRunner.from_cfg(
            configure(f"{TASKS[command]}_{config}", out, tmp_path / config, ITERATIONS[command])
        )
        runner.train()
        scores.append(runner.test())
    assert scores[0] and scores[0].keys() == scores[1].keys()
    assert scores[0] == pytest.approx(scores[1], rel=1e-3 if command == "coco" else 1e-9, nan_ok=True)


@pytest.fixture
def checkpoint(tmp_path):
    """An encoder of the quickstart, untrained."""
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": MODELS.build(load_config("quickstart/pretrain_resnet18").model).state_dict()}, path)
    return str(path)


def test_the_same_probe(folders, checkpoint):
    """On the labels of the folder that the encoder was pretrained on, and on the same as own labels."""
    built_in = folders[BUILT_IN]
    cfg = load_config("quickstart/pretrain_resnet18", {"data_root": str(built_in)})
    theirs, retrieval = compare(cfg, checkpoint, seed=42)
    mine, none = compare(cfg, checkpoint, seed=42, data_root=str(folders["labels_csv"]))
    assert retrieval and not none
    assert mine["pretrained"][100].per_class["COVID-19"] > 0
    # Of 1 %, one image, nothing can be fitted.
    assert repr(mine) == repr(theirs)


def test_a_probe_of_classes_that_exclude_one_another(own, checkpoint):
    cfg = load_config("quickstart/pretrain_resnet18")
    results, _ = compare(cfg, checkpoint, seed=42, data_root=str(own("classes")))
    assert set(results["random"][100].per_class) == {"TB, active", "normal", "pneumonia"}
    assert set(compare(cfg, checkpoint, 42, str(own("many")))[0]["random"][100].per_class) >= {"a", "d"}


@pytest.fixture
def own(tmp_path):
    """Prepares own labels, boxes of two categories or masks of three classes, from 12 images."""
    import cv2

    def make(kind, image_size=SIZE):
        raw, out = tmp_path / f"raw_{kind}", tmp_path / kind
        (raw / "scans").mkdir(parents=True)
        rng = np.random.default_rng(0)
        for number in range(12):
            cv2.imwrite(str(raw / "scans" / f"{number}.png"), rng.integers(0, 256, (SIZE, SIZE), np.uint8))
            cv2.imwrite(str(raw / f"{number}_mask.png"), np.kron(rng.integers(0, 4, (4, 4)), np.ones((32, 32))))
        splits = ["train"] * 6 + ["val"] * 3 + ["test"] * 3
        tables = {"binary": ("a",), "many": ("a", "b c", "d"), "classes": ("diagnosis",), "masks": ("mask",)}
        cells = {
            "binary": lambda n: [n % 2],
            "many": lambda n: [n % 2, -1 if n == 3 else n % 3 // 2, (n + 1) % 2],
            "classes": lambda n: [("normal", "pneumonia", "TB, active")[n % 3]],
            "masks": lambda n: [f"{n}_mask.png"],
        }
        if kind == "boxes":
            images = [{"id": n, "file_name": f"scans/{n}.png"} for n in range(12)]
            boxes = [{"image_id": n, "category_id": n % 2, "bbox": [8, 8, 40, 60]} for n in range(12)]
            names = [{"id": 0, "name": "nodule"}, {"id": 1, "name": "mass"}]
            (raw / "a.json").write_text(json.dumps({"images": images, "annotations": boxes, "categories": names}))
        else:
            rows = [[f"scans/{n}.png", *cells[kind](n), splits[n]] for n in range(12)]
            write_rows(raw / "a.csv", ["image", *tables[kind], "split"], *rows)
        if kind == "masks":
            (raw / "classes.txt").write_text("background\nlung\nheart\nrib\n")
        command = {"boxes": "coco", "masks": "masks"}.get(kind, "labels_csv")
        prepare(command, raw, out, Options(image_size=image_size))
        return out

    return make


EXPECTED = {
    # kind: task, number of classes, type of the head, keys of the scores
    "binary": ("classification", 1, "MultiLabelLinearClsHead", {"cls/macro", "cls/a", "cls/macro_low"}),
    "many": ("classification", 3, "MultiLabelLinearClsHead", {"cls/macro", "cls/a", "cls/b c", "cls/d"}),
    "classes": ("classification", 3, "LinearClsHead", {"cls/top1", "cls/macro", "cls/TB, active", "cls/top1_low"}),
    "boxes": ("detection", 2, "YOLOV3Head", {"det/mAP"}),
    "masks": ("segmentation", 4, "UNetHead", {"seg/dice", "seg/dice_lung", "seg/dice_heart", "seg/dice_rib"}),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_the_config_follows_the_classes(own, kind, tmp_path):
    """Trains a step and tests; the config that is written down has the classes itself."""
    task, number, head, keys = EXPECTED[kind]
    cfg = configure(f"{task}_custom", own(kind), tmp_path / "run", 1)
    runner = RUNNERS.build(cfg)  # as the programs of mmpretrain, mmdet and mmseg do
    runner.train()
    model = runner.model
    found = getattr(model, "head", None) or getattr(model, "bbox_head", None) or model.decode_head
    assert type(found).__name__ == head and found.num_classes == number
    assert keys <= runner.test().keys()
    (written,) = (tmp_path / "run").glob("*.py")
    cfg = Config.fromfile(written)
    assert "own_classes" not in cfg
    part = {"classification": "head", "detection": "bbox_head", "segmentation": "decode_head"}[task]
    assert cfg.model[part].num_classes == number


@pytest.mark.parametrize("encoder", ["vit", "resnet50"])
@pytest.mark.parametrize("task", ["classification", "detection", "segmentation"])
def test_full_size_configs(own, task, encoder):
    name = f"downstream/{task}/custom_{encoder}"
    kind = {"classification": "classes", "detection": "boxes", "segmentation": "masks"}[task]
    out = own(kind)
    cfg = load_config(name, {"data_root": str(out)})
    by_others = Config.fromfile(ROOT / f"configs/{name}.py")  # as the tools of mmpretrain, mmdet and mmseg read it
    for loader in (by_others.train_dataloader, by_others.val_dataloader, by_others.test_dataloader):
        loader.dataset.data_root = str(out)
    if task == "detection":  # without our runner all categories stand for the classes
        dataset = ROOT_DATASETS.build(by_others.train_dataloader.dataset)
        assert sum(len(dataset.get_data_info(index)["instances"]) for index in range(len(dataset))) == len(dataset)
    follow_classes(by_others, required=True)
    for part in ("model", "val_evaluator", "test_evaluator"):
        assert cfg[part] == by_others[part]
    part = {"classification": "head", "detection": "bbox_head", "segmentation": "decode_head"}[task]
    assert cfg.model[part].num_classes == EXPECTED[kind][1]
    options = {"data_root": str(out), f"model.{part}.num_classes": 7}
    assert load_config(name, options).model[part].num_classes == 7, "an option has the last word"


def test_what_is_missing_is_said(own, tmp_path):
    out = own("binary")
    assert "own_classes" in load_config("downstream/detection/custom_vit", {"data_root": str(tmp_path / "none")})
    for task, file in (("detection", "detection/train.json"), ("segmentation", "segmentation/classes.txt")):
        cfg = load_config(f"downstream/{task}/custom_vit", {"data_root": str(out)})
        with pytest.raises(UserError, match=f"has nothing for the {task}: there is no {file}"):
            PrivateRunner.from_cfg(cfg)
    cfg = load_config("downstream/classification/custom_vit", {"data_root": str(tmp_path / "none")})
    with pytest.raises(UserError, match=r"train.json' does not exist.\nMake it: mgca-mm prepare"):
        PrivateRunner.from_cfg(cfg)


def test_labels_of_another_data_set(own, tmp_path):
    out = own("many")
    with pytest.raises(
        UserError, match=r"has 3 labels: a, b c, d; the config's model.head.num_classes is 1\.\n.*custom"
    ):
        configure_run("quickstart/classification_rsna", {"data_root": str(out), "image_init": "random"}, str(tmp_path))
    options = {"data_root": str(out), "image_init": "random"}
    options |= {f"{split}_dataloader.dataset.classes": ["a"] for split in SPLITS}
    configure_run("quickstart/classification_rsna", options, str(tmp_path))


@pytest.mark.parametrize(
    ("config", "kind", "size"),
    [
        ("downstream/classification/custom_vit", "many", 224),
        ("quickstart/classification_custom", "many", 112),
        ("quickstart/detection_custom", "boxes", 128),
        ("quickstart/segmentation_custom", "masks", 128),
    ],
)
def test_images_of_any_size(own, config, kind, size):
    """A folder prepared at another size than that of the config gives samples of the config's."""
    cfg = load_config(config, {"data_root": str(own(kind, image_size=160)), "image_init": "random"})
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            sample = ROOT_DATASETS.build(loader.dataset)[0]
            assert sample["inputs"].shape == (3, size, size)
    if kind == "masks":
        assert sample["data_samples"].gt_sem_seg.shape == (160, 160), "evaluated as it is prepared"
