"""Collectives that carry gradients.

Convention of the whole package: with R ranks whose losses average to the loss of the concatenated batch, the mean that
DistributedDataParallel takes over the ranks' gradients equals the gradient of one process on that batch. That needs
gathers whose backward pass sums over the ranks; keeping one's own slice of a plain gather gives 1/R of it.
"""

import torch
import torch.distributed.nn.functional as dist_nn
from mmengine.dist import get_rank, get_world_size
from torch import Tensor


def gather(x: Tensor) -> Tensor:
    """Concatenate the ranks' tensors along dim 0; the gradient flows back to every rank.

    Args:
        x: (B_local, …), the same shape on every rank.

    Returns:
        (R · B_local, …) in rank order. ``x`` itself where there is one process.
    """
    return x if get_world_size() == 1 else _all_gather(x.contiguous())


def sum_over_ranks(x: Tensor) -> Tensor:
    """Sum over the ranks; the gradient flows back to every rank."""
    return x if get_world_size() == 1 else _all_reduce(x.contiguous())


def own_slice(x: Tensor, local_size: int) -> Tensor:
    """Rows of a gathered tensor that belong to this rank: (R · B_local, …) → (B_local, …)."""
    start = get_rank() * local_size if x.shape[0] != local_size else 0
    return x[start : start + local_size]


# torch.compile traces around these two instead of into them; with one process there is nothing to go around.
@torch.compiler.disable
def _all_gather(x: Tensor) -> Tensor:
    gathered = torch.cat(dist_nn.all_gather(x))
    if gathered.requires_grad:
        # PyTorch's backward pass over gloo receives into buffers with the strides of the gradient; a transposed one
        # would arrive scrambled.
        gathered.register_hook(torch.Tensor.contiguous)
    return gathered


@torch.compiler.disable
def _all_reduce(x: Tensor) -> Tensor:
    return dist_nn.all_reduce(x)
