"""Image encoders of other projects → names of mmpretrain, by one table.

A project's files are described by what the names of their image encoder begin with, and by the preprocessing of its
pretraining; what comes after the prefix is one of a few naming schemes. Both are those of the projects' public code
(docs/model_zoo.md).
"""

import re
from typing import NamedTuple

import torch
from torch import Tensor

from mgca_mm.errors import UserError

from . import swin, timm_vit
from .architecture import require_backbone, require_clip
from .preprocessing import CLIP, HALF, IMAGENET, Preprocessing, of_unit
from .renaming import ConvertedCheckpoint, Renames, rename, rename_all

_RESNET = [(r"((?:conv1|bn1|layer[1-4])\..+)", r"\1")]
# Children of a torchvision ResNet in a Sequential; ReLU and pooling, 2 and 3, have no weights.
_NUMBERED_RESNET = [
    (r"0\.(.+)", r"conv1.\1"),
    (r"1\.(.+)", r"bn1.\1"),
    *((rf"{stage + 3}\.(.+)", rf"layer{stage}.\1") for stage in range(1, 5)),
]
_LAYER = r"encoder\.layer\.(\d+)\."
_DINOV2 = [  # of transformers
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.projection\.(.+)", r"patch_embed.projection.\1"),
    (rf"{_LAYER}norm([12])\.(.+)", r"layers.\1.ln\2.\3"),
    (rf"{_LAYER}attention\.attention\.(.+)", r"layers.\1.attn.\2"),
    (rf"{_LAYER}attention\.output\.dense\.(.+)", r"layers.\1.attn.proj.\2"),
    (rf"{_LAYER}layer_scale1\.lambda1", r"layers.\1.attn.gamma1.weight"),
    (rf"{_LAYER}layer_scale2\.lambda1", r"layers.\1.ffn.gamma2.weight"),
    (rf"{_LAYER}mlp\.fc1\.(.+)", r"layers.\1.ffn.layers.0.0.\2"),
    (rf"{_LAYER}mlp\.fc2\.(.+)", r"layers.\1.ffn.layers.1.\2"),
    (r"layernorm\.(.+)", r"ln1.\1"),
]
_JAX_VIT = [  # of the PyTorch port of the first ViT, which REFERS builds on
    (r"embeddings\.cls_token", "cls_token"),
    (r"embeddings\.position_embeddings", "pos_embed"),
    (r"embeddings\.patch_embeddings\.(.+)", r"patch_embed.projection.\1"),
    (rf"{_LAYER}attention_norm\.(.+)", r"layers.\1.ln1.\2"),
    (rf"{_LAYER}ffn_norm\.(.+)", r"layers.\1.ln2.\2"),
    (rf"{_LAYER}attn\.out\.(.+)", r"layers.\1.attn.proj.\2"),
    (rf"{_LAYER}attn\.(.+)", r"layers.\1.attn.\2"),
    (rf"{_LAYER}ffn\.fc1\.(.+)", r"layers.\1.ffn.layers.0.0.\2"),
    (rf"{_LAYER}ffn\.fc2\.(.+)", r"layers.\1.ffn.layers.1.\2"),
    (r"encoder\.encoder_norm\.(.+)", r"ln1.\1"),
]
_BLIP = [  # of transformers; the authors' has timm's names
    (r"embeddings\.class_embedding", "cls_token"),
    (r"embeddings\.position_embedding", "pos_embed"),
    (r"embeddings\.patch_embedding\.(.+)", r"patch_embed.projection.\1"),
    (r"encoder\.layers\.(\d+)\.layer_norm([12])\.(.+)", r"layers.\1.ln\2.\3"),
    (r"encoder\.layers\.(\d+)\.self_attn\.qkv\.(.+)", r"layers.\1.attn.qkv.\2"),
    (r"encoder\.layers\.(\d+)\.self_attn\.projection\.(.+)", r"layers.\1.attn.proj.\2"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc1\.(.+)", r"layers.\1.ffn.layers.0.0.\2"),
    (r"encoder\.layers\.(\d+)\.mlp\.fc2\.(.+)", r"layers.\1.ffn.layers.1.\2"),
    (r"post_layernorm\.(.+)", r"ln1.\1"),
]
_BLOCK = r"transformer\.resblocks\.(\d+)\."
_CLIP = [
    (r"class_embedding", "cls_token"),
    (r"positional_embedding", "pos_embed"),
    (r"conv1\.(weight)", r"patch_embed.projection.\1"),
    (r"ln_pre\.(.+)", r"pre_norm.\1"),
    (rf"{_BLOCK}ln_([12])\.(.+)", r"layers.\1.ln\2.\3"),
    (rf"{_BLOCK}attn\.in_proj_(.+)", r"layers.\1.attn.qkv.\2"),
    (rf"{_BLOCK}attn\.out_proj\.(.+)", r"layers.\1.attn.proj.\2"),
    (rf"{_BLOCK}mlp\.c_fc\.(.+)", r"layers.\1.ffn.layers.0.0.\2"),
    (rf"{_BLOCK}mlp\.c_proj\.(.+)", r"layers.\1.ffn.layers.1.\2"),
    (r"ln_post\.(.+)", r"ln1.\1"),
]
# A name that only one scheme has → the scheme; CLIP's patches have the name of a ResNet's stem.
_SCHEMES: dict[str, Renames] = {
    "class_embedding": _CLIP,
    "conv1.weight": _RESNET,
    "0.weight": _NUMBERED_RESNET,
    "encoder.layers.0.layer_norm1.weight": _BLIP,
    "blocks.0.norm1.weight": timm_vit.RENAMES,
    "encoder.layer.0.layer_scale1.lambda1": _DINOV2,
    "encoder.layer.0.attention_norm.weight": _JAX_VIT,
    "encoder.layers.0.blocks.0.layernorm_before.weight": swin.RENAMES,
}
# Heads and projections, what pretraining masks patches with, and what follows from the size of a window.
_UNUSED = r"(fc|head)\..*|(.*\.)?mask_token|.*relative_position_index"


class Source(NamedTuple):
    """How the files of a project hold its image encoder.

    Attributes:
        prefix: Pattern of what its names begin with; all other names are left out.
        example: Such a name, for the error.
        preprocessing: Of its pretraining.
        num_stages: Of a ResNet.
        layer_scale: Whether it is a vision transformer that scales the output of its layers.
    """

    prefix: str
    example: str
    preprocessing: Preprocessing
    num_stages: int = 4
    layer_scale: bool = False


# Command → what the names of the image encoder begin with, by kind of encoder where that makes a difference.
SOURCES = {
    "blip": [Source(r"(?:visual_encoder|vision_model)\.", "visual_encoder.blocks.0.norm1.weight", of_unit(*CLIP, 384))],
    "convirt": [Source(r"(?:visual|cnn)\.model\.", "visual.model.conv1.weight", of_unit(*IMAGENET, 224))],
    "medclip": [
        Source(
            r"vision_model\.model\.",
            "vision_model.model.conv1.weight",
            of_unit(0.5862785803043838, 0.27950088968644304, 224),
        )
    ],
    "medklip": [Source(r"(?:module\.)?res_features\.", "module.res_features.0.weight", of_unit(*IMAGENET, 224), 3)],
    "m-flag": [Source(r"(?:encoder\.)?(?=conv1\.|bn1\.|layer\d)", "encoder.conv1.weight", of_unit(*HALF, 224))],
    "mrm": [
        Source(
            r"(?:vision_encoder\.visual\.)?(?=cls_token|pos_embed|patch_embed\.|blocks\.|norm\.)",
            "blocks.0.norm1.weight",
            of_unit(0.4978, 0.2449, 224),
        )
    ],
    "refers": [
        Source(
            r"(?:visual\.vit\.)?(?:transformer\.)?(?=embeddings\.|encoder\.)",
            "transformer.encoder.layer.0.attention_norm.weight",
            of_unit(*IMAGENET, 224),
        )
    ],
    "ptunifier": [
        Source(
            r"(?:vision_encoder\.visual\.)?(?=class_emb|positional_emb|conv1\.|ln_p|transformer\.resblocks\.)",
            "vision_encoder.visual.class_embedding",
            of_unit(*CLIP, 224),
        )
    ],
    "cxr-clip": [
        Source(r"image_encoder\.resnet\.", "image_encoder.resnet.conv1.weight", of_unit(*IMAGENET, 224)),
        Source(r"image_encoder\.image_encoder\.", "image_encoder.image_encoder.layernorm.weight", of_unit(*HALF, 224)),
    ],
    "biovil": [Source(r"encoder\.encoder\.", "encoder.encoder.conv1.weight", of_unit(0, 1, 480))],
    "biovil-t": [Source(r"encoder\.encoder\.", "encoder.encoder.conv1.weight", of_unit(0, 1, 448))],
    "rad-dino": [Source("", "encoder.layer.0.layer_scale1.lambda1", of_unit(0.5307, 0.2583, 518), layer_scale=True)],
}


def convert_image_encoder(project: str, state_dict: dict[str, Tensor]) -> ConvertedCheckpoint:
    """Take the image encoder out of a project's file.

    Args:
        project: One of :data:`SOURCES`.
        state_dict: What the file holds.

    Returns:
        The encoder under the prefix ``backbone.`` with a report: ``mmpretrain.ResNet`` (of three stages for MedKLIP),
        ``VisionTransformer`` or ``SwinTransformer``.

    Raises:
        UserError: If there is no image encoder of a known scheme, a name in it is unknown, or a part is missing.
    """
    source = next(
        (each for each in SOURCES[project] if any(re.match(each.prefix, name) for name in state_dict)),
        SOURCES[project][0],
    )
    length = {name: match.end() for name in state_dict if (match := re.match(source.prefix, name))}
    inner = {name[end:]: state_dict[name] for name, end in length.items()}
    scheme = next((renames for name, renames in _SCHEMES.items() if name in inner), [])
    if scheme is swin.RENAMES:
        swin.require_swin(inner, project)
    converted, mapped, unused = rename_all(
        state_dict,
        lambda name: rename(name[length[name] :], scheme),
        rf"(?!{source.prefix}).*|(?:{source.prefix})(?:{_UNUSED})",
        project,
        source.example,
    )
    converted = _join(converted, project)
    for name in ("cls_token", "pos_embed"):  # stored with or without the dimension of the batch
        if name in converted:
            converted[name] = converted[name][(None,) * (3 - converted[name].dim())]
    config = {}
    if scheme is swin.RENAMES:
        converted = swin.finish_swin(converted)
    elif scheme is _CLIP:
        config = require_clip(converted, project)
    else:
        config = require_backbone(converted, project, source.num_stages)
    if ("layer_scale_init_value" in config) != source.layer_scale:
        raise UserError(
            f"Not a checkpoint of {project}: its encoder has {'no ' if source.layer_scale else ''}layer scale.\n"
            f"Expected names such as '{source.example}'."
        )
    # The positions of a vision transformer tell the size of the file at hand.
    image_size = config.get("img_size", source.preprocessing.image_size)
    preprocessing = source.preprocessing._replace(image_size=image_size)
    converted = {f"backbone.{name}": tensor for name, tensor in converted.items()}
    mapped = [(theirs, f"backbone.{_joined(ours)}") for theirs, ours in mapped]
    return ConvertedCheckpoint(converted, mapped, unused, preprocessing=preprocessing)


def _joined(name: str) -> str:
    """Name of the weight that queries, keys and values are parts of in mmpretrain."""
    return re.sub(r"\.(query|key|value)\.", ".qkv.", name)


def _join(weights: dict[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Weights of queries, keys and values as one.

    Raises:
        UserError: If one of the three is missing.
    """
    joined: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if ".query." in name:
            parts = [weights.get(name.replace(".query.", f".{part}.")) for part in ("query", "key", "value")]
            if any(part is None or part.shape[1:] != tensor.shape[1:] or not part.dim() for part in parts):
                raise UserError(f"The checkpoint of {kind} is incomplete at '{name[:100]}'.\nDownload it again.")
            joined[_joined(name)] = torch.cat(parts)
        elif _joined(name) == name:
            joined[name] = tensor
    return joined
