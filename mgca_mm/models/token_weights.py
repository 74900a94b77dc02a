"""From attention to the token weights of MGCA's eq. 5."""

import torch
from torch import Tensor


@torch.no_grad()
def normalize_token_weight(weight: Tensor, mask: Tensor, quantiles: tuple[float, float] = (0.1, 0.9)) -> Tensor:
    """Clip each sample's weights to two of its own quantiles and divide them by their sum.

    All samples are treated at once: weights are sorted with padding last, and the quantiles are read from the sorted
    rows by linear interpolation at q · (n - 1), n the number of real tokens (the definition of ``numpy.quantile``).

    Args:
        weight: (B, T) non-negative.
        mask: (B, T) True = real token; the others get weight 0.
        quantiles: Lower and upper quantile.

    Returns:
        (B, T) that sums to 1 over the real tokens (0 for a sample without any), in fp32 or fp64.
    """
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    # topk, not sort: Inductor writes a sorting network into one kernel, of which ptxas takes minutes.
    ordered = weight.masked_fill(~mask, torch.inf).topk(weight.shape[1], dim=1, largest=False).values
    last = (mask.sum(dim=1, keepdim=True) - 1).clamp(min=0)
    low, high = (_quantile_of_sorted(ordered, last, q) for q in quantiles)
    clipped = torch.where(mask, torch.minimum(torch.maximum(weight, low), high), 0)
    return clipped / clipped.sum(dim=1, keepdim=True).clamp(min=torch.finfo(clipped.dtype).tiny)


def _quantile_of_sorted(ordered: Tensor, last: Tensor, q: float) -> Tensor:
    """Quantile of the first ``last + 1`` entries of each ascending row: (B, T), (B, 1) → (B, 1)."""
    position = last.to(ordered.dtype) * q
    below = position.floor().long()
    above = torch.minimum(below + 1, last)
    return torch.lerp(ordered.gather(1, below), ordered.gather(1, above), position - below)
