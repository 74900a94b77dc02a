"""Token-wise InfoNCE within each image-report pair."""

import torch
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class TokenInfoNCELoss(nn.Module):
    """Weighted InfoNCE between the tokens of one modality and their cross-modal contexts (MGCA eq. 5).

    Within each pair, token j should be most similar to its own context among the contexts of all tokens of the pair,
    and the other way round::

        s_jk = <token_j, context_k> / τ          (T, T) for each sample, one product for both directions

        loss = 1/B Σ_i Σ_j w_ij ½ [ (logsumexp_k s_jk - s_jj) + (logsumexp_k s_kj - s_jj) ]

    With Σ_j w_ij = 1 the printed factor 1/T is dropped (docs/protocol.md#misprints).

    Args:
        temperature: τ2 that divides the cosine similarities.
    """

    def __init__(self, temperature: float = 0.07):
        super().__init__()
        require_positive(temperature=temperature)
        self.temperature = temperature

    def forward(self, tokens: Tensor, contexts: Tensor, weight: Tensor, mask: Tensor | None = None) -> Tensor:
        """Compute the loss of one direction (LIA for visual tokens, LTA for words).

        Args:
            tokens: (B, T, D) L2-normalized token embeddings.
            contexts: (B, T, D) cross-modal context of each token.
            weight: (B, T) weights that sum to 1 over the real tokens of a sample and are 0 elsewhere.
            mask: (B, T) True = real token. Padding is left out of both denominators. None: all are real.

        Returns:
            Scalar loss.
        """
        similarity = tokens @ contexts.transpose(1, 2) / self.temperature  # (B, T, T)
        positive = similarity.diagonal(dim1=1, dim2=2)  # (B, T)
        if mask is None:
            token_to_context = similarity.logsumexp(dim=2)
            context_to_token = similarity.logsumexp(dim=1)
        else:
            # A large finite value instead of -inf: a row of padding would become NaN in the backward pass.
            lowest = torch.finfo(similarity.dtype).min / 2
            token_to_context = similarity.masked_fill(~mask[:, None, :], lowest).logsumexp(dim=2)
            context_to_token = similarity.masked_fill(~mask[:, :, None], lowest).logsumexp(dim=1)
            token_to_context = token_to_context.masked_fill(~mask, 0)
            context_to_token = context_to_token.masked_fill(~mask, 0)
            positive = positive.masked_fill(~mask, 0)
        per_token = (token_to_context + context_to_token) / 2 - positive
        return (weight * per_token).sum() / tokens.shape[0]
