"""The command lines, as a user types them."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT

PATH = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"


def run(*command, cwd=ROOT, **env):
    return subprocess.run(
        [str(c) for c in command],
        cwd=cwd,
        env={**os.environ, "PATH": PATH, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        text=True,
        timeout=600,
    )


def assert_user_error(done, *words):
    assert done.returncode == 2, done.stderr
    message = done.stderr.strip().splitlines()
    assert "Traceback" not in done.stderr and len([line for line in message if line]) <= 3, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


SMALL = [
    "train_dataloader.batch_size=4",
    "val_dataloader.batch_size=4",
    "train_dataloader.num_workers=0",
    "val_dataloader.num_workers=0",
    "test_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "val_dataloader.persistent_workers=False",
    "test_dataloader.persistent_workers=False",
]
QUICKSTART = "configs/quickstart/pretrain_resnet18.py"


def test_without_data():
    done = run(
        sys.executable, "tools/train.py", "configs/mgca/pretrain_vit.py", "--cfg-options", "data_root=nowhere/mimic_cxr"
    )
    assert_user_error(done, "nowhere/mimic_cxr/train.json", "mgca-mm prepare mimic_cxr")


def test_without_hub(prepared, tmp_path):
    options = [f"data_root={prepared / 'data'}", "text_model=nobody/no-such-model"]
    command = [sys.executable, "tools/train.py", "configs/mgca/pretrain_vit.py", "--work-dir", tmp_path]
    done = run(*command, "--cfg-options", *options, HF_HUB_OFFLINE="1")
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "model.text_encoder.pretrained" in done.stderr


def test_without_image_weights(prepared, tmp_path):
    options = [
        f"data_root={prepared / 'data'}",
        f"text_model={prepared / 'text_model'}",
        "image_init=absent.pth",
        *SMALL,
    ]
    done = run(
        sys.executable,
        "tools/train.py",
        "configs/mgca/pretrain_vit.py",
        "--work-dir",
        tmp_path,
        "--cfg-options",
        *options,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "absent.pth" in done.stderr and "image_init=FILE" in done.stderr


def test_fewer_pairs_than_a_batch(prepared, tmp_path):
    options = [f"data_root={prepared / 'data'}", *SMALL, "train_dataloader.batch_size=500"]
    done = run(sys.executable, "tools/train.py", QUICKSTART, "--work-dir", tmp_path, "--cfg-options", *options)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "14 training samples do not fill the batch of 500" in done.stderr


def test_an_error_in_a_worker_is_as_short_as_any(prepared, tmp_path):
    data = shutil.copytree(prepared / "data", tmp_path / "data")
    (data / "images.npy").write_bytes(b"broken")
    options = [f"data_root={data}", "train_dataloader.batch_size=4", "train_dataloader.num_workers=2"]
    done = run(sys.executable, "tools/train.py", QUICKSTART, "--work-dir", tmp_path, "--cfg-options", *options)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "error: Image store" in done.stderr


def test_unknown_config():
    assert_user_error(run(sys.executable, "tools/train.py", "configs/mgca/absent.py"), "configs/mgca/absent.py")


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """Two ranks on CPUs by dist_train.sh, one epoch."""
    work_dir = tmp_path_factory.mktemp("run")
    options = [f"data_root={prepared / 'data'}", "train_cfg.max_epochs=1", "default_hooks.logger.interval=1", *SMALL]
    options.append("train_dataloader.batch_size=2")
    with socket.socket() as free:  # a port that no other run of these tests holds
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    done = run(
        "bash", "tools/dist_train.sh", QUICKSTART, 2, "--work-dir", work_dir, "--cfg-options", *options, PORT=port
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return work_dir, done


def test_dist_train(trained):
    work_dir, done = trained
    assert (work_dir / "epoch_1.pth").is_file()
    (log,) = work_dir.rglob("*.log")
    for word in ("loss_ita", "loss_cta", "loss_cpa", "acc_i2t", "prototype_usage", "images_per_s", "i2t_R@5", "lr:"):
        assert word in log.read_text()
    lines = done.stdout.splitlines()
    first = next(number for number, line in enumerate(lines) if re.search(r"epoch 1/\d+ ", line))
    assert first <= 15 and "Failed to search" not in done.stdout, done.stdout
    assert max(len(line) for line in lines if "  warning: " not in line) <= 120, done.stdout
    for word in ("eta", "images/s", "loss", "ita", "cta", "cpa", "acc"):
        assert re.search(rf"\b{word}\b", lines[first]), lines[first]


def test_resume(trained, prepared):
    work_dir, _ = trained
    options = [f"data_root={prepared / 'data'}", "train_cfg.max_epochs=2", *SMALL]
    done = run(
        sys.executable, "tools/train.py", QUICKSTART, "--work-dir", work_dir, "--resume", "--cfg-options", *options
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert (work_dir / "epoch_2.pth").is_file() and "Resuming from epoch_1.pth" in done.stdout


def test_test_and_probe(trained, prepared, tmp_path):
    work_dir, _ = trained
    options = ["--cfg-options", f"data_root={prepared / 'data'}", *SMALL]
    done = run(
        sys.executable, "tools/test.py", QUICKSTART, work_dir / "epoch_1.pth", "--work-dir", tmp_path, "--out",
        tmp_path / "metrics.json", *options,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert {"loss", "i2t_R@1", "t2i_R@10"} <= json.loads((tmp_path / "metrics.json").read_text()).keys()
    done = run(
        sys.executable, "tools/linear_probe.py", QUICKSTART, work_dir / "epoch_1.pth", "--out", tmp_path / "p", *options
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "random encoder" in done.stdout and (tmp_path / "p" / "probe.png").stat().st_size > 5000
    numbers = json.loads((tmp_path / "p" / "probe.json").read_text())
    assert set(numbers["probe"]) == {"random", "pretrained"} and numbers["retrieval"]["num_reports"] > 1


def test_backbone_transfers_by_one_line(trained):
    from mmengine.registry import MODELS

    from mgca_mm.engine import install

    install()
    checkpoint = trained[0] / "epoch_1.pth"
    init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint), prefix="image_encoder.backbone.")
    backbone = MODELS.build(dict(type="mmpretrain.ResNet", depth=18, out_indices=(1, 2, 3), init_cfg=init_cfg))
    backbone.init_weights()
    stored = torch.load(checkpoint, map_location="cpu", weights_only=True)["state_dict"]
    assert torch.equal(backbone.conv1.weight, stored["image_encoder.backbone.conv1.weight"])


@pytest.mark.parametrize("script, words", [("dist_train.sh", ["c.py"]), ("dist_test.sh", ["c.py", "w.pth"])])
def test_fewer_gpus_than_asked_for_are_told_at_once(script, words, tmp_path):
    """By a torch that sees two GPUs, and could not start a rank."""
    (tmp_path / "torch.py").write_text("class cuda:\n    device_count = lambda: 2\n")
    done = run("bash", f"tools/{script}", *words, 4, PYTHON=sys.executable, PYTHONPATH=str(tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 2), done.stderr
    assert done.stderr.startswith("error: 4 GPUs are asked for, and PyTorch sees 2")
    done = run("bash", f"tools/{script}", *words, 2, PYTHON=sys.executable, PYTHONPATH=str(tmp_path))
    assert "GPUs are asked for" not in done.stderr and "No module named 'torch.distributed'" in done.stderr


@pytest.mark.parametrize("script", ["dist_train.sh", "dist_test.sh", "slurm_train.sh"])
def test_usage(script):
    done = run("bash", f"tools/{script}")
    assert done.returncode == 2 and f"{script} " in done.stderr
