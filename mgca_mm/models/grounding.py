"""Where in an image a phrase is: from the gradient of what makes the image nearer to it than to a normal report."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, ImageReportSample, TextFeatures

from .pretrainer import ImageReportPretrainer
from .prompts import NORMAL
from .sentence_embedder import SentenceEmbedder

_SIDE = 56  # of the maps, in cells
_BLUR = 5.0  # standard deviation, in cells


def phrase_maps(model: ImageReportPretrainer, images: Tensor, directions: Tensor) -> Tensor:
    """Compute heat maps of phrases, for any model that embeds both modalities.

    Much of what makes an image near to a phrase makes it near to any report. So the score is the contrast
    s = cos(image, phrase) - cos(image, a normal chest), the product of the image's embedding with a direction. It is
    differentiated once, with respect to two things, and the two maps are multiplied, as Guided Grad-CAM does (Selvaraju
    et al., ICCV 2017)::

        what the regions add     LayerCAM (Jiang et al., TIP 2021): relu Σ_c relu(∂s/∂a_c) a_c, coarse
        what the pixels change   Σ_channels |∂s/∂x|, blurred, fine

    Each is scaled to 0…1, and the product by the highest of the first times the number of regions: what the contrast
    would gain, to first order, if all of the image was as that place. So maps of different phrases and models can be
    compared: those of a model that has learned nothing are near 0. The scale of a map is no part of its evaluation.

    The cross-attention of MGCA is not used: its words look at what helps to tell words apart, and on the phantom its
    maps are worse than the middle of the image (``docs/inference.md``).

    Args:
        model: In evaluation mode.
        images: (B, 3, H, W) normalized.
        directions: (B, D) unit embedding of the phrase less that of a normal chest, one for each image.

    Returns:
        (B, 56 · 56) at least 0, differences of cosine, row by row over the square that the model sees.

    Raises:
        UserError: The image encoder's regions make no square.
    """
    with torch.enable_grad():
        images = images.detach().clone().requires_grad_(True)
        with model.image_encoder.watch_regions() as watched:
            embedding = model.embed_images({"image": images}).global_feature
        score = (embedding * directions.detach()).sum()
        by_pixel, by_region = torch.autograd.grad(score, (images, watched[-1]))
    regions = watched[-1].detach()
    coarse = (by_region.clamp(min=0) * regions).sum(dim=-1).clamp(min=0)  # (B, S)
    side = math.isqrt(coarse.shape[1])
    if side * side != coarse.shape[1]:
        raise UserError(f"The image encoder has {coarse.shape[1]} regions, which make no square: no map can be drawn.")
    peak = coarse.amax(dim=1, keepdim=True).float() * coarse.shape[1]
    coarse = F.interpolate(coarse.view(-1, 1, side, side).float(), size=(_SIDE, _SIDE), mode="bilinear")
    fine = F.adaptive_avg_pool2d(by_pixel.abs().sum(dim=1, keepdim=True).float(), _SIDE)
    return peak * (_scale(coarse) * _scale(_blur(fine))).flatten(1)


@MODELS.register_module()
class PhraseGrounder(SentenceEmbedder):
    """A pretrained model that finds phrases; its parameters are those of the pretraining.

    ``mode='predict'`` fills ``heat_map`` (S,), see :func:`phrase_maps`, which ``PhraseGrounding`` reads. Arguments as
    of :class:`mgca_mm.models.sentence_embedder.SentenceEmbedder`.
    """

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[ImageReportSample] | None = None, mode: str = "tensor"
    ) -> tuple[ImageFeatures, TextFeatures] | dict[str, Tensor] | list[ImageReportSample]:
        """As :meth:`ImageReportPretrainer.forward`, but for ``mode='predict'``."""
        if mode != "predict":
            return super().forward(inputs, data_samples, mode)
        directions = self.embed_reports(inputs).global_feature - self.embed_sentences(NORMAL)
        for sample, heat_map in zip(data_samples, phrase_maps(self, inputs["image"], directions), strict=True):
            sample.heat_map = heat_map
        return data_samples


def _scale(maps: Tensor) -> Tensor:
    """Each map of (B, 1, h, w) to 0…1; a flat one to 0."""
    low, high = maps.amin(dim=(2, 3), keepdim=True), maps.amax(dim=(2, 3), keepdim=True)
    return (maps - low) / (high - low).clamp(min=torch.finfo(maps.dtype).tiny)


def _blur(maps: Tensor) -> Tensor:
    """Gaussian blur of (B, 1, h, w), mirrored at the borders."""
    radius = math.ceil(3 * _BLUR)
    steps = torch.arange(-radius, radius + 1, device=maps.device, dtype=maps.dtype)
    kernel = torch.exp(-0.5 * (steps / _BLUR) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1)
    padded = F.pad(maps, [radius] * 4, mode="reflect")
    return F.conv2d(F.conv2d(padded, kernel), kernel.transpose(2, 3))
