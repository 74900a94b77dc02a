"""The report of a GPU runs to its end, from any folder, and leaves what it has found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PARTS = [
    "environment",
    "eager",
    "compiled",
    "store",
    "training",
    "resnet50",
    "resnet50_fast",
    "naive",
    "open_clip",
    "resnet50_fast_compiled",
]

pytestmark = pytest.mark.skipif(not shutil.which("timeout"), reason="no timeout, of GNU's coreutils")


def report(folder, python):
    """Parts of a dry run → their exit codes."""
    environment = {**os.environ, "DRY": "1", "PY": str(python), "OMP_NUM_THREADS": "1"}
    subprocess.run(["bash", ROOT / "tools/gpu_report.sh", "results"], cwd=folder, env=environment, check=True)
    lines = [json.loads(line) for line in (folder / "results/parts.jsonl").read_text().splitlines()]
    return {line["part"]: line["rc"] for line in lines}


def test_every_part_is_tried(tmp_path):
    """Also after one that has failed; what they run is there."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"; exit 3\n")
    python.chmod(0o755)
    assert report(tmp_path, python) == dict.fromkeys(PARTS, 3)
    for part in PARTS:
        words = (tmp_path / f"results/{part}.log").read_text().splitlines()
        assert all(Path(word).exists() for word in words if word.endswith(".py")), words


@pytest.mark.slow  # minutes
def test_a_dry_run(tmp_path):
    assert report(tmp_path, sys.executable) == dict.fromkeys(PARTS, 0)
    eager = json.loads((tmp_path / "results/eager.json").read_text())
    assert eager["ours"]["images_per_s"] > 0 and eager["waits"] == 0
    assert "Self CPU" in (tmp_path / "results/eager_kernels.txt").read_text()
    naive, open_clip = (json.loads((tmp_path / f"results/{part}.json").read_text()) for part in ("naive", "open_clip"))
    assert naive["agreement"]["loss"] < 1e-4 and open_clip["ratio"]["time"] > 0
    scalars = next((tmp_path / "results/training").glob("*/vis_data/scalars.json")).read_text()
    assert "loss" in scalars
    assert not list((tmp_path / "results").rglob("*.pth"))
