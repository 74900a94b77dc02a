"""The architecture of an encoder, read from the names and shapes of its weights."""

import math
import re
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

# Blocks a stage and whether they are bottlenecks → depth.
_RESNETS = {
    ((2, 2, 2, 2), False): 18,
    ((3, 4, 6, 3), False): 34,
    ((3, 4, 6, 3), True): 50,
    ((3, 4, 23, 3), True): 101,
    ((3, 8, 36, 3), True): 152,
}
_CHANNELS_OF_A_HEAD = 64  # of ViT-Ti, S, B and L; the weights do not tell


def backbone_config(state_dict: dict[str, Tensor]) -> dict | None:
    """Config of the mmpretrain backbone that a state dict is of, without initial weights.

    Args:
        state_dict: Names without a prefix.

    Returns:
        The config, or None if it is neither a plain ``mmpretrain.ResNet`` nor an ``mmpretrain.VisionTransformer``.

    Raises:
        UserError: If it is one of them, but a part is missing.
    """
    if "patch_embed.projection.weight" in state_dict and "pos_embed" in state_dict:
        config = _vit_config(state_dict)
    elif _is_resnet(state_dict):
        config = _resnet_config(state_dict)
    else:
        return None
    expected = MODELS.build(config).state_dict()
    wrong = [
        name
        for name, tensor in expected.items()
        if not name.endswith("num_batches_tracked")
        and (name not in state_dict or state_dict[name].shape != tensor.shape)
    ]
    if wrong:
        raise UserError(
            f"The encoder is incomplete: {len(wrong)} weights are missing or misshapen: {', '.join(wrong[:3])}…\n"
            "The file is damaged, or of another architecture."
        )
    return config


def require_backbone(state_dict: dict[str, Tensor], kind: str) -> None:
    """Check that a state dict is a whole ResNet or vision transformer.

    Raises:
        UserError: If it is not.
    """
    if backbone_config(state_dict) is None:
        raise UserError(f"The checkpoint of {kind} is incomplete: it holds no image encoder.\nDownload it again.")


def build_backbone(config: dict, state_dict: dict[str, Tensor]) -> nn.Module:
    """The backbone with its weights, in evaluation mode."""
    backbone = MODELS.build(config)
    backbone.load_state_dict(state_dict)
    backbone.eval()  # which returns None in mmpretrain
    return backbone


def bert_config(state_dict: dict[str, Tensor]) -> dict:
    """Arguments of a BERT's configuration, from its weights by transformers' names without a prefix."""
    vocabulary, channels = state_dict["embeddings.word_embeddings.weight"].shape
    return dict(
        vocab_size=vocabulary,
        hidden_size=channels,
        num_hidden_layers=_count(state_dict, r"encoder\.layer\.(\d+)\."),
        num_attention_heads=max(1, channels // _CHANNELS_OF_A_HEAD),
        intermediate_size=state_dict["encoder.layer.0.intermediate.dense.weight"].shape[0],
        max_position_embeddings=state_dict["embeddings.position_embeddings.weight"].shape[0],
    )


def bert_names(state_dict: dict[str, Tensor]) -> set[str]:
    """Names that a BERT of this size has, but for its pooler.

    Raises:
        UserError: If not even its size can be told.
    """
    from transformers import BertConfig, BertModel

    try:
        config = BertConfig(**bert_config(state_dict))
    except KeyError as error:
        raise UserError(f"The text encoder is incomplete: it lacks {error}.\nDownload the checkpoint again.") from error
    with torch.device("meta"):
        return set(BertModel(config, add_pooling_layer=False).state_dict())


def _is_resnet(state_dict: dict[str, Tensor]) -> bool:
    """Whether names and stem are a plain ResNet's, not those of a ResNeXt, SE-ResNet or RegNet."""
    stem, block = state_dict.get("conv1.weight"), state_dict.get("layer1.0.conv2.weight")
    if stem is None or block is None:
        return False
    plain = r"(conv1|bn1|layer[1-4]\.\d+\.((conv|bn)[123]|downsample\.[01]))\.\w+"
    return (
        tuple(stem.shape) == (64, 3, 7, 7)
        and tuple(block.shape) == (64, 64, 3, 3)
        and all(re.fullmatch(plain, name) for name in state_dict)
    )


def _vit_config(state_dict: dict[str, Tensor]) -> dict:
    channels, _, patch_size, _ = state_dict["patch_embed.projection.weight"].shape
    num_patches = state_dict["pos_embed"].shape[1] - 1
    try:
        feedforward_channels = state_dict["layers.0.ffn.layers.0.0.weight"].shape[0]
    except KeyError as error:
        raise UserError(f"The encoder is incomplete: it lacks {error}.\nThe file is damaged.") from error
    return dict(
        type="mmpretrain.VisionTransformer",
        arch=dict(
            embed_dims=channels,
            num_layers=_count(state_dict, r"layers\.(\d+)\."),
            num_heads=max(1, channels // _CHANNELS_OF_A_HEAD),
            feedforward_channels=feedforward_channels,
        ),
        img_size=math.isqrt(num_patches) * patch_size,
        patch_size=patch_size,
        out_type="cls_token",
    )


def _resnet_config(state_dict: dict[str, Tensor]) -> dict:
    blocks = tuple(_count(state_dict, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in state_dict
    if (blocks, bottleneck) not in _RESNETS:
        raise UserError(
            f"No ResNet has {blocks} blocks in its stages.\nThe file is damaged, or of another architecture."
        )
    return dict(type="mmpretrain.ResNet", depth=_RESNETS[blocks, bottleneck])


def _count(names: Iterable[str], pattern: str) -> int:
    """One more than the largest number that a pattern finds in the names; 0 where it finds none."""
    return 1 + max((int(match[1]) for name in names if (match := re.match(pattern, name))), default=-1)
