"""Small trainings for fault tests, each in a process of its own that is forked from one that has imported everything.

As a script: reads requests from stdin, one JSON line each, and answers on stdout with the process ids of a training;
on the next line, whatever it says, it waits for their end and answers with their exit codes.
"""

import copy
import csv
import json
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

import cv2
import numpy as np

from tests.conftest import ROOT, SMALL_MODEL

SAMPLES = 24
FINDINGS = ("effusion", "pneumonia", "edema", "nodule")


def make_data(root):
    """A prepared data set of 24 pairs to train on and 8 to validate on."""
    from mgca_mm.preparation import Options, prepare

    random = np.random.default_rng(0)
    raw = Path(root, "raw")
    raw.mkdir(parents=True)
    rows = []
    for number in range(SAMPLES + 16):
        cv2.imwrite(str(raw / f"{number}.png"), random.integers(0, 255, (48, 40), dtype=np.uint8))
        split = "train" if number < SAMPLES else "val" if number < SAMPLES + 8 else "test"
        report = f"There is {FINDINGS[number % 4]} on the {('left', 'right')[number % 2]}. No {FINDINGS[number % 3]}."
        rows.append([f"{number}.png", report, f"p{number}", split])
    with open(raw / "pairs.csv", "w", newline="") as file:
        csv.writer(file).writerows([["image", "report", "patient", "split"], *rows])
    prepare("image_report_csv", raw, Path(root, "data"), Options(image_size=48, vocab_size=200))
    for split in ("train", "val", "test"):
        path = Path(root, "data", f"{split}.json")
        content = json.loads(path.read_text())
        content["metainfo"]["classes"] = ["even", "third"]
        for row in content["data_list"]:
            number = int(row["image_id"].split(".")[0])
            row["labels"] = [1 - number % 2, int(number % 3 == 0)]
        path.write_text(json.dumps(content))
    return Path(root, "data")


def make_config(
    data,
    work_dir,
    epochs=3,
    batch_size=4,
    workers=0,
    faults=(),
    dropout=0.1,
    lr=1e-3,
    double=False,
    validate=None,
    hide_from_rank=None,
    task="pretraining",
    **changes,
):
    """MGCA on it, with dropout and random crops.

    Args:
        data, work_dir, epochs, batch_size, workers: Of the run.
        faults: Hooks that make something go wrong.
        dropout: Of the text encoder.
        lr: Learning rate.
        double: In float64.
        validate: Validate on this many samples, and count them.
        hide_from_rank: A rank and the name of a checkpoint that it cannot read.
        task: Or ``"classification"``, which stops early.
        **changes: Of the config.
    """
    from mmengine.config import Config

    model = copy.deepcopy(SMALL_MODEL)
    model["text_encoder"]["config"] |= dict(vocab_size=200, hidden_dropout_prob=dropout)
    model["data_preprocessor"] = dict(type="ImageReportDataPreprocessor")

    def loader(split, crop, sampler, **others):
        pipeline = [dict(type="LoadRadiograph"), dict(type="ResizeAndPad", size=40), crop]
        pipeline += [dict(type="TokenizeReport", max_length=16), dict(type="PackImageReportInputs")]
        dataset = dict(type="ImageReportDataset", data_root=str(data), ann_file=f"{split}.json", pipeline=pipeline)
        settings = dict(batch_size=batch_size, num_workers=workers, persistent_workers=workers > 0)
        return dict(dataset=dataset, sampler=sampler, collate_fn=dict(type="default_collate"), **settings, **others)

    cfg = Config.fromfile(ROOT / "configs/_base_/default_runtime.py")
    cfg.merge_from_dict(
        dict(
            model=model,
            train_dataloader=loader(
                "train",
                dict(type="mmpretrain.RandomCrop", crop_size=32),
                dict(type="mgca_mm.ReproducibleSampler", shuffle=True),
                drop_last=True,
            ),
            val_dataloader=loader(
                "val", dict(type="CenterCrop", crop_size=32), dict(type="DefaultSampler", shuffle=False)
            ),
            val_evaluator=[dict(type="AlignmentLoss")],
            optim_wrapper=dict(type="OptimWrapper", optimizer=dict(type="AdamW", lr=lr, fused=True)),
            param_scheduler=[dict(type="CosineAnnealingLR", T_max=epochs, by_epoch=True, convert_to_iter_based=True)],
            train_cfg=dict(type="ResumableTrainLoop", max_epochs=epochs, val_interval=1),
            val_cfg=dict(type="ValLoop"),
            work_dir=str(work_dir),
        )
    )
    if task == "classification":
        _classify(cfg, epochs)
    cfg.merge_from_dict(changes)
    if validate is not None:
        cfg.val_dataloader.dataset.indices = validate
        metric = dict(type="tests.test_faults.faults.CountSamples", collect_device="cpu", collect_dir=str(work_dir))
        cfg.val_evaluator = [dict(type="AlignmentLoss"), metric]
    if hide_from_rank is not None:
        _hide(*hide_from_rank)
    if double:
        import torch

        torch.set_default_dtype(torch.float64)
        cfg.custom_hooks.append(dict(type="tests.test_faults.faults.DoubleImages"))
    cfg.custom_hooks = [*cfg.custom_hooks, *faults]
    return cfg


def _classify(cfg, epochs):
    """A linear layer on a frozen network, with labels by the number of the image."""
    for split in ("train", "val", "test"):
        loader = cfg[f"{split if split != 'test' else 'val'}_dataloader"].copy()
        loader.dataset = dict(
            type="mgca_mm.ChestXrayDataset", data_root=loader.dataset.data_root, ann_file=f"{split}.json"
        )
        crop = dict(type="mmpretrain.RandomCrop" if split == "train" else "mmpretrain.CenterCrop", crop_size=32)
        load, pack = dict(type="mgca_mm.LoadRadiograph", channels=3), dict(type="mmpretrain.PackInputs")
        loader.dataset.pipeline = [load, crop, pack]
        cfg[f"{split}_dataloader"] = loader
    cfg.model = dict(
        type="mmpretrain.ImageClassifier",
        data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
        backbone=dict(type="mmpretrain.ResNet", depth=18, out_indices=(1,), frozen_stages=4, zero_init_residual=False),
        neck=dict(type="mmpretrain.GlobalAveragePooling"),
        head=dict(type="mmpretrain.MultiLabelLinearClsHead", num_classes=2, in_channels=128),
    )
    cfg.default_scope = "mmpretrain"
    cfg.val_evaluator = [dict(type="mgca_mm.ClassificationLoss", multi_label=True), dict(type="mgca_mm.AUROC")]
    cfg.test_evaluator, cfg.test_cfg = [dict(type="mgca_mm.AUROC", num_bootstrap=10)], dict(type="TestLoop")
    cfg.train_cfg.type, cfg.param_scheduler = "mgca_mm.ResumableTrainLoop", []
    cfg.optim_wrapper.optimizer.lr = 0.05
    cfg.default_hooks.checkpoint.save_best = "cls/loss"
    cfg.custom_hooks = [dict(type="EarlyStoppingHook", monitor="cls/loss", rule="less", patience=2, min_delta=0)]


def _hide(rank, name):
    from mgca_mm.engine import runner
    from mgca_mm.errors import UserError

    read = runner.read_checkpoint

    def fail(path, **options):
        if Path(path).name == name and int(os.environ.get("RANK", 0)) == rank:
            raise UserError("hidden by the test")
        return read(path, **options)

    runner.read_checkpoint = fail


def train(cfg):
    """Train to the end; the runner."""
    from mgca_mm.engine.runner import PrivateRunner

    runner = PrivateRunner.from_cfg(cfg)
    runner.train()
    return runner


def final_state(work_dir, epochs=3):
    """What must be equal: weights, optimizer, scheduler and best score in the last checkpoint."""
    import torch

    checkpoint = torch.load(Path(work_dir, f"epoch_{epochs}.pth"), weights_only=True)
    return dict(
        weights=checkpoint["state_dict"],
        optimizer=checkpoint["optimizer"],
        schedulers=checkpoint["param_schedulers"],
        position=(checkpoint["meta"]["epoch"], checkpoint["meta"]["iter"]),
        best=checkpoint["message_hub"]["runtime_info"].get("best_score"),
    )


def assert_equal(found, expected, where="state"):
    """Bit for bit."""
    import torch

    assert type(found) is type(expected), where
    if isinstance(found, dict):
        assert found.keys() == expected.keys(), where
        for key in found:
            assert_equal(found[key], expected[key], f"{where}.{key}")
    elif isinstance(found, list | tuple):
        assert len(found) == len(expected), where
        for number, (one, other) in enumerate(zip(found, expected, strict=True)):
            assert_equal(one, other, f"{where}.{number}")
    elif isinstance(found, torch.Tensor):
        assert found.shape == expected.shape and torch.equal(found, expected), where
    else:
        assert found == expected, where


class Server:
    """Runs trainings in forked processes."""

    def __init__(self):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.test_faults.runs"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"

    def start(self, data, work_dir, ranks=1, **options):
        """Start a training on some ranks over gloo; their process ids, which stay theirs until :meth:`wait`."""
        request = dict(data=str(data), work_dir=str(work_dir), ranks=ranks, options=options)
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def wait(self, limit=None):
        """Exit code of each rank, negative for a signal; a TimeoutError where they have not ended in ``limit`` s."""
        self.process.stdin.write("wait\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise TimeoutError(f"still running after {limit} s")
        return json.loads(self.process.stdout.readline())

    def run(self, *args, **options):
        """Start and wait; the one exit code that all ranks have, or their list."""
        self.start(*args, **options)
        codes = self.wait()
        return codes[0] if len(set(codes)) == 1 else codes

    def close(self):
        self.process.stdin.close()
        self.process.wait(timeout=60)  # on a busy machine


def _serve():
    import torch
    from mmengine.registry import init_default_scope

    import mgca_mm.engine
    import mgca_mm.models  # noqa: F401

    torch.set_num_threads(1)
    init_default_scope("mgca_mm")
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a training prints is no answer
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        children = []
        for rank in range(request["ranks"]):
            child = os.fork()
            if child == 0:
                _run(request, rank, port)
            children.append(child)
        print(children, file=answers, flush=True)
        sys.stdin.readline()  # a process that nobody has waited for keeps its number: a late signal hits no other one
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(codes, file=answers, flush=True)


def _run(request, rank, port):
    from mgca_mm.cli.train import test_best_checkpoint
    from mgca_mm.engine.launch import close_ranks, prepare_ranks

    code = 1
    try:
        os.makedirs(request["work_dir"], exist_ok=True)
        log = os.open(os.path.join(request["work_dir"], "output.txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        cfg = make_config(request["data"], request["work_dir"], **request["options"])
        if request["ranks"] > 1:
            address = dict(MASTER_ADDR="127.0.0.1", MASTER_PORT=port, WORLD_SIZE=request["ranks"], RANK=rank)
            os.environ.update({name: str(value) for name, value in {**address, "LOCAL_RANK": rank}.items()})
            cfg.launcher = "pytorch"
            prepare_ranks(cfg)
        test = cfg.pop("test", False)
        runner = train(cfg)
        if test:
            test_best_checkpoint(runner)
        close_ranks()
        code = 0
    except SystemExit as error:
        code = error.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        logging.shutdown()
        os._exit(code)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _serve()
