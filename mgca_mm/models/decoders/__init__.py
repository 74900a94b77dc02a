"""Decoders that write a report from the regions of an image; which pieces come next, the captioning alignment decides.

A decoder maps the pieces written so far and the regions to one state for each piece, which depends on no later one::

    forward(piece_ids (B, t), regions (B, S, D)) -> (B, t, embed_dims)

It writes one piece after the other without reading the earlier ones again: what it keeps of the pieces of each beam
(B, beams, …) a search puts into the order of its beams, and what it keeps of the regions (B, …) serves all of them::

    begin(regions (B, S, D)) -> written, read                                    two lists of tensors
    step(piece_ids (B, beams), written, read) -> (B, beams, embed_dims), written

It has D as ``region_dims`` and the table of pieces as ``embedding``, and says by ``is_recurrent`` whether it calls
recurrent kernels, which torch.compile does not enter.
"""

from .lstm import LSTMDecoder
from .memory_transformer import MemoryTransformerDecoder
from .search import beam_search

__all__ = ["LSTMDecoder", "MemoryTransformerDecoder", "beam_search"]
