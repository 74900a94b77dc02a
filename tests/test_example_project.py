"""A method from outside the package: it trains, and the documentation prints it as it is."""

import json
import math
import os
import re
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F

from mgca_mm.structures import ImageFeatures, TextFeatures
from tests.conftest import ROOT

PROJECT = ROOT / "projects/example_project"


def test_the_documentation_prints_the_files():
    page = (ROOT / "docs/add_a_method.md").read_text()
    blocks = dict(re.findall(r"```python\n# (\w+\.py)\n(.+?)```", page, flags=re.DOTALL))
    assert blocks == {name: (PROJECT / name).read_text() for name in ("uniformity_alignment.py", "pretrain.py")}


def test_it_equals_the_loop(monkeypatch):
    monkeypatch.syspath_prepend(str(PROJECT))
    from uniformity_alignment import UniformityAlignment

    images, texts = (F.normalize(torch.randn(4, 3, dtype=torch.float64), dim=1).requires_grad_() for _ in range(2))
    loss = UniformityAlignment(0.5)(ImageFeatures(images), TextFeatures(texts))["loss_uniformity"]
    expected = sum(((images[i] - texts[i]) ** 2).sum() for i in range(4)) / 4
    for x in (images, texts):
        pairs = [torch.exp(-2 * ((x[i] - x[j]) ** 2).sum()) for i in range(4) for j in range(i)]
        expected = expected + 0.5 / 2 * torch.log(sum(pairs) / len(pairs))
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    gradients = (torch.autograd.grad(x, (images, texts)) for x in (loss, expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)
    one = UniformityAlignment().eval()(ImageFeatures(images[:1]), TextFeatures(texts[:1]))
    assert one["loss_uniformity"].isfinite()


@pytest.mark.slow
def test_it_trains(prepared, tmp_path):
    options = {
        "data_root": prepared / "data",
        "train_cfg.max_epochs": 20,
        "train_cfg.val_interval": 20,
        "optim_wrapper.optimizer.lr": 3e-4,
        "log_processor.window_size": 1,
        "param_scheduler": None,
        "default_hooks.logger.interval": 1,
    }
    for loader in ("train_dataloader", "val_dataloader"):
        options |= {
            f"{loader}.batch_size": 8,
            f"{loader}.num_workers": 0,
            f"{loader}.persistent_workers": False,
        }
    command = [sys.executable, "tools/train.py", "projects/example_project/pretrain.py", "--work-dir", str(tmp_path)]
    command += ["--cfg-options", *(f"{key}={value}" for key, value in options.items())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(ROOT)])}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "epoch_20.pth").is_file()
    (log,) = tmp_path.glob("*/vis_data/scalars.json")
    scalars = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [entry["loss_uniformity"] for entry in scalars if "loss_uniformity" in entry and "lr" in entry]
    assert all(map(math.isfinite, losses)) and sum(losses[-4:]) < sum(losses[:4])
    assert any("i2t_R@1" in entry for entry in scalars)
