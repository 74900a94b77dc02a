"""The architecture of an encoder, read from the names and shapes of its weights."""

import math
import re
from collections.abc import Iterable

import torch
import torchvision
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
_CHANNELS_OF_A_HEAD = 64  # of ViT-Ti, S, B and L; not to be seen in the weights
# More than any has; a name or a shape may say anything, and a model of it is built.
_MOST_LAYERS = 100
_LARGEST_IMAGE = 2048
_MOST_PATCHES = 4096


def backbone_config(state_dict: dict[str, Tensor]) -> dict | None:
    """Config of the mmpretrain backbone that a state dict is of, without initial weights.

    Args:
        state_dict: Names without a prefix.

    Returns:
        The config, or None if it is neither a plain ``mmpretrain.ResNet`` nor an ``mmpretrain.VisionTransformer``.

    Raises:
        UserError: If it is one of them, but a part is missing, misshapen or not known.
    """
    if "pre_norm.weight" in state_dict:  # CLIP's, whose activation is not to be seen in the weights
        return None
    if "patch_embed.projection.weight" in state_dict and "pos_embed" in state_dict:
        config = _vit_config(state_dict)
    elif _is_resnet(state_dict):
        config = _resnet_config(state_dict)
    else:
        return None
    _require_weights(state_dict, config)
    return config


def _require_weights(state_dict: dict[str, Tensor], config: dict) -> None:
    """Check that a state dict has the weights of a config, and no others."""
    expected = _expected(config)
    wrong = [
        name
        for name, tensor in expected.items()
        if not (name.endswith("num_batches_tracked") and name not in state_dict)
        and (
            name not in state_dict
            or state_dict[name].shape != tensor.shape
            or state_dict[name].is_floating_point() != tensor.is_floating_point()
        )
    ]
    wrong += [name[:100] for name in state_dict if name not in expected]
    if wrong:
        raise UserError(
            f"The encoder is incomplete: {len(wrong)} weights are missing, misshapen or not known: "
            f"{', '.join(wrong[:3])}…\nThe file is damaged, or of another architecture."
        )


def is_vit(config: dict) -> bool:
    """Whether a config of :func:`backbone_config` is of a vision transformer; the others are ResNets."""
    return config["type"].endswith("VisionTransformer")


def _expected(config: dict) -> dict[str, Tensor]:
    """The weights of a backbone without their memory."""
    with torch.device("meta"):
        if is_vit(config):
            return MODELS.build(config).state_dict()
        # Of mmpretrain's, which has the same names, the constructor needs numbers.
        weights = torchvision.models.get_model(f"resnet{config['depth']}", weights=None).state_dict()
    absent = ("fc.", *(f"layer{stage}." for stage in range(config.get("num_stages", 4) + 1, 5)))
    return {name: tensor for name, tensor in weights.items() if not name.startswith(absent)}


def require_backbone(state_dict: dict[str, Tensor], kind: str, num_stages: int = 4) -> dict:
    """Config of a state dict that must be a complete vision transformer, or ResNet of so many stages.

    Raises:
        UserError: If it is not.
    """
    config = backbone_config(state_dict)
    if config is None or config.get("num_stages", 4) < num_stages:
        part = "no image encoder" if config is None else f"{config['num_stages']} stages of {num_stages}"
        raise UserError(f"The checkpoint of {kind} is incomplete: it holds {part}.\nDownload it again.")
    return config


def require_clip(state_dict: dict[str, Tensor], kind: str) -> dict:
    """Config of a complete vision transformer of CLIP, with a norm before its layers; without its activation.

    Raises:
        UserError: If it is not.
    """
    if "pre_norm.weight" not in state_dict:
        raise UserError(f"The checkpoint of {kind} is incomplete: it lacks 'ln_pre.weight'.\nDownload it again.")
    config = {**_vit_config(state_dict), "pre_norm": True}
    _require_weights(state_dict, config)
    return config


def build_backbone(config: dict, state_dict: dict[str, Tensor]) -> nn.Module:
    """The backbone with its weights, in evaluation mode."""
    backbone = MODELS.build(config)
    backbone.load_state_dict(state_dict)
    backbone.eval()  # which returns None in mmpretrain
    return backbone


def bert_shapes(state_dict: dict[str, Tensor]) -> dict[str, torch.Size]:
    """Names and shapes that the weights of a BERT of this size have, but for its pooler.

    Args:
        state_dict: Its weights by transformers' names, without a prefix.

    Raises:
        UserError: If not even its size can be found.
    """
    from transformers import BertConfig, BertModel

    sizes = {}
    for size in ("word_embeddings", "position_embeddings", "intermediate"):
        name = "encoder.layer.0.intermediate.dense.weight" if size == "intermediate" else f"embeddings.{size}.weight"
        if name not in state_dict or state_dict[name].dim() != 2:
            raise UserError(f"The text encoder is incomplete: it lacks '{name}'.\nDownload the checkpoint again.")
        sizes[size], channels = state_dict[name].shape
    config = BertConfig(
        vocab_size=sizes["word_embeddings"],
        hidden_size=channels,
        num_hidden_layers=count(state_dict, r"encoder\.layer\.(\d+)\."),
        num_attention_heads=1,  # of no influence on the shapes
        intermediate_size=sizes["intermediate"],
        max_position_embeddings=sizes["position_embeddings"],
        pad_token_id=None,  # of one row of the words, which is there or not
    )
    with torch.device("meta"):
        weights = BertModel(config, add_pooling_layer=False).state_dict()
    return {name: tensor.shape for name, tensor in weights.items()}


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
    weights = {}
    for name, dims in (("patch_embed.projection.weight", 4), ("pos_embed", 3), ("layers.0.ffn.layers.0.0.weight", 2)):
        if name not in state_dict or state_dict[name].dim() != dims:
            raise UserError(f"The encoder is incomplete: it lacks '{name}'.\nThe file is damaged.")
        weights[dims] = state_dict[name].shape
    channels, _, patch_size, _ = weights[4]
    num_patches, heads = weights[3][1] - 1, max(1, channels // _CHANNELS_OF_A_HEAD)
    img_size = math.isqrt(max(num_patches, 0)) * patch_size
    is_image = 1 <= num_patches <= _MOST_PATCHES and 1 <= img_size <= _LARGEST_IMAGE
    if not is_image or channels < 1 or channels % heads:
        raise UserError(
            f"No vision transformer has {num_patches} patches of {patch_size} x {patch_size} pixels and {channels} "
            "channels.\nThe file is damaged, or of another architecture."
        )
    return dict(
        type="mmpretrain.VisionTransformer",
        arch=dict(
            embed_dims=channels,
            num_layers=count(state_dict, r"layers\.(\d+)\."),
            num_heads=heads,
            feedforward_channels=weights[2][0],
        ),
        img_size=img_size,
        patch_size=patch_size,
        out_type="cls_token",
        # DINOv2's; the value is that of a fresh one.
        **(dict(layer_scale_init_value=1e-5) if "layers.0.attn.gamma1.weight" in state_dict else {}),
    )


def _resnet_config(state_dict: dict[str, Tensor]) -> dict:
    blocks = tuple(count(state_dict, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in state_dict
    if (blocks, bottleneck) in _RESNETS:
        return dict(type="mmpretrain.ResNet", depth=_RESNETS[blocks, bottleneck])
    for (whole, kind), depth in _RESNETS.items():
        if blocks == (*whole[:3], 0) and kind == bottleneck:  # MedKLIP's, which ends after three stages
            stages = dict(num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(2,))
            return dict(type="mmpretrain.ResNet", depth=depth, **stages)
    raise UserError(f"No ResNet has {blocks} blocks in its stages.\nThe file is damaged, or of another architecture.")


def count(names: Iterable[str], pattern: str) -> int:
    """How many numbers a pattern finds in the names, which must be the first ones; 0 where it finds none.

    Raises:
        UserError: If one is left out, or there are too many: a model of them is going to be built.
    """
    found = {match[1] for name in names if (match := re.match(pattern, name))}
    if len(found) > _MOST_LAYERS or found != set(map(str, range(len(found)))):
        raise UserError(
            "The encoder is incomplete: its layers are not numbered 0, 1, 2 …, or are too many.\n"
            "The file is damaged, or of another architecture."
        )
    return len(found)
