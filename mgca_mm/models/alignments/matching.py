"""Image-text matching as a binary question (Contrastive-Binary)."""

import torch
import torch.nn.functional as F
from mmengine.dist import get_rank
from torch import Tensor, nn

from mgca_mm.distributed import gather
from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class MatchingAlignment(Alignment):
    """Is this the report of this image? Asked of each pair, and of each image with the report of another.

    A classifier f on both embeddings side by side (the cross-modality matching of Tan and Bansal, *LXMERT*, EMNLP
    2019), with j(i) the pair half a batch away::

        loss = - 1/2B Σ_i [ log σ(f(v_i, t_i)) + log σ(-f(v_i, t_j(i))) ]

    Training batches are shuffled, so j(i) is drawn by chance without being drawn here, and the same on any number of
    ranks.

    Args:
        embed_dims: D.
        hidden_channels: Width of the classifier's hidden layer.
        loss_weight: Weight of the loss.
        gather: Take the other report from all ranks or from this rank only.
        init_cfg: MMEngine initialization.
    """

    def __init__(
        self,
        embed_dims: int = 128,
        hidden_channels: int = 512,
        loss_weight: float = 1.0,
        gather: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        require_positive(embed_dims=embed_dims, hidden_channels=hidden_channels)
        self.classifier = nn.Sequential(
            nn.Linear(2 * embed_dims, hidden_channels), nn.ReLU(), nn.Linear(hidden_channels, 1)
        )
        self.gather = gather

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            image: Projected and L2-normalized embeddings (B, D).
            text: Projected and L2-normalized embeddings (B, D).

        Returns:
            ``loss_matching`` and the accuracy ``acc_matching`` in percent. A batch of one has no other report: its pair
            alone counts.
        """
        images, texts = image.global_feature, text.global_feature
        local = len(texts)
        across_ranks = self.gather and self.training
        all_texts = gather(texts) if across_ranks else texts  # (R·B, D)
        if len(all_texts) > 1:
            first = (get_rank() * local if len(all_texts) > local else 0) + len(all_texts) // 2
            others = all_texts.roll(-first, dims=0)[:local]
            images, texts = torch.cat([images, images]), torch.cat([texts, others])
        logits = self.classifier(torch.cat([images, texts], dim=1)).squeeze(1)  # (2B,)
        matched = (torch.arange(len(logits), device=logits.device) < local).to(logits.dtype)
        loss = F.binary_cross_entropy_with_logits(logits, matched) * self.loss_weight
        accuracy = ((logits > 0) == (matched > 0)).to(logits.dtype).mean() * 100
        return dict(loss_matching=loss, acc_matching=accuracy)
