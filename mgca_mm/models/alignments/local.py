"""Local alignment of words with image regions, across the pairs of a batch (GLoRIA)."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from mgca_mm.distributed import gather, own_slice
from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS
from mgca_mm.structures import CrossAttention, ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class LocalAlignment(Alignment):
    """Contrasts each image with each report word by word (Huang et al., *GLoRIA*, ICCV 2021, §3.2.2).

    For image i with regions v_s and report j with real words t_l, neither of them normalized::

        a_ls   = softmax_l(v_s · t_l)                 each region among the words
        α_ls   = softmax_s(τ1 · a_ls)                 each word looks at the regions
        c_l    = Σ_s α_ls v_s                         what it sees
        sim_ij = log Σ_l exp(τ2 · cos(c_l, t_l))

    and InfoNCE over the batch on ``sim``. GLoRIA multiplies by the sharpness τ3 = 10 where ``InfoNCELoss`` divides by
    ``temperature`` = 0.1, and adds the two directions. All pairs at once would take B² · L · S numbers several times
    over; a few reports at a time, computed again in the backward pass, take ``chunk_size`` · B · L · S. On several
    ranks each scores its own reports with the images of all.

    Args:
        word_sharpness: τ1.
        report_sharpness: τ2.
        loss: Config of the loss on the similarities of images and reports.
        loss_weight: Weight of the loss.
        gather: Take negatives from all ranks or from this rank only.
        chunk_size: Reports at a time. None: all, and nothing is computed twice.
        init_cfg: MMEngine initialization.
    """

    uses_tokens = True

    def __init__(
        self,
        word_sharpness: float = 4.0,
        report_sharpness: float = 5.0,
        loss: dict | None = None,
        loss_weight: float = 1.0,
        gather: bool = True,
        chunk_size: int | None = 4,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        require_positive(word_sharpness=word_sharpness, report_sharpness=report_sharpness, chunk_size=chunk_size)
        self.word_sharpness = word_sharpness
        self.report_sharpness = report_sharpness
        self.loss = MODELS.build(loss or dict(type="mgca_mm.InfoNCELoss", temperature=0.1, reduction="sum"))
        self.gather = gather
        self.chunk_size = chunk_size

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            image: Projected tokens (B, S, D), not normalized.
            text: Projected tokens (B, L, D), not normalized, with their mask (B, L).

        Returns:
            ``loss_local``.
        """
        across_ranks = self.gather and self.training
        all_regions = gather(image.tokens) if across_ranks else image.tokens  # (R·B, S, D)
        per_text = self.similarity(text.tokens, text.token_mask, all_regions)  # (B, R·B)
        # The similarities of the local images with the reports of the other ranks were computed there.
        all_pairs = gather(per_text) if across_ranks else per_text  # (R·B, R·B)
        local = per_text.shape[0]
        target = own_slice(torch.arange(all_pairs.shape[0], device=per_text.device), local)
        per_image = own_slice(all_pairs.T, local)
        return dict(loss_local=self.loss(per_image, per_text, target) * self.loss_weight)

    def attend(self, image: ImageFeatures, text: TextFeatures) -> CrossAttention:
        """α of each word over the regions, and a of each region over the words."""
        scores = image.tokens @ text.tokens.transpose(1, 2)  # (B, S, L)
        among_words = scores.masked_fill(~text.token_mask[:, None], -torch.inf).softmax(dim=2)
        return CrossAttention((self.word_sharpness * among_words).softmax(dim=1).transpose(1, 2), among_words)

    def similarity(self, words: Tensor, mask: Tensor, regions: Tensor) -> Tensor:
        """Similarity of each report with each image.

        Args:
            words: (B, L, D).
            mask: (B, L) True = real word.
            regions: (N, S, D) of the images.

        Returns:
            (B, N) similarities.
        """
        if self.chunk_size is None:
            return self._score(words, mask, regions)
        chunks = zip(words.split(self.chunk_size), mask.split(self.chunk_size), strict=True)
        return torch.cat([checkpoint(self._score, *chunk, regions, use_reentrant=False) for chunk in chunks])

    def _score(self, words: Tensor, mask: Tensor, regions: Tensor) -> Tensor:
        (reports, length, _), images = words.shape, regions.shape[0]
        # All words of the reports side by side: one matrix product an image instead of one for each pair.
        flat = words.flatten(0, 1)  # (B·L, D)
        scores = (regions @ flat.T).unflatten(2, (reports, length))  # (N, S, B, L)
        among_words = scores.masked_fill(~mask, torch.finfo(scores.dtype).min / 2).softmax(dim=3)
        attention = (self.word_sharpness * among_words).softmax(dim=1)  # (N, S, B, L)
        contexts = attention.flatten(2).transpose(1, 2) @ regions  # (N, B·L, D)
        cosine = F.cosine_similarity(contexts, flat, dim=2).view(images, reports, length)
        sharpened = (self.report_sharpness * cosine).masked_fill(~mask, torch.finfo(scores.dtype).min / 2)
        return sharpened.logsumexp(dim=2).T
