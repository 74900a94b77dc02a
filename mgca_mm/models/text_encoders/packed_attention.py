"""Self-attention of the BERT family over the real pieces of a batch, which stand in one row without padding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgca_mm.models.cls_attention import ClsAttention
from mgca_mm.models.packing import Packing


class PackedAttention(ClsAttention):
    """Lets a transformers model take packed pieces, and keeps the row of [CLS] as :class:`ClsAttention` does.

    All else in such a model treats each piece by itself: given the pieces of all reports as one row (1, N), it computes
    no padding, a third of a typical batch. Only the attention, a fortieth of the arithmetic, is computed report by
    report with padding. A packed row is recognized by its mask, that of the reports: (B, 1, 1, T) where the states are
    (1, N, C). Called with padded pieces the model does what it always does.

    Args:
        layers: The self-attention of each layer, as :meth:`ClsAttention.supports` knows it, with ``query``, ``key`` and
            ``value``; their ``forward`` is replaced.
    """

    def __init__(self, layers: list[nn.Module]):
        super().__init__(layers[-1])
        self._last = layers[-1]
        self._mask: Tensor | None = None
        self._packing: Packing | None = None
        for attention in layers:
            attention.forward = partial(self._attend, attention, attention.forward)

    def _attend(
        self,
        attention: nn.Module,
        attend_padded: Callable,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if not _is_packed(hidden_states, attention_mask):
            return attend_padded(hidden_states, attention_mask, *args, **kwargs)
        packing = self._packing_of(attention_mask, hidden_states.shape[1])
        projected = packing.unpack(_project(attention, hidden_states[0]))
        projected = projected.unflatten(2, (3, attention.num_attention_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind()  # (B, H, T, d)
        if attention is self._last:
            self.keep_row(query[:, :, :1], key)
        dropout = attention.dropout.p if attention.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attention_mask.to(query.dtype), dropout)
        return packing.pack(context.transpose(1, 2).flatten(2))[None], None

    def _packing_of(self, mask: Tensor, count: int) -> Packing:
        """From the mask, which a checkpointed layer is given again: other reports may have been encoded meanwhile."""
        if torch.compiler.is_compiling():  # which makes one of all layers' by itself
            return Packing.of(mask[:, 0, 0] == 0, count)
        if mask is not self._mask:
            self._mask, self._packing = mask, Packing.of(mask[:, 0, 0] == 0, count)
        return self._packing

    @torch.no_grad()
    def _compute_row(self, attention: nn.Module, args: tuple, kwargs: dict) -> None:
        names = dict(zip(("hidden_states", "attention_mask"), args, strict=False)) | kwargs
        if not _is_packed(names["hidden_states"], names.get("attention_mask")):
            super()._compute_row(attention, args, kwargs)


def _project(attention: nn.Module, states: Tensor) -> Tensor:
    """Queries, keys and values beside each other: (N, C) → (N, 3 C)."""
    layers = (attention.query, attention.key, attention.value)
    if any(type(layer) is not nn.Linear for layer in layers):  # such as an adapter of them
        return torch.cat([layer(states) for layer in layers], dim=1)
    # One product, for which autocast casts the states once.
    weight, bias = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("weight", "bias"))
    return F.linear(states, weight, bias)


def _is_packed(hidden_states: Tensor, attention_mask: Tensor | None) -> bool:
    """Of a single report without padding, both layouts are the same."""
    if attention_mask is None or hidden_states.shape[0] > 1:
        return False
    return attention_mask.shape[0] > 1 or attention_mask.shape[-1] != hidden_states.shape[1]
