import pytest
import torch
from torch import nn

from mgca_mm.models import LinearProjector, Projector
from mgca_mm.models.batch_norm import TokenBatchNorm


def test_projector_is_the_papers_head():
    """Linear - BN - ReLU - Linear - BN (no affine), token by token."""
    projector = Projector(6, hidden_channels=8, out_channels=4)
    plain = nn.Sequential(
        nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 4), nn.BatchNorm1d(4, affine=False)
    )
    plain.load_state_dict(dict(zip(plain.state_dict(), projector.state_dict().values(), strict=True)))
    tokens = torch.randn(3, 5, 6)
    for _ in range(2):
        torch.testing.assert_close(projector(tokens), plain(tokens.flatten(0, 1)).view(3, 5, 4))
    projector.eval(), plain.eval()
    torch.testing.assert_close(projector(tokens), plain(tokens.flatten(0, 1)).view(3, 5, 4))


def test_projectors_without_batch_norm():
    """Linear - ReLU - Linear, and one linear layer."""
    projector = Projector(6, hidden_channels=8, out_channels=4, norm=False)
    tokens = torch.randn(3, 5, 6)
    expected = projector.fc2(projector.fc1(tokens).relu())
    torch.testing.assert_close(projector(tokens), expected)
    assert set(projector.state_dict()) == {"fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
    linear = LinearProjector(6, out_channels=4)
    torch.testing.assert_close(linear(tokens), tokens @ linear.fc.weight.T + linear.fc.bias)


def test_batch_of_one_is_refused_clearly():
    x = torch.randn(1, 6)
    with pytest.raises(ValueError, match="larger batch size"):
        Projector(6, 8, 4)(x)
    Projector(6, 8, 4).eval()(x)  # evaluation takes single samples


def test_sync_bn_leaves_it_alone():
    """It synchronizes by itself; MMEngine's conversion would break it."""
    projector = Projector(6, 8, 4)
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(projector)
    assert type(converted.norm1) is TokenBatchNorm


def test_half_precision_statistics_survive():
    """In bf16 the square of a large mean would swallow the variance."""
    norm = TokenBatchNorm(1, affine=False)
    tokens = (torch.randn(4, 16, 1) + 100).to(torch.bfloat16)
    out = norm(tokens).float()
    assert abs(out.mean()) < 0.05 and abs(out.std() - 1) < 0.1
