"""Sigmoid instance-wise alignment, for very large batches."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgca_mm.distributed import gather, own_slice
from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class SigmoidAlignment(Alignment):
    """Every image with every report is a question of its own: is this the pair? (Zhai et al., *SigLIP*, ICCV 2023)

    With z_ij = 1 for the pair i = j and −1 otherwise, cosine s_ij, learned temperature t = e^t' and bias b::

        loss = − 1/B Σ_i Σ_j log σ( z_ij (t s_ij + b) )

    There is no denominator over the batch, so no row has to be seen whole; not part of MGCA.

    Args:
        temperature: Initial t.
        bias: Initial b; so low that the many negatives weigh little in the beginning.
        loss_weight: Weight of the loss.
        gather: Take negatives from all ranks or from this rank only.
        init_cfg: MMEngine initialization.
    """

    def __init__(
        self,
        temperature: float = 10.0,
        bias: float = -10.0,
        loss_weight: float = 1.0,
        gather: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        require_positive(temperature=temperature)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature)))
        self.bias = nn.Parameter(torch.tensor(float(bias)))
        self.gather = gather

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Align the local images with the reports of all ranks.

        Args:
            image: Projected and L2-normalized embeddings (B, D).
            text: Projected and L2-normalized embeddings (B, D).

        Returns:
            ``loss_sigmoid``, and the mean probability of the pairs ``p_matched`` and of the others ``p_unmatched``.
        """
        images, texts = image.global_feature, text.global_feature
        if self.gather and self.training:
            texts = gather(texts)  # (R·B, D)
        target = own_slice(torch.arange(texts.shape[0], device=images.device), images.shape[0])
        logits = images @ texts.T * self.log_temperature.exp() + self.bias  # (B, R·B)
        # Not F.one_hot, which waits for the device to check its input.
        matched = (target[:, None] == torch.arange(texts.shape[0], device=target.device)).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits, matched, reduction="none")
        with torch.no_grad():
            probability = logits.sigmoid()
            p_matched = (probability * matched).sum() / matched.sum()
            p_unmatched = (probability * (1 - matched)).sum() / (1 - matched).sum().clamp(min=1)
        loss = losses.sum() / images.shape[0] * self.loss_weight
        return dict(loss_sigmoid=loss, p_matched=p_matched, p_unmatched=p_unmatched)
