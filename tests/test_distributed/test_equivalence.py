"""R ranks with a share of the batch each give the gradient and the validation losses of one process on the whole."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from tests.conftest import ROOT

from . import ranks

# Of the rank's own rows: their mean over the ranks is not that of the whole batch.
LOGGED_PER_RANK = {"prototype_usage", "p_unmatched"}


def launch(world_size, *args):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={world_size}", f"--master_port={port}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, *args], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.fixture(scope="module")
def state_of_ranks(tmp_path_factory):
    """States of all cases under a number of ranks, from one launch each."""
    found = {}

    def states(world_size):
        if world_size not in found:
            path = tmp_path_factory.mktemp("ranks") / "states.pt"
            launch(world_size, "tests/test_distributed/ranks.py", str(path))
            found[world_size] = torch.load(path, weights_only=True)
        return found[world_size]

    return states


def one_process(case, num_ranks):
    """The same step on the whole batch; local losses are the mean over the shares the ranks would have."""
    model = ranks.build(case)
    inputs = ranks.batch(case)
    if case.endswith("-local"):
        image, text = model.embed_images(inputs), model.embed_reports(inputs)
        share = ranks.BATCH // num_ranks
        parts = []
        for start in range(0, ranks.BATCH, share):
            rows = slice(start, start + share)
            part = model._align(*(_take(features, rows) for features in (image, text)))
            (ranks.total(part) / num_ranks).backward(retain_graph=True)
            parts.append(part)
        losses = {name: sum(part[name].detach() for part in parts) / num_ranks for name in parts[0]}
    else:
        losses = model(inputs, mode="loss")
        ranks.total(losses).backward()
    return ranks.state(model, losses)


def _take(features, rows):
    return features._replace(**{k: v[rows] for k, v in features._asdict().items() if v is not None})


@pytest.mark.parametrize("world_size", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", ranks.CASES)
def test_ranks_equal_one_process(case, world_size, state_of_ranks):
    many, one = state_of_ranks(world_size)[case], one_process(case, world_size)
    for name in one["losses"].keys() - LOGGED_PER_RANK:
        torch.testing.assert_close(many["losses"][name], one["losses"][name], rtol=1e-12, atol=1e-12, msg=name)
    for name, gradient in one["gradients"].items():
        if gradient is None:  # a projector that this alignment does not use, a text encoder that is frozen
            frozen = (name.startswith("text_encoder") and case == "orthogonal") or name.endswith("decoder_pos_embed")
            assert case == "cta" or frozen, name
            assert many["gradients"][name] is None, name
            continue
        scale = gradient.abs().max()
        assert (many["gradients"][name] - gradient).abs().max() <= 1e-10 * scale + 1e-13, name
    for name, statistic in one["statistics"].items():
        torch.testing.assert_close(many["statistics"][name], statistic, rtol=1e-10, atol=1e-12, msg=name)


@pytest.mark.parametrize("world_size", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", ranks.CASES)
def test_validation_losses_of_ranks_equal_one_process(case, world_size, state_of_ranks):
    """Also of alignments that train on the pairs of their own rank: a validation has one batch, whoever computes it."""
    for size in ranks.SIZES:
        expected = ranks.validate(case, size)
        assert expected["val/loss"] != 0
        found = state_of_ranks(world_size)[case]["validation"][size]
        assert found == pytest.approx(expected, rel=1e-10, abs=1e-12), size
