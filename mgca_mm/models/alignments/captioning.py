"""Writing the report from the image."""

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mgca_mm.distributed import sum_over_ranks
from mgca_mm.errors import require_positive
from mgca_mm.models.decoders import beam_search
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .base import Alignment


@MODELS.register_module()
class CaptioningAlignment(Alignment):
    """Predicts each piece of the report from those before it and the image's regions.

    Teacher forcing: with the N pieces y that follow another one, over the reports of the batch::

        loss = - 1/N Σ log p(y_t | y_<t, v)          p = softmax(W state_{t-1})

    In prediction the report is written piece by piece, from the first piece of the batch's reports ([CLS]) to their
    last ([SEP]).

    Args:
        decoder: Config of a decoder (:mod:`mgca_mm.models.decoders`) without ``vocab_size``.
        vocab_size: Number of pieces of the tokenizer.
        max_length: Longest report to write, in pieces.
        num_beams: Beams of the search; 1 is greedy.
        region_scale: Factor of the regions before the decoder, whose weights expect components of about 1: √D where
            they are unit vectors of D components, else it takes hundreds of steps until the decoder sees them.
        loss_weight: Weight of the loss.
        init_cfg: MMEngine initialization.
    """

    uses_tokens = True
    encodes_reports = False

    def __init__(
        self,
        decoder: dict,
        vocab_size: int,
        max_length: int = 112,
        num_beams: int = 1,
        region_scale: float = 1.0,
        loss_weight: float = 1.0,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg, loss_weight)
        require_positive(region_scale=region_scale)
        if num_beams < 1 or max_length < 2:
            raise ValueError(f"num_beams must be positive and max_length at least 2, got {num_beams} and {max_length}")
        self.decoder = MODELS.build({**decoder, "vocab_size": vocab_size})
        self.next_piece = nn.Linear(self.decoder.embed_dims, vocab_size)
        self.max_length = max_length
        self.num_beams = num_beams
        self.region_scale = region_scale

    def compile(self, **kwargs) -> None:
        """Compile the forward pass, unless the decoder calls recurrent kernels, which torch.compile does not enter."""
        if not self.decoder.is_recurrent:
            super().compile(**kwargs)

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Compute the loss of a batch by teacher forcing.

        Args:
            image: Projected tokens (B, S, D).
            text: Pieces and their mask (B, T).

        Returns:
            ``loss_caption`` and ``acc_piece``, how often the most likely piece is the right one, in percent. Means over
            the pieces of all ranks.
        """
        loss, accuracy = self._teach(text.piece_ids, text.piece_mask, image.tokens * self.region_scale)
        return dict(loss_caption=loss * self.loss_weight, acc_piece=accuracy)

    def _teach(self, ids: Tensor, mask: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and accuracy of writing (B, T) pieces, of which ``mask`` are real, from (B, S, D) regions."""
        states = self.decoder(ids[:, :-1], regions)  # (B, T - 1, C)
        target, real = ids[:, 1:], mask[:, 1:].to(states.dtype)
        # Probabilities of 16 reports at a time, which are computed again in the backward pass: those of 144 reports, of
        # 111 pieces and 28,996 possible ones each, would take 1.9 GB several times over. The weights are arguments, so
        # that they are the same ones then, whatever the layer holds (torch.func.functional_call).
        weights = (self.next_piece.weight, self.next_piece.bias)
        options = dict(use_reentrant=False, preserve_rng_state=False)
        parts = zip(states.split(16), target.split(16), strict=True)
        parts = [checkpoint(_surprise, *part, *weights, **options) for part in parts]
        surprise, right = (torch.cat(rows) for rows in zip(*parts, strict=True))  # (B, T - 1)
        count = real.sum()
        if self.training:
            # The mean over the ranks is that over all their pieces, however many each has.
            count = sum_over_ranks(count).clamp(min=1) / get_world_size()
        return (surprise * real).sum() / count, (right * real).sum() / count * 100

    @torch.no_grad()
    def predict(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        """Write a report for each image.

        Returns:
            ``generated_ids`` (B, t) from the first piece to the end, with which it is filled up, and the pieces of the
            true report ``report_ids`` (B, T).
        """
        ids = text.piece_ids
        last = text.piece_mask.sum(dim=1, keepdim=True) - 1
        ends = ids.gather(1, last).squeeze(1)
        written, read = self.decoder.begin(image.tokens * self.region_scale)

        def log_probabilities(pieces: Tensor, kept: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
            states, kept = self.decoder.step(pieces, kept, read)
            return self.next_piece(states).log_softmax(dim=2), kept

        generated = beam_search(log_probabilities, written, ids[:, 0], ends, self.num_beams, self.max_length)
        return dict(generated_ids=generated, report_ids=ids)


def _surprise(states: Tensor, target: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """- log p of the pieces (B, T) that follow states (B, T, C), and whether none is more likely."""
    logits = F.linear(states, weight, bias).flatten(0, 1)  # (B · T, V)
    surprise = F.cross_entropy(logits, target.flatten(), reduction="none").view_as(target)
    return surprise, logits.detach().argmax(dim=1).view_as(target) == target
