"""Instance-wise cross-modal alignment (ITA)."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mgca_mm.distributed import gather, own_slice
from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class InstanceAlignment(Alignment):
    """Pulls each radiograph towards its own report, away from the reports of the others (MGCA §3.2).

    Args:
        loss: Config of the loss on the two similarity matrices.
        loss_weight: λ1 of eq. 10.
        gather: Take negatives from all ranks (paper: the batch is the global one) or from this rank only (released).
        chunk_size: Score so many of the local rows at a time, and again in the backward pass, so that memory is that of
            ``chunk_size`` × B_global similarities instead of B_local × B_global. None: all at once.
        init_cfg: MMEngine initialization.
    """

    def __init__(
        self,
        loss: dict | None = None,
        loss_weight: float = 1.0,
        gather: bool = True,
        chunk_size: int | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        require_positive(chunk_size=chunk_size)
        self.loss = MODELS.build(loss or dict(type="mgca_mm.InfoNCELoss"))
        self.gather = gather
        self.chunk_size = chunk_size

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch; only the rows of the local samples are scored.

        Args:
            image: Projected and L2-normalized embeddings.
            text: Projected and L2-normalized embeddings.

        Returns:
            ``loss_ita`` and the in-batch retrieval accuracies ``acc_i2t``, ``acc_t2i`` in percent.
        """
        local_images, local_texts = image.global_feature, text.global_feature  # (B, D)
        across_ranks = self.gather and self.training
        all_images = gather(local_images) if across_ranks else local_images  # (R·B, D)
        all_texts = gather(local_texts) if across_ranks else local_texts
        target = own_slice(torch.arange(all_texts.shape[0], device=local_images.device), local_images.shape[0])
        rows = (local_images, local_texts, target)
        if self.chunk_size is None:
            scores = self._score(*rows, all_images, all_texts)
        else:
            chunks = zip(*(x.split(self.chunk_size) for x in rows), strict=True)
            scores = sum(
                checkpoint(self._score, *chunk, all_images, all_texts, use_reentrant=False) * len(chunk[0])
                for chunk in chunks
            ) / len(target)
        loss, acc_i2t, acc_t2i = scores
        return dict(loss_ita=loss * self.loss_weight, acc_i2t=acc_i2t.detach(), acc_t2i=acc_t2i.detach())

    def _score(self, images: Tensor, texts: Tensor, target: Tensor, all_images: Tensor, all_texts: Tensor) -> Tensor:
        """Loss and the two accuracies (3,), means over some rows."""
        similarity_per_image = images @ all_texts.T  # (B, R·B)
        similarity_per_text = texts @ all_images.T
        loss = self.loss(similarity_per_image, similarity_per_text, target)
        with torch.no_grad():
            acc_i2t = (similarity_per_image.argmax(dim=1) == target).to(loss.dtype).mean() * 100
            acc_t2i = (similarity_per_text.argmax(dim=1) == target).to(loss.dtype).mean() * 100
        return torch.stack([loss, acc_i2t, acc_t2i])
