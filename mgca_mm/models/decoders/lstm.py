"""LSTM decoder with attention on image regions."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class LSTMDecoder(BaseModule):
    """An LSTM over the pieces, each of whose states looks at the regions (Luong et al., EMNLP 2015, global attention).

    With y the embedded pieces and v_s the regions::

        h_0 = tanh(W_0 · mean_s v_s)          c_0 = tanh(W_1 · mean_s v_s)
        h_t = LSTM(y_1 … y_t)                 all t by one call, for attention does not feed back into it
        α_t = softmax_s(h_tᵀ W_a v_s / √C)    state_t = tanh(W_c [Σ_s α_ts v_s ; h_t])

    Args:
        vocab_size: Number of pieces.
        embed_dims: C, of the pieces and states.
        region_dims: D, of the regions.
        dropout: Rate on embeddings and states.
        init_cfg: MMEngine initialization.
    """

    is_recurrent = True

    def __init__(
        self,
        vocab_size: int,
        embed_dims: int = 512,
        region_dims: int = 512,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        require_positive(vocab_size=vocab_size, embed_dims=embed_dims, region_dims=region_dims)
        self.embed_dims, self.region_dims = embed_dims, region_dims
        self.embedding = nn.Embedding(vocab_size, embed_dims)
        self.initial_state = nn.Linear(region_dims, 2 * embed_dims)
        self.lstm = nn.LSTM(embed_dims, embed_dims, batch_first=True)
        self.attention = nn.Linear(region_dims, embed_dims, bias=False)
        self.output = nn.Linear(region_dims + embed_dims, embed_dims)
        self.dropout = nn.Dropout(dropout)

    def forward(self, piece_ids: Tensor, regions: Tensor) -> Tensor:
        """Compute the state after each piece.

        Args:
            piece_ids: (B, t) pieces so far.
            regions: (B, S, D).

        Returns:
            (B, t, C) states, of which each is for the piece that follows.
        """
        state, read = self.begin(regions)
        pieces = self.dropout(self.embedding(piece_ids))
        states, _ = self.lstm(pieces, tuple(x.transpose(0, 1) for x in state))
        return self._attend(states, *read)

    def begin(self, regions: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """What is kept before the first piece: h_0 and c_0 (B, 1, C); W_a v_s (B, S, C) and the regions."""
        state = self.initial_state(regions.mean(dim=1, keepdim=True)).tanh().chunk(2, dim=2)
        return [x.contiguous() for x in state], [self.attention(regions), regions]

    def step(self, piece_ids: Tensor, written: list[Tensor], read: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """Compute the state (B, beams, C) after one more piece (B, beams), and what is kept, that piece included."""
        pieces = self.dropout(self.embedding(piece_ids))
        _, state = self.lstm(pieces.flatten(0, 1)[:, None], tuple(x.flatten(0, 1)[None] for x in written))
        hidden, cell = (x.view_as(pieces) for x in state)
        return self._attend(hidden, *read), [hidden, cell]

    def _attend(self, states: Tensor, keys: Tensor, regions: Tensor) -> Tensor:
        """Look at the regions from each of (B, ·, C) states."""
        states, keys, regions = states[:, None], keys[:, None], regions[:, None]
        attended = F.scaled_dot_product_attention(states, keys, regions)  # (B, 1, ·, D)
        return self.dropout(self.output(torch.cat([attended, states], dim=3)).tanh()).squeeze(1)
