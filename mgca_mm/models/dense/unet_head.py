"""The decoder of a U-Net as a head of mmseg's ``EncoderDecoder``."""

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class UNetHead(BaseModule):
    """Five up-blocks with skips, then the logits of a pixel (Ronneberger et al., *U-Net*, 2015).

    Each block doubles the resolution, appends the encoder's map of that resolution and convolves twice; widths and
    skips are those of docs/protocol.md#segmentation. mmseg's own ``UNet`` is a backbone; this decodes the maps of any
    backbone. It offers what ``EncoderDecoder`` asks of a head without being one of mmseg's, so that the package needs
    no mmseg to be imported.

    Args:
        in_channels: Channels of the encoder's maps, from stride 2 to stride 32.
        channels: Channels of the blocks, from the coarsest to the finest; one more than there are skips.
        num_classes: Classes of a pixel, the background among them. Two have one logit, more have one each.
        loss: Config of the loss of masks (B, H, W) and logits: (B, H, W) of two classes, else (B, num_classes, H, W).
        threshold: Probability above which a pixel is foreground, of two classes.
        init_cfg: As for :class:`mmengine.model.BaseModule`.
    """

    align_corners = False

    def __init__(
        self,
        in_channels: tuple[int, ...] = (64, 256, 512, 1024, 2048),
        channels: tuple[int, ...] = (256, 128, 64, 32, 16),
        num_classes: int = 2,
        loss: dict | None = None,
        threshold: float = 0.5,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if len(channels) != len(in_channels):
            raise ValueError(f"{len(in_channels)} maps need as many blocks, got {len(channels)} channels")
        require_positive(in_channels=min(in_channels), channels=min(channels))
        if num_classes < 2:
            raise ValueError(f"num_classes counts the background and must be at least 2, got {num_classes}")
        self.num_classes = num_classes
        self.out_channels = 1 if num_classes == 2 else num_classes
        self.threshold = threshold
        *skips, deepest = in_channels
        inputs = (deepest, *channels[:-1])
        self.blocks = nn.ModuleList(
            _UpBlock(below + skip, out)
            for below, skip, out in zip(inputs, (*reversed(skips), 0), channels, strict=True)
        )
        self.to_logit = nn.Conv2d(channels[-1], self.out_channels, 3, padding=1)
        of_classes = "FocalLogDiceLoss" if num_classes == 2 else "CrossEntropyDiceLoss"
        self.loss_module = MODELS.build(loss or dict(type=f"mgca_mm.{of_classes}"))

    def forward(self, inputs: tuple[Tensor, ...]) -> Tensor:
        """Decode maps from stride 2 to stride 32 into logits (B, 1 or num_classes, H, W) of the image's size."""
        *skips, x = inputs
        for block, skip in zip(self.blocks, (*reversed(skips), None), strict=True):
            x = block(x, skip)
        return self.to_logit(x)

    def loss(self, inputs: tuple[Tensor, ...], batch_data_samples: list, train_cfg: dict | None = None) -> dict:
        """Losses of a batch; ``gt_sem_seg`` of each sample is (1, H, W)."""
        target = torch.cat([sample.gt_sem_seg.data for sample in batch_data_samples])
        logits = self(inputs)
        return self.loss_module(logits[:, 0] if self.out_channels == 1 else logits, target)

    def predict(self, inputs: tuple[Tensor, ...], batch_img_metas: list[dict], test_cfg: dict | None = None) -> Tensor:
        """Logits (B, 1 or num_classes, H, W) of the padded images."""
        return self(inputs)


class _UpBlock(nn.Module):
    """Doubles the resolution, appends a skip where there is one, and convolves twice."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.convs = nn.Sequential(_conv(in_channels, out_channels), _conv(out_channels, out_channels))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        return self.convs(x if skip is None else torch.cat([x, skip], dim=1))


def _conv(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
    )
