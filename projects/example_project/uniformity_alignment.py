"""An alignment from outside the package: pairs close together, everything else spread out."""

import torch
from torch import Tensor

from mgca_mm.distributed import gather
from mgca_mm.models import Alignment
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures


@MODELS.register_module()
class UniformityAlignment(Alignment):
    """Alignment and uniformity on the sphere (Wang and Isola, ICML 2020), for images v and reports t::

        loss = mean_i ‖v_i - t_i‖²  +  w/2 Σ_{x ∈ {v, t}} log mean_{i<j} exp(-2 ‖x_i - x_j‖²)

    Args:
        uniformity_weight: w.
    """

    def __init__(self, uniformity_weight: float = 1.0):
        super().__init__()
        self.uniformity_weight = uniformity_weight

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch of L2-normalized embeddings (B, D)."""
        images, texts = image.global_feature, text.global_feature
        closeness = (images - texts).square().sum(dim=1).mean()
        # The logarithm of a mean is not the mean of the ranks' logarithms: every rank takes the whole batch.
        spread = (self._spread(images) + self._spread(texts)) / 2
        loss = closeness + self.uniformity_weight * spread
        return dict(loss_uniformity=loss, closeness=closeness.detach(), spread=spread.detach())

    def _spread(self, x: Tensor) -> Tensor:
        x = gather(x) if self.training else x
        if len(x) < 2:
            return x.new_zeros(())
        return torch.pdist(x).square().mul(-2).exp().mean().log()
