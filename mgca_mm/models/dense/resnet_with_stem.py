"""A ResNet that hands out its stem, for decoders that end at half the resolution of the image."""

from mmpretrain.models.backbones import ResNet
from torch import Tensor

from mgca_mm.registry import MODELS


@MODELS.register_module()
class ResNetWithStem(ResNet):
    """:class:`mmpretrain.models.ResNet` whose first output is the stem's, at stride 2; the names of its weights stay.

    Args:
        **kwargs: As for ``mmpretrain.ResNet``.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute the stem (B, 64, H/2, W/2) and the stages in ``out_indices``.

        Args:
            x: Images (B, 3, H, W).
        """
        stem = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        outputs = [stem]
        x = self.maxpool(stem)
        for index, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if index in self.out_indices:
                outputs.append(x)
        return tuple(outputs)
