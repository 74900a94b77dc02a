"""Markers planted in reports, patient ids, file and folder names: where a run leaves them, and where it must not."""

import csv
import json
import logging
import os
import re
import subprocess
import sys

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mgca_mm.datasets.identity import SALT, find_identifiers, pseudonym
from mgca_mm.engine.config import load_config
from mgca_mm.engine.privacy import PathFilter, without_paths
from mgca_mm.preparation import Options, prepare
from tests.conftest import ROOT

from .conftest import cases

PATIENT, IMAGE, REPORT, FOLDER = "zqpatientqz", "zqimageqz", "zqreportqz", "zqfolderqz"
PLANTED = re.compile("|".join((PATIENT, IMAGE, REPORT, FOLDER)).encode(), re.IGNORECASE)
ABOUT_PATIENTS = re.compile("|".join((PATIENT, IMAGE, REPORT)), re.IGNORECASE)
CONFIG = """_base_ = {base!r}
visualizer = dict(vis_backends=[dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')])
default_hooks = dict(logger=dict(interval=1))
"""


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A prepared data set of 40 patients full of markers."""
    root = tmp_path_factory.mktemp("privacy") / FOLDER
    random = np.random.default_rng(0)
    rows = []
    for number in range(40):
        folder = root / "raw" / f"{PATIENT}{number}"
        folder.mkdir(parents=True)
        name = f"{IMAGE}{number}.png"
        cv2.imwrite(str(folder / name), cv2.resize(random.integers(0, 255, (9, 8), dtype=np.uint8), (130, 140)))
        split = "train" if number < 24 else "val" if number < 32 else "test"
        report = f"The lungs are clear, {REPORT}{number}. There is no pleural effusion of {REPORT}."
        rows.append([f"{folder.name}/{name}", report, folder.name, split])
    with open(root / "raw" / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "report", "patient", "split"], *rows])
    prepare("image_report_csv", root / "raw", root / "data", Options(image_size=128, vocab_size=500))
    (root / "config.py").write_text(CONFIG.format(base=str(ROOT / "configs/quickstart/pretrain_resnet18.py")))
    return root


def run(tool, planted, *arguments, **options):
    small = {f"{loader}_dataloader.batch_size": 8 for loader in ("train", "val", "test")}
    small |= {f"{loader}_dataloader.num_workers": 0 for loader in ("train", "val", "test")}
    small |= {f"{loader}_dataloader.persistent_workers": False for loader in ("train", "val", "test")}
    options = {"data_root": planted / "data", **small, **options}
    command = [sys.executable, f"tools/{tool}.py", planted / "config.py", *arguments, "--work-dir", planted / "run"]
    command += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)


def test_a_full_run_leaves_no_marker(planted):
    """Pretraining with validation, checkpoints and a test, and a run that ends with a broken sample; in full with a
    resume and the test command line, too."""
    assert PLANTED.search((planted / "data" / "train.json").read_bytes()), "there is something to be left"
    outputs = []
    stages = [
        ("train", ["--test"], 1),
        ("train", ["--resume"], 2),
        ("test", [planted / "run" / "epoch_2.pth"], 2),
    ]
    for tool, arguments, epochs in stages[: cases(1, 3)]:
        done = run(tool, planted, *arguments, **{"train_cfg.max_epochs": epochs})
        assert done.returncode == 0, done.stderr[-2000:]
        outputs.append(done.stdout + done.stderr)

    broken = json.loads((planted / "data" / "train.json").read_text())
    for entry in broken["data_list"]:
        entry["img_path"] = f"{entry['patient_id']}/{entry['image_id'].rpartition('/')[2]}"
        del entry["image_index"]
    (planted / "data" / "broken.json").write_text(json.dumps(broken))
    done = run("train", planted, **{"train_dataloader.dataset.ann_file": "broken.json", "train_cfg.max_epochs": 3})
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr[-2000:]
    name = re.search(r"sample-[0-9a-f]{16}", done.stderr.rpartition("error: ")[2]).group()
    ids = [entry["image_id"] for entry in broken["data_list"]]
    assert len(find_identifiers([name], ids, planted / "data")) == 1, "the owner of the data can find it"
    outputs.append(done.stdout + done.stderr)

    for output in outputs:
        assert not ABOUT_PATIENTS.search(output)
    kinds = set()
    for path in (planted / "run").rglob("*"):
        if path.is_file() and path.name != "last_checkpoint":
            found = PLANTED.search(path.read_bytes())
            assert not found, f"{path.name}: {path.read_bytes()[max(0, found.start() - 200) : found.end() + 50]}"
            kinds.add("events" if path.name.startswith("events") else path.suffix)
    assert {".log", ".json", ".pth", ".py", "events"} <= kinds


def test_files_are_their_owners(planted):
    """Of the prepared data, and of a run that was made by the test above."""
    if not (planted / "run").exists():
        run("train", planted, **{"train_cfg.max_epochs": 1})
    paths = [planted / "data", planted / "run", *(planted / "data").rglob("*"), *(planted / "run").rglob("*")]
    assert len(paths) > 20
    assert not [path for path in paths if path.stat().st_mode & 0o077 and path.name != "broken.json"]


def test_the_config_that_is_written_down_runs_again(prepared, tmp_path):
    """Without a path in it, and with the data root given anew."""
    base = str(ROOT / "configs/mgca/pretrain_vit.py")
    data = str(prepared / "data")
    cfg = load_config(base, {"data_root": data, "text_model": str(prepared / "text_model"), "load_from": "/a/b.pth"})
    shown, paths = without_paths(cfg)
    assert paths[data] == "<data_root>" and shown.load_from == "<load_from>"
    shown.dump(tmp_path / "shown.py")
    assert str(prepared) not in (tmp_path / "shown.py").read_text()
    again = load_config(str(tmp_path / "shown.py"), {"data_root": data, "text_model": "m", "load_from": None})
    assert again.train_dataloader.dataset.data_root == again.test_dataloader.dataset.data_root == data
    assert again.train_dataloader.dataset.pipeline[3].tokenizer == again.model.text_encoder.pretrained == "m"
    assert cfg.data_root == data, "the config itself is left alone"


def test_urls_and_hub_names_are_shown():
    cfg = Config(
        dict(
            a="https://example.org/x/y.pth",
            b="emilyalsentzer/Bio_ClinicalBERT",
            c="mmdet.X",
            d=["/x/y"],
            work_dir="runs",
        )
    )
    shown, _ = without_paths(cfg)
    assert (shown.a, shown.b, shown.c, shown.d) == (cfg.a, cfg.b, cfg.c, ["<d>"])
    assert shown.work_dir == "<work_dir>"


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Checkpoints will be saved to /home/a b/run.", "Checkpoints will be saved to <work_dir>."),
        ("load /mnt/p10/s5/x.pth now", "load …/x.pth now"),
        ("get https://a.b/c/d.pth", "get https://a.b/c/d.pth"),
        ("data_time: 0.1", "data_time: 0.1"),
        ("loss 3/4, Epoch [1][2/9]", "loss 3/4, Epoch [1][2/9]"),
        ("read 'data/phantom/train.json'", "read '<data_root>/train.json'"),
    ],
)
def test_messages(message, expected):
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (message,), None)
    PathFilter({"/home/a b/run": "<work_dir>", "data/phantom": "<data_root>", "data": "<x>"}).filter(record)
    assert record.getMessage() == expected


def test_pseudonyms(tmp_path):
    name = pseudonym("p10000032", tmp_path)
    assert re.fullmatch(r"sample-[0-9a-f]{16}", name) and name == pseudonym("p10000032", str(tmp_path))
    assert (tmp_path / SALT).stat().st_mode & 0o777 == 0o600 and [*tmp_path.iterdir()] == [tmp_path / SALT]
    assert name != pseudonym("p10000033", tmp_path)
    (tmp_path / "other").mkdir()
    assert name != pseudonym("p10000032", tmp_path / "other")
    assert find_identifiers([name], ["p1", "p10000032"], tmp_path) == ["p10000032"]
    program = "import sys; from mgca_mm.datasets.identity import pseudonym; print(pseudonym('p10000032', sys.argv[1]))"
    other = subprocess.run([sys.executable, "-c", program, tmp_path], cwd=ROOT, capture_output=True, text=True)
    assert other.stdout.strip() == name, "of this run and of later ones"
    assert pseudonym("p1", tmp_path / "absent") == pseudonym("p1", tmp_path / "absent")
