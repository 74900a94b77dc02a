"""Cross-attention-based token-wise alignment (CTA)."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from mgca_mm.models.token_weights import normalize_token_weight
from mgca_mm.registry import MODELS
from mgca_mm.structures import CrossAttention, ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class TokenAlignment(Alignment):
    """Pulls each region and each word towards its cross-modal context (MGCA §3.3).

    LIA looks from the visual tokens at the words, LTA from the words at the visual tokens; each direction has an
    attention of its own. CTA is their mean (released code: their sum).

    Args:
        attention: Config of the attention, built once for each direction.
        loss: Config of the token-wise loss.
        loss_weight: λ2 of eq. 10.
        mask_padding: Leave padding words out of the InfoNCE denominators. The released code keeps them in, and takes
            for its quantiles the words of non-zero weight instead of the real ones.
        normalize_contexts: Directions whose contexts are L2-normalized before the similarity, of ``'image'`` (the
            contexts of visual tokens) and ``'text'`` (the released ViT normalizes those of words only).
        clip_quantiles: Quantiles to which the weights of a sample are clipped.
        reduction: ``'mean'`` or ``'sum'`` of the two directions.
        init_cfg: MMEngine initialization.
    """

    uses_tokens = True

    def __init__(
        self,
        attention: dict | None = None,
        loss: dict | None = None,
        loss_weight: float = 1.0,
        mask_padding: bool = True,
        normalize_contexts: tuple[str, ...] = ("image", "text"),
        clip_quantiles: tuple[float, float] = (0.1, 0.9),
        reduction: Literal["mean", "sum"] = "mean",
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        if not set(normalize_contexts) <= {"image", "text"}:
            raise ValueError(f"normalize_contexts holds 'image' and 'text' only, got {normalize_contexts}")
        attention = attention or dict(type="mgca_mm.CrossModalAttention")
        self.image_attention = MODELS.build(attention)
        self.text_attention = MODELS.build(attention)
        self.loss = MODELS.build(loss or dict(type="mgca_mm.TokenInfoNCELoss"))
        self.mask_padding = mask_padding
        self.normalize_contexts = tuple(normalize_contexts)
        self.clip_quantiles = tuple(clip_quantiles)
        self.reduction = reduction

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch, within each pair.

        Args:
            image: Projected, L2-normalized tokens (B, S, D) with weights (B, S).
            text: Projected, L2-normalized tokens (B, L, D) with weights and mask (B, L).

        Returns:
            ``loss_cta`` and its two parts before reduction, ``lia`` and ``lta``.
        """
        image_contexts = self.image_attention(image.tokens, text.tokens, text.token_mask)  # (B, S, D)
        text_contexts = self.text_attention(text.tokens, image.tokens)  # (B, L, D)
        if "image" in self.normalize_contexts:
            image_contexts = F.normalize(image_contexts, dim=-1)
        if "text" in self.normalize_contexts:
            text_contexts = F.normalize(text_contexts, dim=-1)

        all_regions = torch.ones_like(image.token_weight, dtype=torch.bool)
        weighted_words = text.token_mask if self.mask_padding else text.token_weight > 0
        image_weight = normalize_token_weight(image.token_weight, all_regions, self.clip_quantiles)
        text_weight = normalize_token_weight(text.token_weight, weighted_words, self.clip_quantiles)

        lia = self.loss(image.tokens, image_contexts, image_weight)
        lta = self.loss(text.tokens, text_contexts, text_weight, text.token_mask if self.mask_padding else None)
        total = lia + lta
        if self.reduction == "mean":
            total = total / 2
        return dict(loss_cta=total * self.loss_weight, lia=lia.detach(), lta=lta.detach())

    def attend(self, image: ImageFeatures, text: TextFeatures) -> CrossAttention:
        """The attention of eq. 4, from words to regions and from regions to words."""
        return CrossAttention(
            self.text_attention.weights(text.tokens, image.tokens),
            self.image_attention.weights(image.tokens, text.tokens, text.token_mask),
        )
