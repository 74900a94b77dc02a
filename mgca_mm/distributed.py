"""Several ranks: collectives of a training step, the batches that ranks evaluate together, wrapped models.

Convention of training: with R ranks whose losses average to the loss of the concatenated batch, the mean that
DistributedDataParallel takes over the ranks' gradients equals the gradient of one process on that batch. That needs
gathers whose backward pass sums over the ranks; keeping one's own slice of a plain gather gives 1/R of it.

Convention of evaluation: what depends on a whole batch (a contrastive loss, the Dice of a batch) is computed from the
samples that all ranks evaluate at the same time, by :func:`gather_samples`, and equals that of one process with a batch
R times as large. A loss needs to know nothing of ranks for that, and it holds whatever ``gather`` of an alignment says,
which is about training.
"""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.model import is_model_wrapper
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from mgca_mm.errors import UserError


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, which ``runner.model`` wraps where there are several ranks."""
    return model.module if is_model_wrapper(model) else model


def gather(x: Tensor) -> Tensor:
    """Concatenate the ranks' tensors along dim 0; the gradient flows back to every rank.

    Args:
        x: (B_local, …), the same shape on every rank.

    Returns:
        (R · B_local, …) in rank order. ``x`` itself where there is one process.
    """
    return x if get_world_size() == 1 else _gather(x)


def sum_over_ranks(x: Tensor) -> Tensor:
    """Sum over the ranks, without gradient; torch.compile traces through it."""
    if get_world_size() == 1:
        return x
    total = x.detach().clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total


def own_slice(x: Tensor, local_size: int) -> Tensor:
    """Rows of a gathered tensor that belong to this rank: (R · B_local, …) → (B_local, …)."""
    start = get_rank() * local_size if x.shape[0] != local_size else 0
    return x[start : start + local_size]


@torch.no_grad()
def gather_samples(tensors: Sequence[Tensor], names: Sequence[str | None]) -> list[Tensor]:
    """The samples that all ranks evaluate at the same time, in the order of the data set, each of them once.

    :class:`mgca_mm.datasets.samplers.EvaluationSampler` deals sample by sample and fills up with the last one::

        9 samples, 2 ranks × batch 2    rank 0:  0 2 | 4 6 | 8        rank 1:  1 3 | 5 7 | 8
        gathered                                 0 1 2 3 | 4 5 6 7 | 8

    which are the batches of one process with batch 4. Every rank must come here as often as the others: there is no
    waiting for one that has run out of samples.

    Args:
        tensors: (B, …) each, one row a sample. Other sizes, such as the words of the longest report, may differ between
            the ranks: they are filled up with zeros.
        names: What tells the B samples from one another; None where nothing does, and repeated ones then stay.

    Returns:
        The tensors with the N ≤ R · B rows, the same on every rank, without gradient; as they are with one process.

    Raises:
        UserError: The ranks have different B.
    """
    if get_world_size() == 1:
        return list(tensors)
    everywhere = all_gather_object((list(names), [tuple(x.shape[1:]) for x in tensors]))
    names_of_ranks, shapes_of_ranks = zip(*everywhere, strict=True)
    if len(set(map(len, names_of_ranks))) > 1:
        raise UserError(
            f"The ranks evaluate batches of {', '.join(str(len(own)) for own in names_of_ranks)} samples at once.\n"
            "Give the loader sampler=dict(type='mgca_mm.EvaluationSampler')."
        )
    in_order = [name for row in zip(*names_of_ranks, strict=True) for name in row]
    count = len(in_order)
    while count > 1 and in_order[count - 1] is not None and in_order[count - 1] == in_order[count - 2]:
        count -= 1
    shapes_of_tensors = zip(*shapes_of_ranks, strict=True)
    return [_interleave(x, shapes)[:count] for x, shapes in zip(tensors, shapes_of_tensors, strict=True)]


def _interleave(x: Tensor, shapes: Sequence[tuple[int, ...]]) -> Tensor:
    """Row i of each rank, then row i + 1 of each: (B, …) → (R · B, …)."""
    padded = x.new_zeros(len(x), *map(max, zip(*shapes, strict=True)))
    padded[tuple(slice(size) for size in x.shape)] = x
    parts = [torch.empty_like(padded) for _ in shapes]
    dist.all_gather(parts, padded)
    return torch.stack(parts, dim=1).flatten(0, 1)


# torch.compile traces around it instead of into it, where the gradient would be lost (torch 2.11: an autograd function
# whose result comes from a collective gives zeros).
@torch.compiler.disable
def _gather(x: Tensor) -> Tensor:
    return _Gather.apply(x)


class _Gather(torch.autograd.Function):
    """One message forward, one backward. ``torch.distributed.nn`` sends R of them backward over gloo."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        gathered = x.new_empty(get_world_size() * x.shape[0], *x.shape[1:])
        dist.all_gather_into_tensor(gathered, x.contiguous())
        return gathered

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> Tensor:
        own = grad.new_empty(grad.shape[0] // get_world_size(), *grad.shape[1:])
        dist.reduce_scatter_tensor(own, grad.contiguous())
        return own
