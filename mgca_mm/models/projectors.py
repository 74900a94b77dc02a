"""Projection heads from encoder features to the shared embedding space."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.registry import MODELS

from .batch_norm import TokenBatchNorm


@MODELS.register_module()
class Projector(BaseModule):
    """Linear - BN - ReLU - Linear - BN (no affine), for global features and for tokens (PROTOCOL §1.2, g_v and g_t).

    Args:
        in_channels: Channels of the encoder's features.
        hidden_channels: Width of the hidden layer.
        out_channels: D, the embedding dimension.
        init_cfg: MMEngine initialisation.
    """

    def __init__(
        self, in_channels: int, hidden_channels: int = 2048, out_channels: int = 128, init_cfg: dict | None = None
    ):
        super().__init__(init_cfg)
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.norm1 = TokenBatchNorm(hidden_channels)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(hidden_channels, out_channels)
        self.norm2 = TokenBatchNorm(out_channels, affine=False)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Project; the result is not yet L2-normalised.

        Args:
            x: (B, C) global features or (B, T, C) tokens.
            mask: (B, T) True = real token; padding stays out of the batch statistics. None: all are real.

        Returns:
            (B, D) or (B, T, D).
        """
        x = self.relu(self.norm1(self.fc1(x), mask))
        return self.norm2(self.fc2(x), mask)
