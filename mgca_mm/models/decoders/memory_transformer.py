"""Transformer decoder whose attention on image regions has learned memory slots."""

import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS


@MODELS.register_module()
class MemoryTransformerDecoder(BaseModule):
    """A transformer over the pieces; regions and M learned slots answer (after Cornia et al., CVPR 2020, eq. 3-4).

    Each layer: causal self-attention, attention on the regions with learned keys and values beside those of the
    regions, ``K = [W_k V ; M_k], V = [W_v V ; M_v]``, and a feed-forward layer, each added to its input and normalized.
    The slots can hold what reports say whatever the image shows. (There they stand in an encoder of regions.)

    Args:
        vocab_size: Number of pieces.
        max_length: Longest report, in pieces.
        embed_dims: C, of the pieces and states.
        region_dims: D, of the regions.
        num_layers: Number of layers.
        num_heads: Heads of each attention.
        num_memory_slots: M.
        feedforward_dims: Width of the feed-forward layers.
        dropout: Rate on embeddings and what each part adds.
        init_cfg: MMEngine initialization.
    """

    is_recurrent = False

    def __init__(
        self,
        vocab_size: int,
        max_length: int = 112,
        embed_dims: int = 512,
        region_dims: int = 512,
        num_layers: int = 3,
        num_heads: int = 8,
        num_memory_slots: int = 40,
        feedforward_dims: int = 2048,
        dropout: float = 0.1,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        require_positive(vocab_size=vocab_size, max_length=max_length, embed_dims=embed_dims, region_dims=region_dims)
        require_positive(num_layers=num_layers, num_heads=num_heads, feedforward_dims=feedforward_dims)
        if embed_dims % num_heads:
            raise ValueError(f"embed_dims must be a multiple of num_heads, got {embed_dims} and {num_heads}")
        self.embed_dims, self.region_dims = embed_dims, region_dims
        self.embedding = nn.Embedding(vocab_size, embed_dims)
        self.position = nn.Embedding(max_length, embed_dims)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            _Layer(embed_dims, region_dims, num_heads, num_memory_slots, feedforward_dims, dropout)
            for _ in range(num_layers)
        )

    def forward(self, piece_ids: Tensor, regions: Tensor) -> Tensor:
        """Decode; arguments and result as in :meth:`LSTMDecoder.forward`.

        Raises:
            ValueError: If there are more pieces than ``max_length``.
        """
        states = self._embed(piece_ids, 0, piece_ids.shape[1])
        for layer in self.layers:
            states = layer(states, regions)
        return states

    def begin(self, regions: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Keys and values of each layer before the first piece: of none (B, 1, 0, 2C), of regions (B, S + M, 2C)."""
        read = [layer.region_attention.keys_and_values(regions) for layer in self.layers]
        return [x.new_empty(len(regions), 1, 0, x.shape[2]) for x in read], read

    def step(self, piece_ids: Tensor, written: list[Tensor], read: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """As :meth:`LSTMDecoder.step`; errors as in :meth:`forward`."""
        length = written[0].shape[2]
        states = self._embed(piece_ids, length, length + 1)
        kept = []
        for layer, pieces, regions in zip(self.layers, written, read, strict=True):
            states, pieces = layer.step(states, pieces, regions)
            kept.append(pieces)
        return states, kept

    def _embed(self, piece_ids: Tensor, start: int, end: int) -> Tensor:
        if end > self.position.num_embeddings:
            raise ValueError(f"{end} pieces a report, but max_length is {self.position.num_embeddings}")
        return self.dropout(self.embedding(piece_ids) + self.position.weight[start:end])


class _Layer(nn.Module):
    def __init__(self, dims: int, region_dims: int, heads: int, slots: int, feedforward_dims: int, dropout: float):
        super().__init__()
        self.self_attention = _Attention(dims, dims, heads, 0)
        self.region_attention = _Attention(dims, region_dims, heads, slots)
        self.feedforward = nn.Sequential(
            nn.Linear(dims, feedforward_dims), nn.ReLU(), nn.Linear(feedforward_dims, dims)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dims) for _ in range(3))
        self.dropout = nn.Dropout(dropout)

    def forward(self, states: Tensor, regions: Tensor) -> Tensor:
        pieces = self.self_attention.keys_and_values(states)
        attended = self.self_attention(states, pieces, is_causal=True)
        return self._finish(states, attended, self.region_attention.keys_and_values(regions))

    def step(self, states: Tensor, pieces: Tensor, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Take (B, beams, C) states of one more piece; keys and values: (B, beams, t, 2C), (B, S + M, 2C)."""
        pieces = torch.cat([pieces, self.self_attention.keys_and_values(states)[:, :, None]], dim=2)
        attended = self.self_attention(states.flatten(0, 1)[:, None], pieces.flatten(0, 1)).view_as(states)
        return self._finish(states, attended, regions), pieces

    def _finish(self, states: Tensor, attended: Tensor, regions: Tensor) -> Tensor:
        states = self.norms[0](states + self.dropout(attended))
        states = self.norms[1](states + self.dropout(self.region_attention(states, regions)))
        return self.norms[2](states + self.dropout(self.feedforward(states)))


class _Attention(nn.Module):
    """Multi-head attention with learned slots beside the context's keys and values."""

    def __init__(self, dims: int, context_dims: int, heads: int, slots: int):
        super().__init__()
        self.heads = heads
        self.query, self.output = nn.Linear(dims, dims), nn.Linear(dims, dims)
        self.key_value = nn.Linear(context_dims, 2 * dims)
        # The scale of the projected keys and values of normalized input.
        self.memory = nn.Parameter(torch.randn(slots, 2 * dims) * context_dims**-0.5) if slots else None

    def keys_and_values(self, context: Tensor) -> Tensor:
        """Those of a context (B, S, D), and of the slots: (B, S + M, 2C)."""
        found = self.key_value(context)
        return found if self.memory is None else torch.cat([found, self.memory.expand(len(context), -1, -1)], dim=1)

    def forward(self, states: Tensor, keys_and_values: Tensor, is_causal: bool = False) -> Tensor:
        query, key, value = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for x in (self.query(states), *keys_and_values.chunk(2, dim=2))
        )  # (B, heads, ·, C / heads)
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=is_causal)
        return self.output(attended.transpose(1, 2).flatten(2))
