"""From a map of regions to one vector."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class WeldonPooling(BaseModule):
    """Selective spatial pooling: the strongest and the weakest regions of each channel (Durand et al., CVPR 2016).

    A 1x1 convolution makes maps v with evidence for (high) and against (low) each of its channels; then::

        pooled_c = 1/k Σ of the k highest v_·c  +  1/k Σ of the k lowest v_·c

    Args:
        in_channels: Channels of the regions.
        out_channels: Channels of the maps and of the result (DSVE: 2400).
        num_regions: k (DSVE: 15).
        init_cfg: MMEngine initialization.
    """

    def __init__(self, in_channels: int, out_channels: int = 2400, num_regions: int = 15, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        require_positive(out_channels=out_channels, num_regions=num_regions)
        self.adaptation = nn.Linear(in_channels, out_channels)  # on the last axis it is the 1x1 convolution
        self.out_channels = out_channels
        self.num_regions = num_regions

    def forward(self, regions: Tensor) -> Tensor:
        """Pool the regions of each image.

        Args:
            regions: (B, S, C).

        Returns:
            (B, ``out_channels``).

        Raises:
            ValueError: If there are fewer regions than are to be picked.
        """
        if regions.shape[1] < self.num_regions:
            raise ValueError(
                f"WeldonPooling picks {self.num_regions} regions of each channel, but the map has {regions.shape[1]}: "
                "lower num_regions or take larger images"
            )
        maps = self.adaptation(regions)
        highest = maps.topk(self.num_regions, dim=1).values.mean(dim=1)
        lowest = maps.topk(self.num_regions, dim=1, largest=False).values.mean(dim=1)
        return highest + lowest
