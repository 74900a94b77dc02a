"""The training step of every pretraining model asks of a GPU no more than it may; it is run on the null GPU."""

import functools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT

HERE = Path(__file__).parent
HEADER = Path(torch.__file__).parents[1] / "nvidia/cu13/include/cuda_runtime_api.h"
# The quickstart's are these methods made small, and the others left out train these models on other data.
CONFIGS = {
    f"{path.parent.name}/{path.stem}": path
    for kind in ("pretrain", "released", "ablation")
    for path in sorted((ROOT / "configs").glob(f"*/{kind}_*.py"))
    if path.parent.name not in ("quickstart", "custom") and not path.stem.endswith(("_chexpert_plus", "_padchest"))
}
# Run by default, in one process; the rest by ``-m slow``, a method in its own.
DEFAULT = tuple(f"mgca/{name}" for name in ("pretrain_vit_fast", "pretrain_resnet50", "pretrain_resnet50_fast"))
# GB that a step of batch 144 may allocate; what the allocator reserves beyond differs from run to run.
MEMORY = {name: 17.5 if "vit" in name else 21.0 for name in CONFIGS}  # of a compiled step, too
MEMORY |= {name: MEMORY[name] + 1 for name in CONFIGS if name.startswith(("mgca_caption/", "lofi/"))}
MAX_GROUPS = 4

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the null GPU is for Linux"),
    pytest.mark.skipif(not shutil.which("gcc"), reason="no gcc for the null GPU"),
    pytest.mark.skipif(not HEADER.exists(), reason="the null GPU needs torch for CUDA 13 from PyPI"),
]


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Runs Python with the null GPU and returns its output."""
    folder = tmp_path_factory.mktemp("null_gpu")

    def run(*arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = ["bash", HERE / "null_gpu.sh", folder, sys.executable, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return run


@pytest.fixture(scope="session")
def figures(run):
    """Config's name → figures of its step."""

    @functools.cache
    def steps(names, *options):
        lines = run(HERE / "step.py", *options, *(CONFIGS[name] for name in names)).splitlines()
        return dict(zip(names, (json.loads(line) for line in lines if line.startswith("{")), strict=True))

    def find(name, *options):
        folder = CONFIGS[name].parent
        rest = tuple(other for other, path in CONFIGS.items() if path.parent == folder and other not in DEFAULT)
        return steps((name,) if options else DEFAULT if name in DEFAULT else rest, *options)[name]

    return find


@pytest.mark.parametrize(
    "name", [name if name in DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in CONFIGS]
)
def test_a_step(figures, name):
    """A wait, or tensors that do not go together, would have been an error."""
    check(figures(name), MEMORY[name])


@pytest.mark.slow  # minutes
@pytest.mark.parametrize("name", [name for name in CONFIGS if name.endswith("_fast")])
def test_a_compiled_step(figures, name):
    check(figures(name, "--compile"), MEMORY[name])


def check(found, memory):
    assert found["groups"] <= MAX_GROUPS
    assert found["waits"] == found["copies_to_host"] == 0
    assert 0 < found["allocated_gb"] < memory and found["reserved_gb"] < memory + 1
    assert found["launches"] > 100


def test_waits_for_a_gpu(run):
    """Those for the device, not reads of the host's own memory: by counting operators and by CUDA's debug mode."""
    program = """if True:
        import torch
        from mgca_mm.benchmarks.operators import OperatorCount, count_waits

        host, device = torch.ones(4), torch.ones(4, device="cuda")

        def read():
            host.sum().item(), host[host > 1], host.nonzero()
            device.sum().item(), device[device > 1]

        with OperatorCount("cuda") as count:
            read()
        print(*count.waits, count_waits(read), count_waits(lambda: host.sum().item()))
    """
    assert run("-c", program).splitlines()[-1] == "aten::_local_scalar_dense aten::index 2 0"
