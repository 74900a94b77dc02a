"""dist_test.sh and dist_train.sh --test: on any number of ranks the metrics of one process."""

import itertools
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mgca_mm.engine.launch import configure_run
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions
from mgca_mm.preparation import Options, prepare
from tests.conftest import ROOT

pytestmark = pytest.mark.slow  # minutes; test_cli/test_tools.py trains by dist_train.sh

BATCH = 4  # ranks × batch
# No multiples of 4: the last batch leaves some ranks with a smaller share, or with none.
SIZES = (9, 11)
KINDS = {
    "pretraining": (
        "pretrain_resnet18",
        "train.json",
        "[dict(type='AlignmentLoss'), dict(type='ImageReportRetrieval')]",
    ),
    "classification": (
        "classification_rsna",
        "train.json",
        "[dict(type='mgca_mm.ClassificationLoss', multi_label=True), dict(type='mgca_mm.AUROC', num_bootstrap=50)]",
    ),
    # An untrained YOLOv3 finds its smallest anchors, which lie in some of the boxes.
    "detection": (
        "detection_rsna",
        "detection/train.json",
        "dict(type='mgca_mm.DetectionMAP', iou_thresholds=[0.001])",
    ),
    "segmentation": (
        "segmentation_rsna",
        "segmentation/train.txt",
        "[dict(type='mgca_mm.SegmentationLoss'), dict(type='mgca_mm.PerImageDice')]",
    ),
}
RANKS = (1, 2, 4)


def cases(grid, share):
    """A grid, of which all but a share is left to ``-m faults``."""
    return [case if case in share else pytest.param(*case, marks=pytest.mark.faults) for case in grid]


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """RSNA Pneumonia, prepared: it has classes, boxes and masks."""
    root = tmp_path_factory.mktemp("rsna")
    LAYOUTS["rsna_pneumonia"](root / "raw", PhantomOptions(20, seed=16, size=96), progress=False)
    prepare("rsna_pneumonia", root / "raw", root / "data", Options(image_size=128))
    return root / "data"


@pytest.fixture
def make_config(labeled, prepared, tmp_path):
    """A small config of a kind that evaluates ``size`` samples."""

    def write(kind, ranks, size):
        base, annotations, evaluator = KINDS[kind]
        pretrains = kind == "pretraining"
        loader = dict(batch_size=BATCH // ranks, num_workers=0, persistent_workers=False)
        evaluated = dict(loader, dataset=dict(ann_file=annotations, indices=size))
        lines = [
            f"_base_ = {str(ROOT / 'configs/quickstart' / base)!r} + '.py'",
            f"train_dataloader = {loader}",
            f"val_dataloader = test_dataloader = {evaluated}",
            f"val_evaluator = test_evaluator = {evaluator}",
            "custom_hooks = []",
        ]
        if pretrains:
            lines.append("model = dict(text_encoder=dict(config=dict(vocab_size=1000)))")
            lines.append("train_cfg = dict(max_epochs=1)")
        else:
            lines.append("train_cfg = dict(max_iters=2, val_interval=1)")
            lines.append("default_hooks = dict(checkpoint=dict(interval=1))")
        path = tmp_path / f"{kind}_{ranks}.py"
        path.write_text("\n".join(lines) + "\n")
        options = {"data_root": str(prepared / "data" if pretrains else labeled)}
        return path, options if pretrains else options | {"image_init": "random"}

    return write


def build(config, options, work_dir):
    """A runner in this process."""
    return PrivateRunner.from_cfg(configure_run(str(config), dict(options), str(work_dir)))


def metrics_of_one_process(config, options, checkpoint, work_dir):
    """Metrics of one process."""
    runner = build(config, options, work_dir)
    load_complete_model(runner.model, str(checkpoint))
    return {name: float(value) for name, value in runner.test().items()}


def launch(script, *arguments, options):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "PYTHON": sys.executable, "PORT": port, "OMP_NUM_THREADS": "1"}
    command = ["bash", str(ROOT / "tools" / script), *map(str, arguments)]
    command += ["--cfg-options", *(f"{name}={value}" for name, value in options.items())]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("kind", "ranks", "size"),
    cases(itertools.product(KINDS, RANKS, SIZES), [("pretraining", 2, 9)]),
)
def test_dist_test(kind, ranks, size, make_config, tmp_path):
    config, options = make_config(kind, 1, size)
    runner = build(config, options, tmp_path / "made")
    checkpoint = tmp_path / "made.pth"
    torch.save({"state_dict": runner.model.state_dict()}, checkpoint)
    expected = metrics_of_one_process(config, options, checkpoint, tmp_path / "one")
    config, options = make_config(kind, ranks, size)
    out = tmp_path / "metrics.json"
    launch("dist_test.sh", config, checkpoint, ranks, "--work-dir", tmp_path / "many", "--out", out, options=options)
    metrics = json.loads(out.read_text())
    print(kind, ranks, size, metrics)
    assert metrics == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True) and any(metrics.values())


@pytest.mark.parametrize(("kind", "ranks"), cases(itertools.product(KINDS, RANKS), [("classification", 2)]))
def test_dist_train_and_test(kind, ranks, make_config, tmp_path):
    """The checkpoint that was tested is the best one, and its metrics are those of one process."""
    config, options = make_config(kind, ranks, 9)
    work_dir = tmp_path / "run"
    launch("dist_train.sh", config, ranks, "--work-dir", work_dir, "--test", options=options)
    metrics = json.loads((work_dir / "test.json").read_text())
    (checkpoint,) = Path(work_dir).glob("best_*.pth")
    config, options = make_config(kind, 1, 9)
    expected = metrics_of_one_process(config, options, checkpoint, tmp_path / "one")
    print(kind, ranks, metrics)
    assert metrics == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
