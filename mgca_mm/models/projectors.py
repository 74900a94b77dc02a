"""Projection heads from encoder features to the shared embedding space."""

from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS

from .batch_norm import TokenBatchNorm


@MODELS.register_module()
class Projector(BaseModule):
    """Linear - BN - ReLU - Linear - BN (no affine), for features and tokens: g_v and g_t (docs/protocol.md#model).

    Without the batch norms it is the projection of ConVIRT.

    Args:
        in_channels: Channels of the encoder's features.
        hidden_channels: Width of the hidden layer.
        out_channels: D, the embedding dimension.
        norm: Have the two batch norms.
        init_cfg: MMEngine initialization.
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int = 2048,
        out_channels: int = 128,
        norm: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        require_positive(in_channels=in_channels, hidden_channels=hidden_channels, out_channels=out_channels)
        self.fc1 = nn.Linear(in_channels, hidden_channels)
        self.norm1 = TokenBatchNorm(hidden_channels) if norm else None
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Linear(hidden_channels, out_channels)
        self.norm2 = TokenBatchNorm(out_channels, affine=False) if norm else None

    def forward(self, x: Tensor) -> Tensor:
        """Project; the result is not yet L2-normalized.

        Args:
            x: (B, C) global features, or tokens in any shape (..., C). All of them enter the batch statistics.

        Returns:
            (B, D) or (..., D).
        """
        x = self.fc1(x)
        x = self.relu(x if self.norm1 is None else self.norm1(x))
        x = self.fc2(x)
        return x if self.norm2 is None else self.norm2(x)


@MODELS.register_module()
class LinearProjector(BaseModule):
    """One linear layer (VSE++, DSVE, CLIP, GLoRIA).

    Args:
        in_channels: Channels of the encoder's features.
        out_channels: D, the embedding dimension.
        init_cfg: MMEngine initialization.
    """

    def __init__(self, in_channels: int, out_channels: int, init_cfg: dict | None = None):
        super().__init__(init_cfg)
        require_positive(in_channels=in_channels, out_channels=out_channels)
        self.fc = nn.Linear(in_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        """Project; arguments and result as in :meth:`Projector.forward`."""
        return self.fc(x)
