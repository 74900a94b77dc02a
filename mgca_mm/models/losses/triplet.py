"""Hinge loss on the hardest negatives of a batch."""

import torch
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class TripletLoss(nn.Module):
    """Each pair should be more similar than its n hardest negatives by a margin, both ways.

    With s_ij the cosine of image i and report j and N_n(i) the n reports most similar to image i but its own::

        loss = 1/B Σ_i [ 1/n Σ_{j ∈ N_n(i)} [m + s_ij - s_ii]₊  +  the same with images for reports ]

    n = 1 is VSE++ (Faghri et al., BMVC 2018, eq. 6, there summed over the batch) and the loss of DSVE (Engilberge et
    al., CVPR 2018).

    Args:
        margin: m.
        num_negatives: n; all there are where a batch has fewer.
    """

    def __init__(self, margin: float = 0.2, num_negatives: int = 1):
        super().__init__()
        require_positive(margin=margin, num_negatives=num_negatives)
        self.margin = margin
        self.num_negatives = num_negatives

    def forward(self, similarity_per_image: Tensor, similarity_per_text: Tensor, target: Tensor) -> Tensor:
        """Loss of the local rows against the global columns; arguments and result as in :class:`InfoNCELoss`."""
        return self._hinge(similarity_per_image, target) + self._hinge(similarity_per_text, target)

    def _hinge(self, similarity: Tensor, target: Tensor) -> Tensor:
        columns = similarity.shape[1]
        own = target[:, None] == torch.arange(columns, device=target.device)  # (B_local, B_global)
        positive = similarity.gather(1, target[:, None])
        violation = (self.margin + similarity - positive).clamp(min=0).masked_fill(own, 0)
        return violation.topk(max(1, min(self.num_negatives, columns - 1)), dim=1).values.mean()
