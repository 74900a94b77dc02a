"""Sinkhorn-Knopp codes: soft assignments of a batch to prototypes, balanced over the prototypes."""

import torch
from mmengine.dist import get_world_size
from torch import Tensor

from mgca_mm.distributed import gather


@torch.no_grad()
def sinkhorn_codes(
    scores: Tensor, epsilon: float = 0.05, num_iterations: int = 3, across_ranks: bool = False
) -> Tensor:
    """Balanced codes of a batch (SwAV, arXiv 2006.09882, algorithm 1; MGCA §3.4).

    The alternating normalization of ``Q = exp(scores / ε)`` is carried out on ``log Q`` in fp32 (fp64 for fp64 input):
    exp(1 / 0.05) = 4.9e8 overflows half precision::

              K prototypes
            ┌             ┐      columns (prototypes) → 1/K   ┐ num_iterations
        B   │  exp(s/ε)   │      rows (samples)       → 1/B   ┘ times
            └             ┘      rows                 → 1     end

    Factors of the whole matrix (1/K, 1/B, and SwAV's division by the total at the start) cancel in the next
    normalization, so that they are left out. Over several ranks only the columns need the others: their sums, K numbers
    a matrix and iteration, are exchanged, for all matrices in one message.

    Args:
        scores: (…, B, K) cosine similarity of each sample to each prototype; each matrix is balanced by itself.
        epsilon: Smoothness of the assignment.
        num_iterations: Alternations of the two normalizations.
        across_ranks: The matrix goes on in the other ranks, which may have other B.

    Returns:
        (…, B, K) codes, each row sums to 1, without gradient, in fp32 or fp64.
    """
    log_q = scores.to(torch.promote_types(scores.dtype, torch.float32)) / epsilon
    for _ in range(num_iterations):
        columns = torch.logsumexp(log_q, dim=-2, keepdim=True)  # (…, 1, K)
        if across_ranks and get_world_size() > 1:
            columns = torch.logsumexp(gather(columns[None]), dim=0)  # (R, …, 1, K) → (…, 1, K)
        log_q = log_q - columns
        log_q = log_q - torch.logsumexp(log_q, dim=-1, keepdim=True)
    return torch.softmax(log_q, dim=-1)
