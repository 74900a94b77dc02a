"""Self-attention of the BERT family over the real pieces of a batch, which stand in one row without padding."""

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
    report with padding. A packed row is told by its mask, that of the reports: (B, 1, 1, T) where the states are
    (1, N, C). Called with padded pieces the model does what it always does.

    Args:
        layers: The self-attention of each layer, as :meth:`ClsAttention.supports` knows it, with ``query``, ``key`` and
            ``value``; their ``forward`` is replaced.

    Attributes:
        packing: Of the pieces, to be set before the model runs.
    """

    def __init__(self, layers: list[nn.Module]):
        super().__init__(layers[-1])
        self.packing: Packing | None = None
        self._last = layers[-1]
        for attention in layers:
            attention.forward = partial(self._attend, attention, attention.forward)

    def _attend(
        self,
        attention: nn.Module,
        attend_padded: Any,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, Tensor | None]:
        if not _is_packed(hidden_states, attention_mask):
            return attend_padded(hidden_states, attention_mask, *args, **kwargs)
        # One product, for which the states are cast and unpacked once.
        projections = (attention.query, attention.key, attention.value)
        weight, bias = (torch.cat([getattr(layer, name) for layer in projections]) for name in ("weight", "bias"))
        projected = self.packing.unpack(F.linear(hidden_states[0], weight, bias))
        projected = projected.unflatten(2, (3, attention.num_attention_heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = projected.unbind()  # (B, H, T, d)
        if attention is self._last:
            self.keep_row(query[:, :, :1], key)
        dropout = attention.dropout.p if attention.training else 0.0
        context = F.scaled_dot_product_attention(query, key, value, attention_mask.to(query.dtype), dropout)
        return self.packing.pack(context.transpose(1, 2).flatten(2))[None], None

    @torch.no_grad()
    def _compute_row(self, attention: nn.Module, args: tuple, kwargs: dict) -> None:
        hidden_states, mask = (*args, None)[:2] if len(args) > 1 else (args[0], kwargs.get("attention_mask"))
        if not _is_packed(hidden_states, mask):
            super()._compute_row(attention, args, kwargs)


def _is_packed(hidden_states: Tensor, attention_mask: Tensor | None) -> bool:
    """Of a single report without padding, both layouts are the same."""
    if attention_mask is None:
        return False
    return attention_mask.shape[0] != hidden_states.shape[0] or attention_mask.shape[-1] != hidden_states.shape[1]
