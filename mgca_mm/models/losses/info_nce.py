"""Instance-wise InfoNCE between the images and the reports of a batch."""

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from mgca_mm.registry import MODELS


@MODELS.register_module()
class InfoNCELoss(nn.Module):
    """Symmetric InfoNCE over a batch (MGCA eq. 1-3).

    Row i of ``logits_per_image`` holds image i against every report, its target is the column of its own report::

                 report 1   report 2   …            ┌ cross-entropy along rows: image → report
        image 1 [   ●          ·       …  ]  / τ ──▶│
        image 2 [   ·          ●       …  ]         └ the same for logits_per_text: report → image

    Args:
        temperature: τ1 that divides the cosine similarities.
        reduction: ``'mean'`` of the two directions (paper) or their ``'sum'`` (released code).
    """

    def __init__(self, temperature: float = 0.1, reduction: Literal["mean", "sum"] = "mean"):
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"temperature must be positive, got {temperature}")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        self.temperature = temperature
        self.reduction = reduction

    def forward(self, similarity_per_image: Tensor, similarity_per_text: Tensor, target: Tensor) -> Tensor:
        """Loss of the local rows against the global columns.

        Args:
            similarity_per_image: (B_local, B_global) cosine of the local images with all reports.
            similarity_per_text: (B_local, B_global) cosine of the local reports with all images.
            target: (B_local,) column of each row's own partner.

        Returns:
            Scalar loss.
        """
        image_to_text = F.cross_entropy(similarity_per_image / self.temperature, target)
        text_to_image = F.cross_entropy(similarity_per_text / self.temperature, target)
        total = image_to_text + text_to_image
        return total / 2 if self.reduction == "mean" else total
