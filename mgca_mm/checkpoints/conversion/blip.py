"""Names of BLIP's vision tower → names of ``mmpretrain.VisionTransformer``."""

import torch
from torch import Tensor

from mgca_mm.errors import UserError

from . import timm_vit
from .architecture import require_backbone
from .renaming import ConvertedCheckpoint, rename, rename_all

# The authors' files, and those of transformers.
_RENAMES = [
    *((rf"visual_encoder\.{theirs}", ours) for theirs, ours in timm_vit.RENAMES),
    (r"vision_model\.embeddings\.class_embedding", "cls_token"),
    (r"vision_model\.embeddings\.position_embedding", "pos_embed"),
    (r"vision_model\.embeddings\.patch_embedding\.(.+)", r"patch_embed.projection.\1"),
    (r"vision_model\.encoder\.layers\.(\d+)\.layer_norm([12])\.(.+)", r"layers.\1.ln\2.\3"),
    (r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.qkv\.(.+)", r"layers.\1.attn.qkv.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.self_attn\.projection\.(.+)", r"layers.\1.attn.proj.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc1\.(.+)", r"layers.\1.ffn.layers.0.0.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.mlp\.fc2\.(.+)", r"layers.\1.ffn.layers.1.\2"),
    (r"vision_model\.post_layernorm\.(.+)", r"ln1.\1"),
]
# All but the vision tower: text encoders and decoders, projections, queues, the momentum copies.
_UNUSED = r"(?!(visual_encoder|vision_model)\.).*"


def convert_blip(state_dict: dict[str, Tensor]) -> ConvertedCheckpoint:
    """Take the vision tower out of a BLIP checkpoint, as the authors or transformers publish it.

    Args:
        state_dict: Its weights.

    Returns:
        The vision transformer under the prefix ``backbone.`` with a report.

    Raises:
        UserError: If there is no vision tower, or a part of it is missing.
    """
    converted, mapped, unused = rename_all(
        state_dict,
        lambda name: rename(name, _RENAMES),
        _UNUSED,
        "BLIP",
        "visual_encoder.blocks.0.norm1.weight",
    )
    if "cls_token" not in converted:
        raise UserError("The checkpoint of BLIP is incomplete: its vision tower has no [CLS].\nDownload it again.")
    # Stored as one vector or as a sequence of one, depending on whose file it is.
    converted["cls_token"] = torch.atleast_3d(converted["cls_token"]).reshape(1, 1, -1)
    require_backbone(converted, "BLIP")
    converted = {f"backbone.{name}": tensor for name, tensor in converted.items()}
    return ConvertedCheckpoint(converted, [(theirs, f"backbone.{ours}") for theirs, ours in mapped], unused)
