"""Sharded parameters (torch's fully_shard, two ranks on CPUs) give the loss curve of DistributedDataParallel."""

import pytest
import torch

from .test_equivalence import launch


@pytest.mark.slow
def test_the_loss_curve_stays(tmp_path):
    launch(2, "tests/test_distributed/sharding.py", str(tmp_path / "curves.pt"))
    curves = torch.load(tmp_path / "curves.pt", weights_only=True)
    (expected, whole), (losses, share) = curves["ddp"], curves["sharded"]
    assert losses == pytest.approx(expected, rel=1e-4)
    assert max(expected) - min(expected) > 1e-2  # it is a curve
    assert whole == 1 and 0.4 < share < 0.6
