"""From word pieces to words by a product with a segment matrix."""

import torch
from torch import Tensor, nn

from mgca_mm.registry import MODELS


@MODELS.register_module()
class WordMerging(nn.Module):
    """Sums the pieces of each word (PROTOCOL §1.2).

    Piece t belongs to the word that its latest non-continuation piece begins; [CLS] is left out and [SEP] counts as a
    word of its own, so T pieces make at most L = T - 1 words::

        pieces   [CLS]  ple  ##ural  effusion  [SEP]  [PAD]
        word       -     0      0        1       2      -

    The (B, L, T) one-hot segment matrix is made by a cumulative sum: no Python loop, deterministic, static shapes.

    Args:
        max_length: Pieces to which a longer report has been cut. The text encoder gives its own; of use to subclasses
            that treat such reports in a way of their own, for T is only the longest of a batch where padding is cut.
    """

    def __init__(self, max_length: int = 112):
        super().__init__()
        self.max_length = max_length

    def forward(
        self, pieces: Tensor, piece_attention: Tensor, attention_mask: Tensor, is_continuation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Merge embeddings and attention.

        Args:
            pieces: (B, T, C) last hidden states, [CLS] first.
            piece_attention: (B, T) attention of [CLS] to each piece.
            attention_mask: (B, T) 1 or True = real piece.
            is_continuation: (B, T) True = continues the word of the piece before.

        Returns:
            Words (B, L, C), their attention (B, L), and the mask (B, L), True = real word.
        """
        real = attention_mask.bool()
        segments = self.segment_matrix(real, is_continuation)  # (B, L, T)
        words = segments.to(pieces.dtype) @ pieces
        word_attention = self.merge_attention(segments, piece_attention)
        return words, word_attention, segments.any(dim=2)

    def segment_matrix(self, real: Tensor, is_continuation: Tensor) -> Tensor:
        """(B, L, T) boolean, True where piece t belongs to word l."""
        word_of_piece = ((~is_continuation.bool()) & real).cumsum(dim=1) - 2  # [CLS] → -1, the first word → 0
        slots = torch.arange(real.shape[1] - 1, device=real.device)
        return (word_of_piece[:, None, :] == slots[None, :, None]) & real[:, None, :]

    def merge_attention(self, segments: Tensor, piece_attention: Tensor) -> Tensor:
        """Sum the attention of a word's pieces: (B, L, T), (B, T) → (B, L)."""
        return (segments.to(piece_attention.dtype) @ piece_attention[:, :, None]).squeeze(2)


@MODELS.register_module()
class ReleasedWordMerging(WordMerging):
    """Word merging with the two slips of the released code, for parity with its weights and numbers.

    * The piece at position t contributes the attention of position t + 1.
    * The last of ``max_length`` positions is never visited, and a word is kept only once the piece that follows it has
      been: of a report that fills all of them, the last word and [SEP] are lost.

    [SEP], the last real piece, closes the word before it and is a word of its own, whatever ``is_continuation`` says.
    The pieces that continue [CLS] belong to no word here either; the released code adds them to the report's global
    feature, see ``pooling='cls_word'`` of :class:`TextEncoder`.
    """

    def segment_matrix(self, real: Tensor, is_continuation: Tensor) -> Tensor:
        """As in :class:`WordMerging`, less the words that are never completed."""
        is_continuation = is_continuation.bool() & nn.functional.pad(real[:, 1:], (0, 1))
        segments = super().segment_matrix(real, is_continuation)
        if real.shape[1] < self.max_length:
            return segments
        positions = torch.arange(real.shape[1], device=real.device)
        last_start = (positions * ~is_continuation)[:, :-1].amax(dim=1, keepdim=True)
        lost = real[:, -1:] & (positions >= last_start)
        return segments & ~lost[:, None, :]

    def merge_attention(self, segments: Tensor, piece_attention: Tensor) -> Tensor:
        """Sum the attention of the pieces that follow a word's pieces."""
        return super().merge_attention(segments, nn.functional.pad(piece_attention[:, 1:], (0, 1)))
