"""Alignment without negatives: orthogonal latent variables keep the image encoder from collapse (M-FLAG)."""

import torch
from torch import Tensor

from mgca_mm.distributed import gather
from mgca_mm.errors import require_not_negative
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class OrthogonalAlignment(Alignment):
    """Pairs close together, latent variables of the images orthogonal (Liu et al., *M-FLAG*, MICCAI 2023).

    With the normalized embeddings v, t of a pair, and H (B, C) the image encoder's global features before their
    projection::

        loss_closeness     = 2/B Σ_i ‖v_i - t_i‖²
        loss_orthogonality = ½ [ Σ_c (1 - G_cc)²  +  w Σ_{c≠d} G_cd² ]          G = Hᵀ H / B

    The factors are those of the authors' code. There are no negatives, and the text encoder is frozen
    (``TextEncoder(frozen=True)``).

    Args:
        off_diagonal_weight: w.
        loss_weight: Weight of both terms.
        init_cfg: MMEngine initialization.
    """

    def __init__(self, off_diagonal_weight: float = 0.0051, loss_weight: float = 1.0, init_cfg: dict | None = None):
        super().__init__(init_cfg, loss_weight)
        require_not_negative(off_diagonal_weight=off_diagonal_weight)
        self.off_diagonal_weight = off_diagonal_weight

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute both terms of a batch.

        Args:
            image: Projected and L2-normalized embeddings (B, D); ``latent`` (B, C), neither, in the
                precision of the encoder.
            text: Projected and L2-normalized embeddings (B, D).

        Returns:
            ``loss_closeness`` and ``loss_orthogonality``.
        """
        closeness = 2 * (image.global_feature - text.global_feature).square().sum(dim=1).mean()
        # The square of a mean is not the mean of the ranks' squares: every rank takes the whole batch.
        latent = image.latent.to(image.global_feature.dtype)  # the encoder's may be bf16
        latent = gather(latent) if self.training else latent
        gram = latent.T @ latent / len(latent)  # (C, C)
        errors = (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square()
        diagonal = errors.diagonal().sum()
        orthogonality = (diagonal + self.off_diagonal_weight * (errors.sum() - diagonal)) / 2
        return dict(loss_closeness=closeness * self.loss_weight, loss_orthogonality=orthogonality * self.loss_weight)
