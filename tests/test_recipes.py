"""Every recipe of configs/ by its command line, on small sets: two epochs with validation, ``--amp`` and TensorBoard.

Six of them, one of each kind, run with all tests; the rest by ``-m slow``.
"""

import math
import multiprocessing
import os
import runpy
import sys
from itertools import chain

import pytest
import torch
from mmengine.config import Config

from mgca_mm.engine import amp
from tests.conftest import ROOT

CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if "_base_" not in path.parts)
EVALUATIONS = ("grounding", "retrieval", "zero_shot")
NOT_TRAINED = "evaluates checkpoints of another recipe, whose train_cfg it inherits"
SHARE = (
    "mgca/pretrain_vit",
    "convirt/pretrain_resnet50",
    "mgca/released_vit",
    "downstream/classification/chexpert_vit",
    "downstream/detection/rsna_resnet50",
    "downstream/segmentation/siim_resnet50",
)
# Entries of a recipe → smaller ones in their place, and the channels of a downstream model that follow from these.
SMALLER = {
    ("hidden_channels", 2048): ("hidden_channels=64",),
    ("num_hidden_layers", 6): ("num_hidden_layers=2",),
    ("vocab_size", 28996): ("vocab_size=1000",),
    ("num_regions", 15): ("num_regions=4",),
    ("arch", "deit-base"): ("arch=deit-tiny",),
    **{("depth", depth): ("depth=18", "stem_channels=8", "base_channels=8") for depth in (50, 18)},
    ("backend", "inductor"): ("backend=eager",),  # traced, but not compiled: there may be no compiler here
    **{("resize_to", size): ("resize_to=64",) for size in (224, 299)},
    **{(key, 448): (f"{key}=128",) for key in ("input_size", "crop_size")},  # 4 x 4 patches, as of 64 in the encoder
    **{(key, 224): (f"{key}=64",) for key in ("img_size", "crop_size", "scale")},
    **{(key, (224, 224)): (f"{key}=(64,64)",) for key in ("size", "scale")},
}
DETECTOR = ("neck.in_channels=[64,32,16]", "neck.out_channels=[32,16,8]")
DETECTOR += ("bbox_head.in_channels=[32,16,8]", "bbox_head.out_channels=[64,32,16]")
SEGMENTER = ("decode_head.in_channels=(8,8,16,32,64)", "decode_head.channels=(16,16,8,8,8)")
FOLLOWING = {
    ("depth", "classification"): ("head.in_channels=64",),
    ("depth", "detection"): DETECTOR,
    ("depth", "segmentation"): SEGMENTER,
    ("arch", "classification"): ("head.in_channels=192",),
    ("arch", "detection"): ("backbone.embed_dims=192", "backbone.out_channels=(16,32,64)", *DETECTOR),
    ("arch", "segmentation"): ("backbone.embed_dims=192", "backbone.out_channels=(8,8,16,32,64)", *SEGMENTER),
}
PARTS = ("model", "train_dataloader", "val_dataloader", "test_dataloader")
SCORES = {"classification": "cls/loss", "detection": "det/mAP", "segmentation": "seg/loss"}
# Imported once: each run is forked from a process that has.
LIBRARIES = ["mgca_mm.engine.launch", "mgca_mm.engine.runner", "mgca_mm.models", "mgca_mm.evaluation"]
LIBRARIES += ["mmpretrain.models", "mmdet.models", "mmseg.models", "transformers", "torch.utils.tensorboard"]


def recipes():
    for path in CONFIGS:
        name = str(path.relative_to(ROOT / "configs").with_suffix(""))
        if path.stem.startswith(EVALUATIONS):
            yield pytest.param(path, id=name, marks=pytest.mark.skip(NOT_TRAINED))
        else:
            yield pytest.param(path, id=name, marks=[] if name in SHARE else pytest.mark.slow)


def reductions(node, task, prefix=""):
    """Options that make a recipe small."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, dict | list):
            yield from reductions(value, task, f"{prefix}{key}.")
        elif (key, value) in SMALLER:
            yield from (f"{prefix}{entry}" for entry in SMALLER[key, value])
            yield from (f"model.{entry}" for entry in FOLLOWING.get((key, task), ()))
        elif (prefix, key) == ("model.alignments.caption.", "max_length"):
            yield f"{prefix}{key}=8"  # untrained, it writes up to the longest length


def train(arguments, output):
    """``python tools/train.py ARGUMENTS`` in this process."""
    log = os.open(output, os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    amp.has_bfloat16 = lambda device: True  # else a CPU that is slow at it would train in fp32
    sys.argv = ["tools/train.py", *arguments]
    runpy.run_path(str(ROOT / "tools/train.py"), run_name="__main__")


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LIBRARIES)
    return context


@pytest.mark.parametrize("path", recipes())
def test_two_epochs(path, processes, prepared, labeled, tmp_path):
    cfg = Config.fromfile(path)
    task = path.stem.split("_")[0] if path.parent.name == "quickstart" else path.parent.name
    by_epoch = "max_epochs" in cfg.train_cfg
    options = ["max_epochs=2" if by_epoch else "train_cfg.max_iters=2", "train_cfg.val_interval=1"]
    options += [f"{split}_dataloader.num_workers=0" for split in ("train", "val", "test")]
    options += ["train_dataloader.batch_size=2", "train_dataloader.dataset.indices=4", "val_dataloader.batch_size=4"]
    options += ["visualizer.vis_backends.0.type=TensorboardVisBackend", "default_hooks.logger.interval=1"]
    options += ["image_init=random", *chain(*(reductions(cfg[part], task, f"{part}.") for part in PARTS))]
    if task in SCORES:
        options += [f"data_root={labeled(path)}"]
    else:
        options += [f"data_root={prepared}/data", f"text_model={prepared}/text_model"]
    work_dir, output = tmp_path / "run", tmp_path / "output.txt"
    command = [str(path), "--amp", "--work-dir", str(work_dir), "--cfg-options", *options]
    process = processes.Process(target=train, args=(command, output))
    process.start()
    process.join(300)
    process.kill()
    assert process.exitcode == 0, output.read_text()[-3000:]
    events = read_events(work_dir)
    trained = [event.step for event in events["lr"]]
    validated = [event.step for event in events[SCORES.get(task, "loss")]]
    assert trained == list(range(1, 5 if by_epoch else 3))
    # Of pretraining the loss, which has one name in training and validation.
    assert sorted(validated) == sorted([1, 2] + ([] if task in SCORES else trained))
    assert all(math.isfinite(event.value) for event in events["loss"])
    checkpoint = torch.load(work_dir / ("epoch_2.pth" if by_epoch else "iter_2.pth"), weights_only=True)
    rate = cfg.optim_wrapper.optimizer.lr
    if cfg.param_scheduler:
        cosine = cfg.param_scheduler[-1]
        steps = 2 * (2 - round(2 * cosine.begin / cosine.end))
        lowest = cosine.get("eta_min", 0)  # one step after the last
        rate = lowest + (rate - lowest) * (1 + math.cos(math.pi * (steps - 1) / steps)) / 2
    kept = [group["lr"] for group in checkpoint["optimizer"]["param_groups"]]
    assert max(kept) == pytest.approx(rate) and events["lr"][-1].value == pytest.approx(kept[0])


def read_events(work_dir):
    """Scalars of a run's event file by name, each with its step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (file,) = work_dir.rglob("events.out.tfevents.*")
    events = EventAccumulator(str(file)).Reload()
    return {name: events.Scalars(name) for name in events.Tags()["scalars"]}
