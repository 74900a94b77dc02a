"""Classification by sentences instead of training."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mgca_mm.models.prompts import make_prompts
from mgca_mm.registry import MODELS, TRANSFORMS
from mgca_mm.structures import ImageFeatures, ImageReportSample, TextFeatures

from .pretrainer import ImageReportPretrainer


def mean_embedding(embeddings: Tensor) -> Tensor:
    """One unit embedding of several sentences: (P, D) → (D,), the direction of their mean (CLIP's prompt ensemble)."""
    return F.normalize(embeddings.mean(dim=0), dim=0)


def presence(images: Tensor, present: Tensor, absent: Tensor, temperature: float) -> Tensor:
    """Scores of findings: softmax over the sentences for and against each (CheXzero, Tiu et al. 2022).

    Args:
        images: (N, D) unit embeddings.
        present: (C, D) of the sentences that say a finding is there.
        absent: (C, D) of those that say it is not.
        temperature: Of the softmax.

    Returns:
        (N, C) from 0 to 1.
    """
    return torch.sigmoid(images @ (present - absent).T / temperature)


@MODELS.register_module()
class ZeroShotClassifier(ImageReportPretrainer):
    """A pretrained model that scores findings by sentences; its parameters are those of the pretraining.

    ``mode='predict'`` fills ``pred_score`` (C,), see :func:`presence`, which ``AUROC``, ``Top1Accuracy`` and
    ``ClassRetrieval`` read, and ``image_embedding`` (D,).

    Args:
        findings: As in :func:`mgca_mm.models.prompts.make_prompts`, in the order of the data set's classes.
        tokenize: Config of the tokenisation, that of the pretraining's pipeline.
        data_root: Prepared folder whose tokenizer is used, where ``tokenize`` names none.
        zero_shot_temperature: Of the softmax over the sentences for and against a finding.
        **kwargs: As in :class:`ImageReportPretrainer`.
    """

    def __init__(
        self,
        findings: Sequence[str] | Mapping[str, Sequence[Sequence[str]]],
        tokenize: dict,
        data_root: str | None = None,
        zero_shot_temperature: float = 0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not self.encodes_reports:
            raise ValueError(f"alignments {', '.join(self.alignments)} embed no reports: no sentence can be compared")
        self.prompts = make_prompts(findings)
        self.tokenize = TRANSFORMS.build(tokenize)
        self.data_root = data_root
        self.zero_shot_temperature = zero_shot_temperature
        self._sentences: tuple[Tensor, Tensor] | None = None

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[ImageReportSample] | None = None, mode: str = "tensor"
    ) -> tuple[ImageFeatures, TextFeatures] | dict[str, Tensor] | list[ImageReportSample]:
        """As :meth:`ImageReportPretrainer.forward`, but for ``mode='predict'``, which needs images only."""
        if mode != "predict":
            return super().forward(inputs, data_samples, mode)
        if self._sentences is None:
            sides = zip(*self.prompts.values(), strict=True)
            self._sentences = tuple(torch.stack([self._embed(phrases) for phrases in side]) for side in sides)
        images = self.embed_images(inputs).global_feature
        scores = presence(images, *self._sentences, self.zero_shot_temperature)
        for sample, image, score in zip(data_samples, images, scores, strict=True):
            sample.image_embedding, sample.pred_score = image, score
        return data_samples

    def train(self, mode: bool = True) -> "ZeroShotClassifier":
        """Forget the embeddings of the sentences, for the weights may change."""
        self._sentences = None
        return super().train(mode)

    def _embed(self, phrases: Sequence[str]) -> Tensor:
        device = next(self.parameters()).device
        inputs = {key: value.to(device) for key, value in self.tokenize.batch(phrases, self.data_root).items()}
        return mean_embedding(self.embed_reports(inputs).global_feature)
