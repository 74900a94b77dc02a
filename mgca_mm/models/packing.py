"""The real tokens of a batch without its padding: what treats each token by itself need not compute the rest."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import FunctionCtx


class Packing(NamedTuple):
    """Where the N real tokens of a padded batch (B, T) stand, row by row.

    Attributes:
        index: (N,) place b · T + t of each real token.
        slot: (B, T) number 0 to N - 1 of the token that stands there; any where there is padding.
        mask: (B, T) True = real.
    """

    index: Tensor
    slot: Tensor
    mask: Tensor

    @classmethod
    def of(cls, mask: Tensor, count: int | None = None) -> "Packing":
        """Make the packing of the tokens that a mask marks as real.

        Args:
            mask: (B, T) True = real.
            count: N, for a host that must not wait for the device. None: it is counted there.
        """
        real = mask.flatten()
        index = real.nonzero() if count is None else torch.nonzero_static(real, size=count)
        return cls(index.squeeze(1), (real.cumsum(0) - 1).clamp(min=0).view_as(mask), mask)

    def pack(self, padded: Tensor) -> Tensor:
        """(B, T, C) → (N, C)."""
        return _Pack.apply(padded, *self)

    def unpack(self, packed: Tensor) -> Tensor:
        """(N, C) → (B, T, C), zero where there is padding."""
        return _Unpack.apply(packed, *self)


def real_first(mask: Tensor, *tensors: Tensor) -> list[Tensor]:
    """Move the padding of each row behind its real tokens, wherever it stands.

    Args:
        mask: (B, T) 1 or True = real.
        tensors: (B, T) each.

    Returns:
        ``mask`` and ``tensors`` in the new order.
    """
    order = mask.int().argsort(dim=1, descending=True, stable=True)
    return [tensor.gather(1, order) for tensor in (mask, *tensors)]


# Each is the other's backward pass: reading, where PyTorch's own would add to places in an order that changes, and
# sort them on a GPU.
class _Pack(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, padded: Tensor, *packing: Tensor) -> Tensor:
        ctx.save_for_backward(*packing)
        return _read(padded, Packing(*packing))

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _spread(gradient, Packing(*ctx.saved_tensors)), None, None, None


class _Unpack(Function):
    @staticmethod
    def forward(ctx: FunctionCtx, packed: Tensor, *packing: Tensor) -> Tensor:
        ctx.save_for_backward(*packing)
        return _spread(packed, Packing(*packing))

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        return _read(gradient, Packing(*ctx.saved_tensors)), None, None, None


def _read(padded: Tensor, packing: Packing) -> Tensor:
    return padded.flatten(0, 1).index_select(0, packing.index)


def _spread(packed: Tensor, packing: Packing) -> Tensor:
    return packed[packing.slot].masked_fill_(~packing.mask[..., None], 0)
