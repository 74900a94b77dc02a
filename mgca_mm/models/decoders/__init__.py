"""Decoders that write a report from the regions of an image; which pieces come next, the captioning alignment decides.

A decoder maps the pieces written so far and the regions to one state for each piece, which depends on no later one::

    forward(piece_ids (B, t), regions (B, S, D)) -> (B, t, embed_dims)

It has D as ``region_dims`` and the table of pieces as ``embedding``, and says by ``is_recurrent`` whether it calls
recurrent kernels, which torch.compile does not enter.
"""

from .lstm import LSTMDecoder
from .memory_transformer import MemoryTransformerDecoder
from .search import beam_search

__all__ = ["LSTMDecoder", "MemoryTransformerDecoder", "beam_search"]
