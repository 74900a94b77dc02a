"""Attention of one modality's tokens over the other's."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class CrossModalAttention(BaseModule):
    """Learnable single-head attention O(softmax(QKᵀ/√d) V), Q, K, V, O ∈ R^{d×d} without bias (MGCA eq. 4).

    Args:
        embed_dims: d.
        init_cfg: MMEngine initialization.
    """

    def __init__(self, embed_dims: int = 128, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        require_positive(embed_dims=embed_dims)
        self.query = nn.Linear(embed_dims, embed_dims, bias=False)
        self.key = nn.Linear(embed_dims, embed_dims, bias=False)
        self.value = nn.Linear(embed_dims, embed_dims, bias=False)
        self.output = nn.Linear(embed_dims, embed_dims, bias=False)

    def forward(self, tokens: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """Compute what each token sees in the other modality.

        Args:
            tokens: (B, T, D) that ask.
            context: (B, U, D) that answer.
            context_mask: (B, U) True = real; padding gets no attention. None: all are real. Every sample needs at
                least one real entry.

        Returns:
            (B, T, D) cross-modal context of each token.
        """
        attended = _attend(self.query(tokens), self.key(context), self.value(context), context_mask)
        return self.output(attended)

    def weights(self, tokens: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """The map (B, T, U) that :meth:`forward` never stores, for a person to look at."""
        query = self.query(tokens)
        return _weights(query, self.key(context), context_mask, query.shape[-1] ** -0.5)


@MODELS.register_module()
class SimilarityAttention(BaseModule):
    """Attention without parameters, softmax(cosine / τ), as in the released MGCA code.

    Args:
        temperature: τ.
        init_cfg: MMEngine initialization.
    """

    def __init__(self, temperature: float = 0.1, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        require_positive(temperature=temperature)
        self.temperature = temperature

    def forward(self, tokens: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """Attend; arguments and result as in :meth:`CrossModalAttention.forward`, inputs L2-normalized."""
        return _attend(tokens, context, context, context_mask, scale=1 / self.temperature)

    def weights(self, tokens: Tensor, context: Tensor, context_mask: Tensor | None = None) -> Tensor:
        """As :meth:`CrossModalAttention.weights`."""
        return _weights(tokens, context, context_mask, 1 / self.temperature)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scale: float | None = None) -> Tensor:
    """Single-head attention, (B, T, D), (B, U, D), (B, U, D) → (B, T, D).

    The axis of the one head is there because the kernels that never store the (T, U) map ask for four axes.
    """
    mask = None if mask is None else mask[:, None, None, :]
    return F.scaled_dot_product_attention(
        query[:, None], key[:, None], value[:, None], attn_mask=mask, scale=scale
    ).squeeze(1)


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, scale: float) -> Tensor:
    """Attention map, (B, T, D), (B, U, D) → (B, T, U)."""
    logits = query @ key.transpose(1, 2) * scale
    if mask is not None:
        logits = logits.masked_fill(~mask[:, None], -torch.inf)
    return logits.softmax(dim=-1)
