"""Maps at several strides from a plain vision transformer, which has one."""

import math

from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class ViTPyramid(BaseModule):
    """The simple feature pyramid of ViTDet (Li et al., *Exploring Plain Vision Transformer Backbones*, 2022, §3).

    Each level is made of the last map alone: transposed convolutions for finer ones, max-pooling for coarser ones, then
    a 1 × 1 and a 3 × 3 convolution.

    Args:
        vit: Config of a backbone whose last output is a map (B, C, H/p, W/p), such as ``mmpretrain.VisionTransformer``
            with ``out_type='featmap'``. It takes the ``init_cfg`` of a pretrained encoder.
        embed_dims: C.
        patch_size: p, in pixels.
        strides: Strides of the levels, in pixels; powers of two times or divided into p.
        out_channels: Channels of each level.
        init_cfg: As for :class:`mmengine.model.BaseModule`.

    Attributes:
        out_channels: Channels of each level.
    """

    def __init__(
        self,
        vit: dict,
        embed_dims: int = 768,
        patch_size: int = 16,
        strides: tuple[int, ...] = (8, 16, 32),
        out_channels: tuple[int, ...] = (256, 256, 256),
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if len(strides) != len(out_channels):
            raise ValueError(f"{len(strides)} strides, but {len(out_channels)} numbers of channels")
        require_positive(
            embed_dims=embed_dims, patch_size=patch_size, strides=min(strides), out_channels=min(out_channels)
        )
        self.vit = MODELS.build(vit)
        self.out_channels = tuple(out_channels)
        self.levels = nn.ModuleList(
            _level(embed_dims, _doublings(patch_size, stride), channels)
            for stride, channels in zip(strides, out_channels, strict=True)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Compute one map a level, (B, out_channels[i], H / strides[i], W / strides[i]), of images (B, 3, H, W)."""
        # The transformer's map is a view of its tokens, which some heads cannot take.
        feature = self.vit(x)[-1].contiguous()
        return tuple(level(feature) for level in self.levels)


def _doublings(patch_size: int, stride: int) -> int:
    """How often the resolution is doubled; negative where it is halved."""
    doublings = math.log2(patch_size / stride)
    if doublings != int(doublings):
        raise ValueError(f"stride {stride} is no power of two times or part of the patch size {patch_size}")
    return int(doublings)


def _level(in_channels: int, doublings: int, out_channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(doublings):
        layers += [nn.ConvTranspose2d(in_channels, in_channels // 2, 2, stride=2), nn.GELU()]
        in_channels //= 2
    layers += [nn.MaxPool2d(2) for _ in range(-doublings)]
    for kernel in (1, 3):
        layers += [
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
            # One group normalizes a pixel's channels with those around it: like the paper's layer norm it needs no
            # batch, which detection has few images of.
            nn.GroupNorm(1, out_channels),
        ]
        in_channels = out_channels
    return nn.Sequential(*layers)
