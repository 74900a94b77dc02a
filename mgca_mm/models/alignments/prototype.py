"""Cross-modal prototype alignment (CPA)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.models.losses import sinkhorn_codes
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class PrototypeAlignment(Alignment):
    """Makes both modalities of a pair choose the same disease-level prototype (MGCA §3.4).

    Args:
        num_prototypes: K.
        embed_dims: D.
        epsilon: ε of Sinkhorn-Knopp.
        num_iterations: Iterations of Sinkhorn-Knopp.
        loss: Config of the swapped-prediction loss.
        loss_weight: λ3 of eq. 10.
        gather: Balance the codes over the batch of all ranks (paper) or of this rank only.
        init_cfg: MMEngine initialization.

    Attributes:
        frozen: No gradient reaches the prototypes while True; ``FreezePrototypesHook`` sets it in the first epoch.
    """

    def __init__(
        self,
        num_prototypes: int = 500,
        embed_dims: int = 128,
        epsilon: float = 0.05,
        num_iterations: int = 3,
        loss: dict | None = None,
        loss_weight: float = 1.0,
        gather: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        if num_prototypes < 2:
            raise ValueError(f"num_prototypes must be at least 2, got {num_prototypes}")
        require_positive(embed_dims=embed_dims, epsilon=epsilon, num_iterations=num_iterations)
        self.prototypes = nn.Parameter(torch.empty(num_prototypes, embed_dims))
        # The initialization of a linear layer, as the prototypes are one without bias.
        nn.init.kaiming_uniform_(self.prototypes, a=math.sqrt(5))
        self.epsilon = epsilon
        self.num_iterations = num_iterations
        self.loss = MODELS.build(loss or dict(type="mgca_mm.SwappedPredictionLoss"))
        self.gather = gather
        self.frozen = False

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            image: Projected and L2-normalized embeddings (B, D).
            text: Projected and L2-normalized embeddings (B, D).

        Returns:
            ``loss_cpa`` and ``prototype_usage``: the entropy of the batch's mean code over log K, 1 where all
            prototypes are used alike, 0 where one takes all.
        """
        prototypes = self._unit_prototypes()  # (K, D)
        image_scores = image.global_feature @ prototypes.T  # (B, K)
        text_scores = text.global_feature @ prototypes.T
        across_ranks = self.gather and self.training
        image_codes, text_codes = sinkhorn_codes(
            torch.stack([image_scores, text_scores]), self.epsilon, self.num_iterations, across_ranks
        )
        loss = self.loss(image_scores, text_scores, image_codes, text_codes) * self.loss_weight
        mean_code = (image_codes.mean(dim=0) + text_codes.mean(dim=0)) / 2
        usage = torch.special.entr(mean_code).sum() / math.log(self.prototypes.shape[0])
        return dict(loss_cpa=loss, prototype_usage=usage)

    def _unit_prototypes(self) -> Tensor:
        """Prototypes on the unit sphere; in training the parameter itself is put back there at every step."""
        if not self.training:
            return F.normalize(self.prototypes, dim=1)
        with torch.no_grad():
            self.prototypes.copy_(F.normalize(self.prototypes, dim=1))
        # A gradient of zero, not None: DistributedDataParallel waits for a gradient of every parameter.
        return self.prototypes.detach() + 0 * self.prototypes if self.frozen else self.prototypes
