"""Classification by sentences instead of training."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from mgca_mm.prepared import words_of
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, ImageReportSample, TextFeatures

from .prompts import make_prompts
from .sentence_embedder import SentenceEmbedder


def presence(images: Tensor, directions: Tensor, temperature: float) -> Tensor:
    """Scores of findings: softmax over the sentences for and against each (CheXzero, Tiu et al. 2022).

    Args:
        images: (N, D) unit embeddings.
        directions: (C, D) unit embedding of the sentences that say a finding is there, less that of those that say it
            is not; the product with an image is the signed score before the softmax, from -2 to 2.
        temperature: Of the softmax.

    Returns:
        (N, C) from 0 to 1.
    """
    return torch.sigmoid(images @ directions.T / temperature)


@MODELS.register_module()
class ZeroShotClassifier(SentenceEmbedder):
    """A pretrained model that scores findings by sentences; its parameters are those of the pretraining.

    ``mode='predict'`` fills ``pred_score`` (C,), see :func:`presence`, which ``AUROC``, ``Top1Accuracy`` and
    ``ClassRetrieval`` read, and ``image_embedding`` (D,).

    Args:
        findings: As in :func:`mgca_mm.models.prompts.make_prompts`, in the order of the data set's classes.
        zero_shot_temperature: Of the softmax over the sentences for and against a finding.
        words: Which words of the sentences are kept, ``ascii`` or ``unicode``. None: those of ``data_root``.
        **kwargs: As in :class:`mgca_mm.models.sentence_embedder.SentenceEmbedder`.
    """

    def __init__(
        self,
        findings: Sequence[str] | Mapping[str, Sequence[Sequence[str]]],
        zero_shot_temperature: float = 0.1,
        words: str | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.prompts = make_prompts(findings, words=words or words_of(self.data_root))
        self.zero_shot_temperature = zero_shot_temperature

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[ImageReportSample] | None = None, mode: str = "tensor"
    ) -> tuple[ImageFeatures, TextFeatures] | dict[str, Tensor] | list[ImageReportSample]:
        """As :meth:`ImageReportPretrainer.forward`, but for ``mode='predict'``, which needs images only."""
        if mode != "predict":
            return super().forward(inputs, data_samples, mode)
        present, absent = (
            torch.stack([self.embed_sentences(sentences) for sentences in side])
            for side in zip(*self.prompts.values(), strict=True)
        )
        images = self.embed_images(inputs).global_feature
        scores = presence(images, present - absent, self.zero_shot_temperature)
        for sample, image, score in zip(data_samples, images, scores, strict=True):
            sample.image_embedding, sample.pred_score = image, score
        return data_samples
