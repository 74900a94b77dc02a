"""Instance-wise cross-modal alignment (ITA)."""

import torch
from mmengine.model import BaseModule
from torch import Tensor

from mgca_mm.distributed import gather, own_slice
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures


@MODELS.register_module()
class InstanceAlignment(BaseModule):
    """Pulls each radiograph towards its own report, away from the reports of the others (MGCA §3.2).

    Args:
        loss: Config of the loss on the two similarity matrices.
        loss_weight: λ1 of eq. 10.
        gather: Take negatives from all ranks (paper: the batch is the global one) or from this rank only (released).
        init_cfg: MMEngine initialisation.
    """

    uses_tokens = False

    def __init__(
        self, loss: dict | None = None, loss_weight: float = 1.0, gather: bool = True, init_cfg: dict | None = None
    ):
        super().__init__(init_cfg)
        self.loss = MODELS.build(loss or dict(type="mgca_mm.InfoNCELoss"))
        self.loss_weight = loss_weight
        self.gather = gather

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Align; only the rows of the local samples are computed.

        Args:
            image: Projected and L2-normalised embeddings.
            text: Projected and L2-normalised embeddings.

        Returns:
            ``loss_ita`` and the in-batch retrieval accuracies ``acc_i2t``, ``acc_t2i`` in percent.
        """
        local_images, local_texts = image.global_feature, text.global_feature  # (B, D)
        across_ranks = self.gather and self.training
        all_images = gather(local_images) if across_ranks else local_images  # (R·B, D)
        all_texts = gather(local_texts) if across_ranks else local_texts
        similarity_per_image = local_images @ all_texts.T  # (B, R·B)
        similarity_per_text = local_texts @ all_images.T
        target = own_slice(torch.arange(all_texts.shape[0], device=local_images.device), local_images.shape[0])
        with torch.no_grad():
            acc_i2t = (similarity_per_image.argmax(dim=1) == target).float().mean() * 100
            acc_t2i = (similarity_per_text.argmax(dim=1) == target).float().mean() * 100
        loss = self.loss(similarity_per_image, similarity_per_text, target) * self.loss_weight
        return dict(loss_ita=loss, acc_i2t=acc_i2t, acc_t2i=acc_t2i)
