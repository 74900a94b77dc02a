"""A classifier on an encoder that was pretrained at another size than that of the images it is given."""

import torch.nn.functional as F
from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor

from mgca_mm.registry import MODELS


@MODELS.register_module()
class ResizingClassifier(ImageClassifier):
    """:class:`mmpretrain.models.ImageClassifier` that resizes its input as :class:`mgca_mm.models.ImageEncoder` does.

    Without it the features of a ResNet-50 are others in the probe than in pretraining. The backbone and
    the names of its weights stay those of mmpretrain.

    Args:
        resize_to: Side length that normalized images are brought to bilinearly (align_corners) before the backbone:
            the encoder's in pretraining. None: they stay as they are.
        **kwargs: As for ``mmpretrain.ImageClassifier``.
    """

    def __init__(self, resize_to: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self.resize_to = resize_to

    def extract_feat(self, inputs: Tensor, stage: str = "neck") -> tuple[Tensor, ...]:
        """Compute features of normalized images (B, 3, H, W), up to a stage, as in mmpretrain."""
        if self.resize_to is not None:
            inputs = F.interpolate(inputs, size=(self.resize_to,) * 2, mode="bilinear", align_corners=True)
        return super().extract_feat(inputs, stage)
