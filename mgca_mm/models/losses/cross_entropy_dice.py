"""Loss of masks of several classes: cross-entropy and Dice."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgca_mm.registry import MODELS


@MODELS.register_module()
class CrossEntropyDiceLoss(nn.Module):
    """``CE + 1 - mean Dice`` of the softmax, the Dice of each foreground class over all pixels of the batch at once.

    The sum that nnU-Net trains with (Isensee et al., Nature Methods 2021), its Dice that of a batch and without the
    background. Dice is (2 Σ p y + s) / (Σ p + Σ y + s).

    Args:
        smooth: s, which keeps the Dice of a class defined that the batch does not show.
        ignore_index: Target value of pixels that do not count.
    """

    def __init__(self, smooth: float = 1.0, ignore_index: int = 255):
        super().__init__()
        if smooth <= 0:
            raise ValueError("smooth must be positive")
        self.smooth = smooth
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compute the two terms, in fp32 under autocast too.

        Args:
            logits: (B, K, H, W).
            target: (B, H, W), 0 … K - 1, or ``ignore_index``.

        Returns:
            ``loss_ce`` and ``loss_dice``, scalars.
        """
        with torch.autocast(logits.device.type, enabled=False):
            counts = target != self.ignore_index
            logits, target = logits.float().movedim(1, -1)[counts], target[counts].long()  # (P, K), (P,)
            cross_entropy = F.cross_entropy(logits, target, reduction="sum") / max(len(target), 1)
            probability, one_hot = logits.softmax(dim=1)[:, 1:], F.one_hot(target, logits.shape[1])[:, 1:]
            overlap = 2 * (probability * one_hot).sum(dim=0) + self.smooth
            dice = overlap / (probability.sum(dim=0) + one_hot.sum(dim=0) + self.smooth)
            return {"loss_ce": cross_entropy, "loss_dice": 1 - dice.mean()}
