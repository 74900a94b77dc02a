"""Swin transformers under transformers' names → ``mmpretrain.SwinTransformer``."""

import math
import re

import torch
from torch import Tensor

from mgca_mm.errors import UserError

from .architecture import count
from .renaming import require_shapes

_BLOCK = r"encoder\.layers\.(\d+)\.blocks\.(\d+)\."
RENAMES = [
    (r"embeddings\.patch_embeddings\.projection\.(.+)", r"patch_embed.projection.\1"),
    (r"embeddings\.norm\.(.+)", r"patch_embed.norm.\1"),
    (r"encoder\.layers\.(\d+)\.downsample\.(.+)", r"stages.\1.downsample.\2"),
    (rf"{_BLOCK}layernorm_before\.(.+)", r"stages.\1.blocks.\2.norm1.\3"),
    (rf"{_BLOCK}layernorm_after\.(.+)", r"stages.\1.blocks.\2.norm2.\3"),
    (rf"{_BLOCK}attention\.self\.(.+)", r"stages.\1.blocks.\2.attn.w_msa.\3"),
    (rf"{_BLOCK}attention\.output\.dense\.(.+)", r"stages.\1.blocks.\2.attn.w_msa.proj.\3"),
    (rf"{_BLOCK}intermediate\.dense\.(.+)", r"stages.\1.blocks.\2.ffn.layers.0.0.\3"),
    (rf"{_BLOCK}output\.dense\.(.+)", r"stages.\1.blocks.\2.ffn.layers.1.\3"),
    (r"layernorm\.(.+)", r"norm.\1"),
]
_TABLE = "relative_position_bias_table"
# More than any has; a model is built of what a file says.
_LARGEST_WINDOW = 24
_LARGEST_PATCH = 32
_MOST_STAGES = 8


def require_swin(state_dict: dict[str, Tensor], kind: str) -> None:
    """Check that nothing is missing or misshapen.

    Args:
        state_dict: Weights by the names of ``transformers.SwinModel``.
        kind: What the checkpoint is of, for the error.

    Raises:
        UserError: If something is, or no such transformer exists.
    """
    from transformers import SwinConfig, SwinModel

    depths: list[int] = []
    while blocks := count(state_dict, rf"encoder\.layers\.{len(depths)}\.blocks\.(\d+)\."):
        depths.append(blocks)
    tables = [state_dict.get(f"encoder.layers.{i}.blocks.0.attention.self.{_TABLE}") for i in range(len(depths))]
    patches = state_dict.get("embeddings.patch_embeddings.projection.weight")
    hidden = state_dict.get("encoder.layers.0.blocks.0.intermediate.dense.weight")
    parts = {4: [patches], 2: [hidden, *tables]}
    if any(part is None or part.dim() != dims or not part.numel() for dims, each in parts.items() for part in each):
        raise UserError(
            f"The checkpoint of {kind} is incomplete: its Swin transformer lacks parts.\nDownload it again."
        )
    window, heads = (math.isqrt(len(tables[0])) + 1) // 2, [table.shape[1] for table in tables]
    channels, patch_size = len(patches), patches.shape[-1]
    possible = window <= _LARGEST_WINDOW and patch_size <= _LARGEST_PATCH and len(depths) <= _MOST_STAGES
    if not possible or any(channels * 2**stage % number for stage, number in enumerate(heads)):
        raise UserError(
            f"The checkpoint of {kind} is misshapen: no Swin transformer has such parts.\nDownload it again."
        )
    with torch.device("meta"):
        config = SwinConfig(
            embed_dim=channels,
            depths=depths,
            num_heads=heads,
            window_size=window,
            patch_size=patch_size,
            mlp_ratio=len(hidden) / channels,
        )
        weights = SwinModel(config, add_pooling_layer=False).state_dict()
    if unknown := sorted(state_dict.keys() - weights.keys()):
        raise UserError(
            f"The checkpoint of {kind} has {len(unknown)} unknown names, such as '{unknown[0][:100]}'.\n"
            "It is of another architecture than transformers' SwinModel."
        )
    shapes = {name: tensor.shape for name, tensor in weights.items() if not name.endswith("position_index")}
    require_shapes(state_dict, shapes, kind)


def finish_swin(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """What renamed weights need besides, for ``mmpretrain.SwinTransformer`` whose output is its last map.

    The four pixels that become one are taken down the columns by transformers, along the rows and channel by channel by
    mmpretrain; the norm has the number of its stage; the index of positions is no weight, but mmpretrain loads it.
    """
    from mmpretrain.models.utils import WindowMSA

    finished = {}
    last = count(state_dict, r"stages\.(\d+)\.") - 1
    for name, tensor in state_dict.items():
        if ".downsample." in name:
            *rows, channels = tensor.shape
            tensor = tensor.reshape(*rows, 2, 2, channels // 4).transpose(-3, -2)
            tensor = tensor.movedim(-1, -3).reshape(*rows, channels)
        finished[re.sub(r"^norm\.", f"norm{last}.", name)] = tensor
        if name.endswith(_TABLE):
            window = (math.isqrt(len(tensor)) + 1) // 2
            index = WindowMSA(1, (window, window), num_heads=1).relative_position_index
            finished[name.replace(_TABLE, "relative_position_index")] = index.clone()
    return finished
