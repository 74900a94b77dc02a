"""What the grays of an image alone say: a baseline of the bench, without a network."""

import torch
from torch import Tensor, nn

from mgca_mm.structures import ImageFeatures

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


class GrayStatistics(nn.Module):
    """Nine numbers of an image in place of an image encoder, with nothing to learn.

    Mean, standard deviation and :data:`QUANTILES` of the pixels; mean and standard deviation of the middle, where
    lungs and heart are: 5/16 to 11/16 of the height, 1/4 to 3/4 of the width.
    """

    def forward(self, images: Tensor) -> ImageFeatures:
        """Describe a batch of images.

        Args:
            images: (B, 3, H, W) normalized, whose channels hold the same grays.

        Returns:
            Features with a ``global_feature`` (B, 9) alone.
        """
        grays = images[:, 0]
        height, width = grays.shape[1:]
        middle = grays[:, height * 5 // 16 : height * 11 // 16, width // 4 : width * 3 // 4].flatten(1)
        grays = grays.flatten(1)
        quantiles = grays.quantile(grays.new_tensor(QUANTILES), dim=1)
        moments = [statistic for pixels in (grays, middle) for statistic in (pixels.mean(1), pixels.std(1))]
        return ImageFeatures(torch.stack([*moments, *quantiles], dim=1))
