"""A pretrained model that embeds sentences given to it, to compare images with them."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mgca_mm.registry import TRANSFORMS

from .pretrainer import ImageReportPretrainer


def mean_embedding(embeddings: Tensor) -> Tensor:
    """One unit embedding of several sentences: (P, D) → (D,), the direction of their mean (CLIP's prompt ensemble)."""
    return F.normalize(embeddings.mean(dim=0), dim=0)


class SentenceEmbedder(ImageReportPretrainer):
    """Embeds sentences that come from no data set, each set of them once.

    Args:
        tokenize: Config of the tokenization, that of the pretraining's pipeline.
        data_root: Prepared folder whose tokenizer is used, where ``tokenize`` names none.
        **kwargs: As in :class:`ImageReportPretrainer`.

    Raises:
        ValueError: None of the alignments embeds reports.
    """

    def __init__(self, tokenize: dict, data_root: str | None = None, **kwargs):
        super().__init__(**kwargs)
        if not self.encodes_reports:
            raise ValueError(f"alignments {', '.join(self.alignments)} embed no reports: no sentence can be compared")
        self.tokenize = TRANSFORMS.build(tokenize)
        self.data_root = data_root
        self._embedded: dict[tuple[str, ...], Tensor] = {}

    @torch.no_grad()
    def embed_sentences(self, sentences: Sequence[str]) -> Tensor:
        """Unit embedding (D,) of sentences that mean the same, cleaned as reports are."""
        sentences = tuple(sentences)
        if sentences not in self._embedded:
            device = next(self.parameters()).device
            inputs = {key: value.to(device) for key, value in self.tokenize.batch(sentences, self.data_root).items()}
            self._embedded[sentences] = mean_embedding(self.embed_reports(inputs).global_feature)
        return self._embedded[sentences]

    def train(self, mode: bool = True) -> "SentenceEmbedder":
        """Forget the embeddings of the sentences, for the weights may change."""
        self._embedded.clear()
        return super().train(mode)
