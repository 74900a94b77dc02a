"""Instance-wise InfoNCE between the images and the reports of a batch."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class InfoNCELoss(nn.Module):
    """Symmetric InfoNCE over a batch (MGCA eq. 1-3).

    Row i of ``similarity_per_image`` holds image i against every report, its target is the column of its own report::

                 report 1   report 2   …            ┌ cross-entropy along rows: image → report
        image 1 [   ●          ·       …  ]  / τ ──▶│
        image 2 [   ·          ●       …  ]         └ the same for similarity_per_text: report → image

    The mean of the two directions may be weighted, ``λ · (image → report) + (1 - λ) · (report → image)`` (ConVIRT
    eq. 4), and τ may be learned (CLIP).

    Args:
        temperature: τ1 that divides the cosine similarities; its initial value where it is learned.
        reduction: ``'mean'`` of the two directions (paper) or their ``'sum'`` (released code).
        image_weight: λ of the mean.
        learnable: Learn log τ; τ stays above :attr:`MIN_TEMPERATURE`, as CLIP keeps its scale below 100.
    """

    MIN_TEMPERATURE = 0.01
    takes_probabilities = True  # as targets

    def __init__(
        self,
        temperature: float = 0.1,
        reduction: Literal["mean", "sum"] = "mean",
        image_weight: float = 0.5,
        learnable: bool = False,
    ):
        super().__init__()
        require_positive(temperature=temperature)
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        if not 0 <= image_weight <= 1 or (reduction == "sum" and image_weight != 0.5):
            raise ValueError(f"image_weight must be in [0, 1], and 0.5 for a sum, got {image_weight}")
        self.temperature = temperature
        self.reduction = reduction
        self.image_weight = image_weight
        self.log_temperature = nn.Parameter(torch.tensor(math.log(temperature))) if learnable else None

    def forward(self, similarity_per_image: Tensor, similarity_per_text: Tensor, target: Tensor) -> Tensor:
        """Loss of the local rows against the global columns.

        Args:
            similarity_per_image: (B_local, B_global) cosine of the local images with all reports.
            similarity_per_text: (B_local, B_global) cosine of the local reports with all images.
            target: (B_local,) column of each row's own partner, or (B_local, B_global) probabilities of all columns,
                the same for both directions; (2, B_local, B_global) where each direction has its own.

        Returns:
            Scalar loss.
        """
        temperature = self._current_temperature()
        image_target, text_target = target if target.dim() == 3 else (target, target)
        image_to_text = F.cross_entropy(similarity_per_image / temperature, image_target)
        text_to_image = F.cross_entropy(similarity_per_text / temperature, text_target)
        if self.reduction == "sum":
            return image_to_text + text_to_image
        return self.image_weight * image_to_text + (1 - self.image_weight) * text_to_image

    def _current_temperature(self) -> float | Tensor:
        if self.log_temperature is None:
            return self.temperature
        if self.training:
            # The parameter itself is put back, for a clamped value would never get a gradient again.
            with torch.no_grad():
                self.log_temperature.clamp_(min=math.log(self.MIN_TEMPERATURE))
        return self.log_temperature.exp()
