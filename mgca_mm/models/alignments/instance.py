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
        target: Config of which reports answer an image besides its own (:mod:`mgca_mm.models.alignments.targets`), for
            a ``loss`` that takes probabilities, as ``InfoNCELoss`` does. None: none does.
        init_cfg: MMEngine initialization.
    """

    def __init__(
        self,
        loss: dict | None = None,
        loss_weight: float = 1.0,
        gather: bool = True,
        chunk_size: int | None = None,
        target: dict | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        require_positive(chunk_size=chunk_size)
        self.loss = MODELS.build(loss or dict(type="mgca_mm.InfoNCELoss"))
        self.gather = gather
        self.chunk_size = chunk_size
        self.target = None if target is None else MODELS.build(target)
        if target is not None and not getattr(self.loss, "takes_probabilities", False):
            raise ValueError(f"{type(self.loss).__name__} takes one report an image: leave target out")

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch; only the rows of the local samples are scored.

        Args:
            image: Projected and L2-normalized embeddings.
            text: Projected and L2-normalized embeddings.

        Returns:
            ``loss_ita`` and the in-batch retrieval accuracies ``acc_i2t``, ``acc_t2i`` in percent: how often the most
            similar one is a best answer.
        """
        local_images, local_texts = image.global_feature, text.global_feature  # (B, D)
        across_ranks = self.gather and self.training
        all_images = gather(local_images) if across_ranks else local_images  # (R·B, D)
        all_texts = gather(local_texts) if across_ranks else local_texts
        index = own_slice(torch.arange(all_texts.shape[0], device=local_images.device), local_images.shape[0])
        columns = (all_images, all_texts)
        if self.target is not None:
            described = self.target.describe(image, text)
            columns += (gather(described) if across_ranks else described,)
        rows = (local_images, local_texts, index)
        if self.chunk_size is None:
            scores = self._score(*rows, *columns)
        else:
            chunks = zip(*(x.split(self.chunk_size) for x in rows), strict=True)
            scores = sum(
                checkpoint(self._score, *chunk, *columns, use_reentrant=False) * len(chunk[0]) for chunk in chunks
            ) / len(index)
        loss, acc_i2t, acc_t2i = scores
        return dict(loss_ita=loss * self.loss_weight, acc_i2t=acc_i2t.detach(), acc_t2i=acc_t2i.detach())

    def _score(
        self,
        images: Tensor,
        texts: Tensor,
        index: Tensor,
        all_images: Tensor,
        all_texts: Tensor,
        all_described: Tensor | None = None,
    ) -> Tensor:
        """Loss and the two accuracies (3,), means over some rows."""
        similarity_per_image = images @ all_texts.T  # (B, R·B)
        similarity_per_text = texts @ all_images.T
        target = index
        if all_described is not None:
            weight = self.target(all_described.index_select(0, index), all_described).to(images.dtype)
            target = weight / weight.sum(dim=-1, keepdim=True)
        loss = self.loss(similarity_per_image, similarity_per_text, target)
        image_target, text_target = target if target.dim() == 3 else (target, target)
        accuracies = _accuracy(similarity_per_image, image_target), _accuracy(similarity_per_text, text_target)
        return torch.stack([loss, *accuracies])


@torch.no_grad()
def _accuracy(similarity: Tensor, target: Tensor) -> Tensor:
    """Percentage of rows of which the highest similarity stands where the target is highest."""
    found = similarity.argmax(dim=1)
    if target.dim() == 2:
        found, target = target.take_along_dim(found[:, None], dim=1), target.amax(dim=1, keepdim=True)
    return (found == target).to(similarity.dtype).mean() * 100
