"""``mgca-mm real-bench`` on made sets: a class that is bright, one of one value, a view; rows, tables, refusals."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch

from mgca_mm.apis.image_encoders import build_encoder, read_encoders
from mgca_mm.cli import real_bench
from mgca_mm.engine import install
from mgca_mm.engine.config import find_config
from mgca_mm.errors import UserError
from mgca_mm.preparation import Options, prepare
from mgca_mm.prepared import MANIFEST
from tests.command_line import call
from tests.conftest import ROOT, SHARED, needs_shared

install()

SMALL = "quickstart/pretrain_resnet18"
TINY = f"""
_base_ = 'mgca_mm::{SMALL}.py'
pipeline = [dict(type='LoadRadiograph'), dict(type='ResizeAndPad', size=48), dict(type='PackImageReportInputs')]
model = dict(image_encoder=dict(input_size=48))
test_dataloader = dict(dataset=dict(pipeline=pipeline))
"""


def write_set(folder, count=80):
    """Radiographs of noise, two a patient; the positives have a bright disk."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    rows = [["image", "disk", "never", "blank", "view", "sex", "age", "patient"]]
    for number in range(count):
        disk = int(rng.random() < 0.5)
        pixels = rng.integers(40, 120, (48, 48)).astype(np.uint8)
        if disk:
            pixels += cv2.circle(np.zeros_like(pixels), tuple(rng.integers(14, 34, 2).tolist()), 9, 30, -1)
        cv2.imwrite(str(folder / f"images/{number}.png"), pixels)
        view, sex = ("pa", "ap")[number // 2 % 2], ("m", "f", "")[number // 2 % 3]
        blank = disk or ("", 0)[number % 2]
        rows.append([f"images/{number}.png", disk, 0, blank, view, sex, 30 + number, f"p{number // 2}"])
    with open(folder / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("made sets")
    options = Options(image_size=48, labels=["disk", "never", "blank", "view", "sex"])
    prepare("labels_csv", write_set(root / "raw"), root / "made", options)
    return root / "made"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """The quickstart's config for images of 48 pixels."""
    path = tmp_path_factory.mktemp("config") / "tiny.py"
    path.write_text(TINY)
    return path


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    """The backbone of the random encoder, as a file of another project has it."""
    model, _ = build_encoder(find_config(SMALL), None)
    path = tmp_path_factory.mktemp("weights") / "backbone.pth"
    torch.save({f"backbone.{name}": value for name, value in model.image_encoder.backbone.state_dict().items()}, path)
    return path


def test_tables_rows_and_what_is_kept(data, tiny, backbone, tmp_path, monkeypatch):
    encoders = [f"same={tiny}:{backbone}", f"adapted@bn={tiny}", f"random={tiny}"]
    command = ["real-bench", "--data", data, "--encoders", *encoders, "--seeds", 2, "--out", tmp_path / "my bench"]
    done = call(*command)
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "my bench/bench.json").read_text())
    rows = {(row["task"], row["encoder"], row["share"]): row for row in content["rows"]}
    assert {task for task, *_ in rows} == {"disk", "blank", "view=pa", "sex=m"}
    assert {row["task"] for row in content["rows"] if row["control"]} == {"view=pa", "sex=m"}
    assert {share for *_, share in rows} == {20, 100, "knn"}
    assert rows["disk", "random", 100]["images"] == 80 and rows["sex=m", "random", 100]["images"] < 80
    for share in (20, 100, "knn"):  # the same weights, by another way
        random, same = rows["disk", "random", share], rows["disk", "same", share]
        assert random["seeds"] == same["seeds"] and same["error_to_random"] == random["error_to_random"] == [0, 0, 0]
        assert rows["disk", "adapted@bn", share]["seeds"] != random["seeds"]
    assert 65 < rows["disk", "random", 100]["mean"] < 100
    grays = rows["disk", "grays", 100]  # the disk is bright, so its images are
    assert grays["mean"] > 90 and grays["error_to_random"] is None and "grays" not in content["encoders"]
    assert rows["disk", "random", 100]["blank"] == 0 < rows["blank", "random", 100]["blank"]
    left_out = "; ".join(content["left_out"])
    assert "made, never: too few" in left_out and "made, disk: 1 % of the training images cannot" in left_out
    table = (tmp_path / "my bench/bench.md").read_text()
    assert table in done.stdout and (tmp_path / "my bench/bench.png").stat().st_size > 5000
    monkeypatch.setattr(real_bench, "extract_features", None)  # nothing is computed again
    assert call(*command).returncode == 0 and (tmp_path / "my bench/bench.md").read_text() == table


def test_two_classes_that_exclude_one_another_are_one_task(data, tiny, tmp_path):
    raw = data.with_name("raw")
    prepare("labels_csv", raw, tmp_path / "views", Options(image_size=48, labels=["view"]))
    command = ["real-bench", "--data", tmp_path / "views", "--encoders", f"a={tiny}", "--seeds", 1, "--out", tmp_path]
    done = call(*command, "--controls", "PA")
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert {(row["task"], row["control"], row["sd"]) for row in rows} == {("pa", True, None)}
    assert "±" not in (tmp_path / "bench.md").read_text().partition("###")[2]
    assert not (tmp_path / "bench.png").exists()  # of results, of which there are none


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["random"], "expected NAME=RUN"),
        ([f"={SMALL}"], "expected NAME=RUN"),
        (["a=nowhere/config.py"], "'nowhere/config.py' does not exist"),
        ([f"a={SMALL}:missing.pth"], "no such file: missing.pth"),
        ([f"a={SMALL}", f"a={SMALL}"], "there are two of this name"),
        ([f"grays={SMALL}"], "'grays' is the row that every table has"),
        (["a=downstream/classification/rsna_vit"], "no config of a pretraining"),
        ([f"a=mgca/pretrain_resnet50:{ROOT / 'README.md'}"], "README.md"),
    ],
)
def test_encoders_that_are_none(data, tmp_path, words, message):
    done = call("real-bench", "--data", data, "--encoders", *words, "--out", tmp_path)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) <= 3, done.stderr


def test_folders_that_are_none(data, prepared, tmp_path):
    (tmp_path / "empty").mkdir()
    again = tmp_path / "other" / data.name
    again.parent.mkdir()
    again.symlink_to(data)
    for folders, message in (
        ([tmp_path / "empty"], "empty/train.json' does not exist"),
        ([data, again], "two folders have the same name"),
    ):
        done = call("real-bench", "--data", *folders, "--encoders", f"a={SMALL}", "--out", tmp_path / "out")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_an_encoder_that_has_diverged_and_a_place_that_is_none(data, tiny, backbone, tmp_path):
    weights = torch.load(backbone, weights_only=True)
    weights["backbone.layer4.1.bn2.weight"] *= float("inf")
    torch.save(weights, tmp_path / "diverged.pth")
    command = ["real-bench", "--data", data, "--encoders", f"a={tiny}:{tmp_path / 'diverged.pth'}", "--out"]
    for place, message in ((tmp_path / "out", "a: its features are not finite"), (data / MANIFEST, "cannot be made")):
        done = call(*command, place)
        assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) <= 3, done.stderr


def test_random_ones_come_first_and_runs_bring_their_config(tmp_path, backbone):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.py").write_text(f"_base_ = 'mgca_mm::{SMALL}.py'\n")
    (run / "epoch_1.pth").write_bytes(backbone.read_bytes())
    found = read_encoders([f"a={run}", f"b={SMALL}:{backbone}", f"c={SMALL}", f"d={run / 'epoch_1.pth'}"])
    assert [encoder.name for encoder in found] == ["c", "a", "b", "d"]
    assert found[1].config == run / "config.py" and found[1].checkpoint == str(run / "epoch_1.pth")
    assert found[3].config == found[1].config


def test_a_checkpoint_of_another_architecture(backbone):
    with pytest.raises(UserError, match=r"backbone\.pth' is of another|fills ResNet only in part"):
        build_encoder(find_config("mgca/pretrain_resnet50"), str(backbone))


@needs_shared("real_labelled")
def test_the_real_sets_are_prepared_as_the_documentation_says(tmp_path):
    """docs/real_bench.md: their counts, and no child of one number in two parts."""
    raw = SHARED / "real_labelled"
    tables = Options(annotations_only=True, labels=["label"], patients=r"(person|IM-)\d+")
    prepare("labels_csv", raw / "kermany_224px", tmp_path / "kermany", tables)
    tables = Options(annotations_only=True, labels=["ever_icu", "died", "view", "sex"])
    prepare("labels_csv", raw / "hannover", tmp_path / "hannover", tables)
    counts = {
        name: json.loads((tmp_path / name / "manifest.json").read_text())["total"] for name in ("kermany", "hannover")
    }
    assert (counts["kermany"]["images"], counts["kermany"]["patients"]) == (5840, 2775)
    assert counts["kermany"]["positive: PNEUMONIA"] == 4265
    assert (counts["hannover"]["images"], counts["hannover"]["patients"]) == (243, 71)
    assert (counts["hannover"]["positive: ever_icu"], counts["hannover"]["positive: died"]) == (186, 48)
    assert counts["hannover"]["positive: view=pa"] == 49


def test_features_are_kept_for_one_normalization(data, tiny, tmp_path):
    darker = tiny.with_name("darker.py")
    darker.write_text("_base_ = './tiny.py'\nmodel = dict(data_preprocessor=dict(mean=20, std=10))\n")
    seen = []
    for config in (tiny, darker):
        model, cfg = build_encoder(config, None)
        seen.append(real_bench.features_of(model, cfg, str(data), "name", tmp_path).features)
    assert not np.allclose(*seen)


def test_an_encoder_of_another_project_keeps_its_normalization(tiny, backbone, tmp_path):
    weights = torch.load(backbone)
    meta = {"data_preprocessor": {"mean": [0.0, 0.0, 0.0], "std": [255.0, 255.0, 255.0]}}
    torch.save({"state_dict": weights, "meta": meta}, tmp_path / "converted.pth")
    model, _ = build_encoder(tiny, str(tmp_path / "converted.pth"))
    images = model.data_preprocessor({"inputs": {"image": torch.full((2, 1, 4, 4), 51, dtype=torch.uint8)}})
    assert torch.allclose(images["inputs"]["image"], torch.tensor(0.2))


def test_a_random_encoder_is_random_whatever_its_config_starts_from(tiny, backbone, tmp_path):
    started = tmp_path / "started.py"
    start = f"dict(_delete_=True, type='Pretrained', checkpoint={str(backbone)!r})"
    started.write_text(f"_base_ = {str(tiny)!r}\nmodel = dict(image_encoder=dict(backbone=dict(init_cfg={start})))\n")
    drawn = build_encoder(started, None)[0].image_encoder.backbone.conv1.weight
    assert not torch.equal(drawn, torch.load(backbone)["backbone.conv1.weight"])
    bringing = tmp_path / "bringing.py"
    bringing.write_text(f"_base_ = {str(tiny)!r}\nmodel = dict(image_encoder=dict(backbone=dict(pretrained=True)))\n")
    with pytest.raises(UserError, match="brings weights by itself"):
        build_encoder(bringing, None)


def test_errors_are_relative_to_random_weights_that_see_the_same_size(data, tiny, backbone, tmp_path):
    larger, reordered = tiny.with_name("larger.py"), tiny.with_name("reordered.py")
    larger.write_text(TINY.replace("48", "64"))
    reordered.write_text(TINY.replace("dict(type='ResizeAndPad', size=48)", "dict(size=48, type='ResizeAndPad')"))
    encoders = [f"random={tiny}", f"larger={larger}:{backbone}", f"same={reordered}:{backbone}"]
    rows, _ = real_bench.bench_folder("made", str(data), read_encoders(encoders), range(2), (), tmp_path)
    of = {row["encoder"]: row["error_to_random"] for row in rows if row["share"] == 100 and row["task"] == "disk"}
    assert of["larger"] is None and of["same"] is not None


def test_grays_beside_a_backbone_that_brings_its_weights(data, tiny, backbone, tmp_path):
    bringing = tiny.with_name("bringing.py")
    brought = dict(type="mgca_mm.PretrainedBackbone", checkpoint=str(backbone), strides=(16, 32))
    bringing.write_text(TINY + f"model['image_encoder']['backbone'] = dict(_delete_=True, **{brought!r})\n")
    encoders = read_encoders([f"mine={bringing}:{backbone}"])
    rows, _ = real_bench.bench_folder("made", str(data), encoders, range(2), (), tmp_path)
    assert {row["encoder"] for row in rows} == {"grays", "mine"}
