"""Names of vision transformers in timm, DeiT and their descendants → names of ``mmpretrain.VisionTransformer``."""

from collections.abc import Iterable

from torch import Tensor

from .renaming import rename

# Ordered: the first pattern that matches a whole name gives its replacement.
RENAMES = [
    (r"(cls_token|pos_embed)", r"\1"),
    (r"patch_embed\.proj\.(.+)", r"patch_embed.projection.\1"),
    (r"blocks\.(\d+)\.norm([12])\.(.+)", r"layers.\1.ln\2.\3"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(.+)", r"layers.\1.ffn.layers.0.0.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(.+)", r"layers.\1.ffn.layers.1.\2"),
    (r"blocks\.(\d+)\.attn\.(.+)", r"layers.\1.attn.\2"),
    (r"blocks\.(\d+)\.ls1\.gamma", r"layers.\1.attn.gamma1.weight"),  # layer scale, as of DINOv2
    (r"blocks\.(\d+)\.ls2\.gamma", r"layers.\1.ffn.gamma2.weight"),
    (r"norm\.(.+)", r"ln1.\1"),
]


def is_timm_vit(names: Iterable[str]) -> bool:
    """Whether names are those of such a transformer, and not of one of mmpretrain's, whose patches are projected."""
    return "blocks.0.norm1.weight" in names and "patch_embed.projection.weight" not in names


def rename_timm_vit(state_dict: dict[str, Tensor]) -> dict[str, Tensor]:
    """Give weights the names of ``mmpretrain.VisionTransformer``; those it does not have, as of a head, stay."""
    return {rename(name, RENAMES) or name: tensor for name, tensor in state_dict.items()}
