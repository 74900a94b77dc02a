"""The image encoder of a checkpoint as the backbone of a detector, a segmentor or a classifier, by one line."""

import os
from collections.abc import Sequence
from pathlib import Path

from mmengine.logging import print_log
from torch import Tensor, nn

from mgca_mm.checkpoints.conversion.architecture import backbone_config, is_vit
from mgca_mm.checkpoints.conversion.preprocessing import normalization_of
from mgca_mm.checkpoints.weights import backbone_of, prefix_of_backbone, read_weights
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

from .vit_pyramid import ViTPyramid

DEFAULT_NORMALIZATION = dict(mean=[127.5] * 3, std=[127.5] * 3)  # of our pretraining
STEM_STRIDE, STAGE_STRIDES = 2, (4, 8, 16, 32)  # of a ResNet


@MODELS.register_module(name="PretrainedBackbone")
def build_pretrained_backbone(
    checkpoint: str | Path, strides: Sequence[int] | None = None, frozen: bool = False, pyramid_channels: int = 256
) -> nn.Module:
    """Build the backbone that a checkpoint is of, with its weights.

    A ResNet becomes ``mmpretrain.ResNet`` (:class:`ResNetWithStem` for stride 2), a vision transformer
    ``mmpretrain.VisionTransformer``, within a :class:`ViTPyramid` where maps are asked for; the names of the weights
    are those of these classes.

    Args:
        checkpoint: A file of pretraining, converted, published, or extracted (of a vision transformer, by the names of
            mmpretrain or timm); the folder of a run (its best); a URL.
        strides: Strides of the maps to give, in pixels, ascending; one that is repeated, as in ``(4, 8, 8, 8)``, is
            that of the next stage of a ResNet, dilated. None: what a classifier takes, the last map of a ResNet and
            [CLS] of a vision transformer.
        frozen: Keep the weights, and batch norms in evaluation mode.
        pyramid_channels: Channels of each map of a :class:`ViTPyramid`.

    Returns:
        The backbone, with ``out_channels``, the channels of each output, and ``data_preprocessor``, the mean and
        standard deviation of gray levels in its pretraining.

    Raises:
        UserError: The checkpoint cannot be read, holds no complete encoder or one of another kind, or has no maps of
            these strides.
    """
    if strides is not None and not _are_strides(strides):
        raise UserError(f"strides are those of the maps in pixels, ascending, such as (8, 16, 32), not {strides!r}.")
    config, weights, normalization = encoder_of(os.fspath(checkpoint))
    backbone, encoder = build_encoder(config, strides, frozen, pyramid_channels)
    encoder.load_state_dict(weights)
    encoder.is_init = True  # lest a runner draw weights for it
    backbone.data_preprocessor = normalization or DEFAULT_NORMALIZATION
    count = len(encoder.state_dict())
    maps = f"strides {list(strides)}, " if strides else ""
    mean, std = (
        ", ".join(f"{level:g}" for level in dict.fromkeys(backbone.data_preprocessor[name])) for name in ("mean", "std")
    )
    print_log(
        f"{type(encoder).__name__}: {count} of {count} tensors are those of {os.path.basename(checkpoint)}; "
        f"{maps}channels {list(backbone.out_channels)}; for gray in three channels, mean {mean}, std {std}"
        f"{'' if normalization else ' (ours; the checkpoint does not say it)'}",
        logger="current",
    )
    return backbone


def encoder_of(checkpoint: str) -> tuple[dict, dict[str, Tensor], dict[str, list[float]] | None]:
    """Read the image encoder of a checkpoint.

    Returns:
        Config of its class, without initial weights; its weights; and the normalization of its pretraining, if the
        checkpoint says it.

    Raises:
        UserError: As for :func:`build_pretrained_backbone`.
    """
    weights, meta = read_weights(checkpoint)
    prefix = prefix_of_backbone(weights)
    # A classification head in the names of a plain file.
    weights = {
        name: tensor for name, tensor in backbone_of(weights, prefix).items() if not name.startswith(("fc.", "head."))
    }
    config = backbone_config(weights)
    if config is None:
        raise UserError(
            f"Checkpoint '{checkpoint}' holds no plain ResNet or ViT by the names of mmpretrain or timm.\n"
            "Give the checkpoint that it was extracted from, or name its class: type='LIBRARY.CLASS', "
            f"init_cfg=dict(type='Pretrained', checkpoint=FILE, prefix='{prefix}')"
        )
    return config, weights, normalization_of(meta)


def build_encoder(
    config: dict, strides: Sequence[int] | None, frozen: bool = False, pyramid_channels: int = 256
) -> tuple[nn.Module, nn.Module]:
    """Build, with random weights, the backbone that gives maps of these strides, and the encoder within it."""
    backbone = _vit(config, strides, frozen, pyramid_channels) if is_vit(config) else _resnet(config, strides, frozen)
    return backbone, backbone.vit if isinstance(backbone, ViTPyramid) else backbone


def _are_strides(value: object) -> bool:
    is_list = isinstance(value, list | tuple) and len(value) > 0
    return is_list and all(type(one) is int and one > 0 for one in value) and list(value) == sorted(value)


def _resnet(config: dict, strides: Sequence[int] | None, frozen: bool) -> nn.Module:
    known = STAGE_STRIDES[: config.get("num_stages")]
    strides = known[-1:] if strides is None else tuple(strides)
    has_stem = strides[:1] == (STEM_STRIDE,)
    # A stride that is repeated is that of the next stage, dilated, as mmseg's heads have it.
    dilated: list[int] = []
    stages: list[int] = []
    for before, stride in zip((0, *strides[has_stem:]), strides[has_stem:], strict=False):
        if stride not in known or stride < before or len(dilated) == len(known):
            break
        dilated += [stages[-1] + 1] if stride == before else []
        stages.append(known.index(stride) + len(dilated))
    if not stages or has_stem + len(stages) < len(strides) or max(stages) >= len(known):
        raise UserError(
            f"The ResNet has maps of strides {', '.join(map(str, known))}, and before these {STEM_STRIDE}, ascending, "
            f"not {list(strides)}; one that is repeated stands for the next of its {len(known)} stages, dilated."
        )
    settings = dict(
        out_indices=stages,
        strides=[1 if stage == 0 or stage in dilated else 2 for stage in range(len(known))],
        dilations=[2 ** sum(one <= stage for one in dilated) for stage in range(len(known))],
    )
    if frozen:
        settings |= dict(frozen_stages=len(known), norm_eval=True)
    kind = "mgca_mm.ResNetWithStem" if has_stem else config["type"]
    backbone = MODELS.build({**config, **settings, "type": kind})
    for name in backbone.res_layers[max(stages) + 1 :]:
        getattr(backbone, name).requires_grad_(False)  # of no influence: ranks would wait for its gradients
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
