"""Batch norms of two ranks are those of one process on the whole batch; the estimate counts what a step sends."""

import pytest
import torch
from torch import nn

from mgca_mm.benchmarks.communication import list_messages

from . import exchange
from .test_equivalence import launch

TOLERANCE = {"fp64": 1e-10, "fp32": 1e-5, "bf16": 3e-2, "compiled": 1e-10}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    path = tmp_path_factory.mktemp("exchange") / "found.pt"
    launch(exchange.RANKS, "-m", "tests.test_distributed.exchange", str(path))
    return torch.load(path, weights_only=True)


def expected(share, way):
    """PyTorch's own layers in fp64 on all rows."""
    ours = exchange.make_projector() if way == "compiled" else exchange.make_norm(torch.float64)
    widths = [8, 4] if way == "compiled" else [6]
    norms = [nn.BatchNorm1d(width, affine=width != 4).double() for width in widths]
    plain = nn.Sequential(ours.fc1, norms[0], nn.ReLU(), ours.fc2, norms[1]) if way == "compiled" else norms[0]
    plain.load_state_dict(dict(zip(plain.state_dict(), ours.state_dict().values(), strict=True)))
    x, weight = exchange.rows(share)
    x = x.to(exchange.DTYPES.get(way, torch.float64)).double().requires_grad_()
    out = plain(x)
    (out * weight[:, : out.shape[1]]).sum().backward()
    buffers = [value for name, value in plain.named_buffers() if "running" in name]
    return out, x.grad, [parameter.grad for parameter in plain.parameters()], buffers


@pytest.mark.parametrize("way", TOLERANCE)
@pytest.mark.parametrize("share", exchange.SHARES)
def test_batch_norm(share, way, found):
    """With other numbers of rows on each rank; one of them may have none."""
    rows, gradients, buffers = zip(*(states[share, way] for states in found["norms"]), strict=True)
    out, x_grad, parameter_grads, statistics = expected(share, way)

    def check(value, target):
        error = (value.double() - target).abs().max()
        assert error <= TOLERANCE[way] * target.abs().max() + TOLERANCE[way] * 1e-2, (share, way, error)

    check(torch.cat([own["out"] for own in rows]), out)
    check(torch.cat([own["x"] for own in rows]), x_grad)
    for index, name in enumerate(gradients[0]):
        check(sum(own[name] for own in gradients), parameter_grads[index])
    for own in buffers:  # the same on every rank
        for value, target in zip(own.values(), statistics, strict=True):
            check(value, target)


def test_one_row_on_two_ranks_is_refused(found):
    assert "larger batch size" in found["refusal"]


@pytest.mark.parametrize("case", exchange.STEPS)
def test_messages_of_a_step(case, found):
    model, batch = exchange.build_step(case)
    messages = list_messages(model, batch, exchange.RANKS)
    assert [message.operator for message in messages] == found["heard"][case]
    assert not torch.distributed.is_initialized()
