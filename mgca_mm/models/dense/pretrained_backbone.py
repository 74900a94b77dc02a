"""The image encoder of a checkpoint as the backbone of a detector, a segmentor or a classifier, by one line."""

import os
from collections.abc import Sequence

from mmengine.logging import print_log
from torch import nn

from mgca_mm.checkpoints.conversion.architecture import backbone_config
from mgca_mm.checkpoints.weights import backbone_of, prefix_of_backbone, read_state_dict
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

from .vit_pyramid import ViTPyramid

_STEM_STRIDE, _STAGE_STRIDES = 2, (4, 8, 16, 32)  # of a ResNet


@MODELS.register_module(name="PretrainedBackbone")
def build_pretrained_backbone(
    checkpoint: str, strides: Sequence[int] | None = None, frozen: bool = False, pyramid_channels: int = 256
) -> nn.Module:
    """Build the backbone that a checkpoint is of, with its weights.

    A ResNet becomes ``mmpretrain.ResNet`` (:class:`ResNetWithStem` for stride 2), a vision transformer
    ``mmpretrain.VisionTransformer``, within a :class:`ViTPyramid` where maps are asked for. The names of the weights
    are those of these classes, so that what is trained on loads without the first checkpoint, too.

    Args:
        checkpoint: A file of pretraining, converted, extracted or published; the folder of a run (its best); a URL.
        strides: Strides of the maps to give, in pixels, ascending. None: what a classifier takes, the last map of a
            ResNet and [CLS] of a vision transformer.
        frozen: Keep the weights, and batch norms in evaluation mode.
        pyramid_channels: Channels of each map of a :class:`ViTPyramid`.

    Returns:
        The backbone, with ``out_channels``, the channels of each output.

    Raises:
        UserError: The checkpoint cannot be read, holds no complete encoder or one of another kind, or has no maps of
            these strides.
    """
    content = read_state_dict(checkpoint)
    prefix = prefix_of_backbone(content)
    weights = backbone_of(content, prefix)
    # A classification head in the names of a plain file.
    weights = {name: tensor for name, tensor in weights.items() if not name.startswith(("fc.", "head."))}
    config = backbone_config(weights)
    if config is None:
        raise UserError(
            f"Checkpoint '{checkpoint}' holds neither a plain ResNet nor a vision transformer.\nName its class: "
            f"type='LIBRARY.CLASS', init_cfg=dict(type='Pretrained', checkpoint=FILE, prefix='{prefix}')"
        )
    if config["type"].endswith("ResNet"):
        encoder = backbone = _resnet(config, strides, frozen)
    else:
        backbone = _vit(config, strides, frozen, pyramid_channels)
        encoder = backbone.vit if isinstance(backbone, ViTPyramid) else backbone
    encoder.load_state_dict(weights)
    encoder.is_init = True  # lest a runner draw weights for it
    count = len(encoder.state_dict())
    maps = f"strides {list(strides)}, " if strides else ""
    print_log(
        f"{type(encoder).__name__}: {count} of {count} tensors are those of {os.path.basename(checkpoint)}; "
        f"{maps}channels {list(backbone.out_channels)}",
        logger="current",
    )
    return backbone


def _resnet(config: dict, strides: Sequence[int] | None, frozen: bool) -> nn.Module:
    num_stages = config.get("num_stages", len(_STAGE_STRIDES))
    known = (_STEM_STRIDE, *_STAGE_STRIDES[:num_stages])
    strides = known[-1:] if strides is None else tuple(strides)
    if not strides or list(strides) != sorted(set(strides) & set(known)):
        raise UserError(f"The ResNet has maps of strides {', '.join(map(str, known))}, ascending, not {list(strides)}.")
    has_stem = strides[0] == _STEM_STRIDE
    stages = [_STAGE_STRIDES.index(stride) for stride in strides[has_stem:]]
    settings = dict(frozen_stages=num_stages, norm_eval=True) if frozen else {}
    kind = "mgca_mm.ResNetWithStem" if has_stem else config["type"]
    backbone = MODELS.build({**config, **settings, "type": kind, "out_indices": stages})
    width = 64 if config["depth"] < 50 else 256
    backbone.out_channels = (*[64] * has_stem, *(width * 2**stage for stage in stages))
    return backbone


def _vit(config: dict, strides: Sequence[int] | None, frozen: bool, channels: int) -> nn.Module:
    if frozen:
        config = {**config, "frozen_stages": config["arch"]["num_layers"]}
    width = config["arch"]["embed_dims"]
    if strides is None:
        backbone = MODELS.build(config)
        backbone.out_channels = (width,)
        return backbone
    try:
        return ViTPyramid(
            {**config, "out_type": "featmap"}, width, config["patch_size"], tuple(strides), (channels,) * len(strides)
        )
    except ValueError as error:
        raise UserError(f"The vision transformer has no maps of strides {list(strides)}: {error}") from error
