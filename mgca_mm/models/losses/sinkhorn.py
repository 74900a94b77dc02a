"""Sinkhorn-Knopp codes: soft assignments of a batch to prototypes, balanced over the prototypes."""

import math

import torch
from torch import Tensor


@torch.no_grad()
def sinkhorn_codes(scores: Tensor, epsilon: float = 0.05, num_iterations: int = 3) -> Tensor:
    """Balanced codes of a batch (SwAV, arXiv 2006.09882, algorithm 1; MGCA §3.4).

    The alternating normalisation of ``Q = exp(scores / ε)`` is carried out on ``log Q`` in fp32 (fp64 for fp64 input):
    exp(1 / 0.05) = 4.9e8 overflows half precision::

              K prototypes
            ┌             ┐      ×  1 / total                 start
        B   │  exp(s/ε)   │      columns (prototypes) → 1/K   ┐ num_iterations
            └             ┘      rows (samples)       → 1/B   ┘ times
                                 rows                 → 1     end

    Args:
        scores: (B, K) cosine similarity of each sample to each prototype.
        epsilon: Smoothness of the assignment.
        num_iterations: Alternations of the two normalisations.

    Returns:
        (B, K) codes, each row sums to 1, without gradient, in fp32 or fp64.
    """
    num_samples, num_prototypes = scores.shape
    log_q = scores.to(torch.promote_types(scores.dtype, torch.float32)) / epsilon
    log_q = log_q - torch.logsumexp(log_q.flatten(), dim=0)
    for _ in range(num_iterations):
        log_q = log_q - torch.logsumexp(log_q, dim=0, keepdim=True) - math.log(num_prototypes)
        log_q = log_q - torch.logsumexp(log_q, dim=1, keepdim=True) - math.log(num_samples)
    return torch.softmax(log_q, dim=1)
