"""From word pieces to words by a product with a segment matrix."""

import torch
from torch import Tensor, nn

from mgca_mm.registry import MODELS


@MODELS.register_module()
class WordMerging(nn.Module):
    """Sums the pieces of each word (docs/protocol.md#model).

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
        word_of_piece = self.word_of_piece(attention_mask.bool(), is_continuation.bool())
        slots = _slots(word_of_piece)
        segments = word_of_piece[:, None, :] == slots[None, :, None]  # (B, L, T)
        words = segments.to(pieces.dtype) @ pieces
        word_attention = self.merge_attention(segments, piece_attention)
        return words, word_attention, _real_words(word_of_piece)

    def word_mask(self, attention_mask: Tensor, is_continuation: Tensor) -> Tensor:
        """The mask (B, L) alone, without any embedding; arguments as in :meth:`forward`."""
        return _real_words(self.word_of_piece(attention_mask.bool(), is_continuation.bool()))

    def word_of_piece(self, real: Tensor, is_continuation: Tensor) -> Tensor:
        """(B, T) number of the word that a piece belongs to, -1 where it belongs to none; both arguments boolean."""
        return ((~is_continuation & real).cumsum(dim=1) - 2).masked_fill(~real, -1)  # [CLS] → -1, the first word → 0

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

    def word_of_piece(self, real: Tensor, is_continuation: Tensor) -> Tensor:
        """As in :class:`WordMerging`, less the words that are never completed."""
        is_continuation = is_continuation & nn.functional.pad(real[:, 1:], (0, 1))
        words = super().word_of_piece(real, is_continuation)
        if real.shape[1] < self.max_length:
            return words
        positions = torch.arange(real.shape[1], device=real.device)
        last_start = (positions * ~is_continuation)[:, :-1].amax(dim=1, keepdim=True)
        return words.masked_fill(real[:, -1:] & (positions >= last_start), -1)

    def merge_attention(self, segments: Tensor, piece_attention: Tensor) -> Tensor:
        """Sum the attention of the pieces that follow a word's pieces."""
        return super().merge_attention(segments, nn.functional.pad(piece_attention[:, 1:], (0, 1)))


def _real_words(word_of_piece: Tensor) -> Tensor:
    """(B, T) → (B, L). Words are numbered without a gap."""
    return _slots(word_of_piece) <= word_of_piece.amax(dim=1, keepdim=True)


def _slots(word_of_piece: Tensor) -> Tensor:
    return torch.arange(word_of_piece.shape[1] - 1, device=word_of_piece.device)
