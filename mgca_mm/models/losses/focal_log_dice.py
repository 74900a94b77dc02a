"""Loss of binary masks (docs/protocol.md#segmentation): focal cross-entropy and the logarithm of Dice."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgca_mm.registry import MODELS


@MODELS.register_module()
class FocalLogDiceLoss(nn.Module):
    """``w · mean((1 - p_t)^γ · BCE) - log(Dice)``, Dice taken over all pixels of the batch at once.

    p_t is the probability of the true class (Lin et al., *Focal Loss*, 2017, without its α); Dice is
    (2 Σ p y + s) / (Σ p + Σ y + s).

    Args:
        focal_weight: w.
        gamma: γ.
        smooth: s, which keeps the Dice of an empty batch defined.
        ignore_index: Target value of pixels that do not count.
    """

    def __init__(self, focal_weight: float = 10.0, gamma: float = 2.0, smooth: float = 1.0, ignore_index: int = 255):
        super().__init__()
        if min(focal_weight, gamma) < 0 or smooth <= 0:
            raise ValueError("focal_weight and gamma must not be negative, smooth must be positive")
        self.focal_weight = focal_weight
        self.gamma = gamma
        self.smooth = smooth
        self.ignore_index = ignore_index

    def forward(self, logits: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Compute the two terms, in fp32 under autocast too.

        Args:
            logits: (B, H, W).
            target: (B, H, W), 0 or 1, or ``ignore_index``.

        Returns:
            ``loss_focal`` and ``loss_dice``, scalars.
        """
        with torch.autocast(logits.device.type, enabled=False):
            counts = target != self.ignore_index
            logits, target = logits.float()[counts], target[counts].float()
            cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
            # log(1 - p_t) = log σ(-z) for a true pixel, log σ(z) for a false one: no overflow, unlike a power of 1 - p.
            focus = torch.exp(self.gamma * F.logsigmoid(logits * (1 - 2 * target)))
            focal = (focus * cross_entropy).sum() / max(len(logits), 1)
            probability = logits.sigmoid()
            overlap = 2 * (probability * target).sum() + self.smooth
            dice = overlap / (probability.sum() + target.sum() + self.smooth)
            return {"loss_focal": self.focal_weight * focal, "loss_dice": -dice.log()}
