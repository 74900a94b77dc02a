"""R ranks with a share of the batch each give the gradient of one process on the whole batch."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT

from . import ranks

LOGGED_PER_RANK = {"prototype_usage"}  # the entropy of the rank's own codes


def launch(world_size, *args):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={world_size}", f"--master_port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *args], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize(
    ("world_size", "alignments"), [(2, "ita"), (2, "cta"), (2, "cpa"), (2, "ita+cta+cpa"), (4, "ita+cta+cpa")]
)
def test_ranks_equal_one_process(world_size, alignments, tmp_path):
    launch(world_size, "tests/test_distributed/ranks.py", str(tmp_path / "ranks.pt"), alignments)
    many = torch.load(tmp_path / "ranks.pt", weights_only=True)

    model = ranks.build(alignments.split("+"))
    losses = model(ranks.batch(), mode="loss")
    ranks.total(losses).backward()
    one = ranks.state(model, losses)

    for name in one["losses"].keys() - LOGGED_PER_RANK:
        torch.testing.assert_close(many["losses"][name], one["losses"][name], rtol=1e-10, atol=1e-12, msg=name)
    for name, gradient in one["gradients"].items():
        if gradient is None:  # a projector that this alignment does not use
            assert alignments == "cta" and many["gradients"][name] is None, name
            continue
        scale = gradient.abs().max()
        assert (many["gradients"][name] - gradient).abs().max() <= 1e-10 * scale + 1e-14, name
    for name, statistic in one["statistics"].items():
        torch.testing.assert_close(many["statistics"][name], statistic, rtol=1e-10, atol=1e-12, msg=name)
