"""A stock config of mmdet, mmseg or mmpretrain with the image encoder of a checkpoint as its backbone."""

import copy
import math
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.utils import get_installed_path
from torch import Tensor

from mgca_mm.bounds import parts_of
from mgca_mm.checkpoints.conversion.architecture import is_vit
from mgca_mm.errors import UserError, first_line, or_nearest
from mgca_mm.models.dense.pretrained_backbone import (
    DEFAULT_NORMALIZATION,
    STAGE_STRIDES,
    STEM_STRIDE,
    build_encoder,
    encoder_of,
)
from mgca_mm.registry import MODELS

_SIDES = (224, 384)  # pixels of the image that a model is shown; some take no other, or none as small as the first
_POOLING = "GlobalAveragePooling"
_UNET_STRIDES = (STEM_STRIDE, *STAGE_STRIDES)  # of the maps that mgca_mm.UNetHead decodes
_NO_PART = ("type", "backbone", "neck", "data_preprocessor", "train_cfg", "test_cfg", "init_cfg")
_LAYER_DECAY = ("layer_decay_rate", "decay_rate", "decay_type", "num_layers")


def swap_backbone(config: str | Path, checkpoint: str | Path, frozen: bool = False) -> Config:
    """Put the image encoder of a checkpoint in the place of a config's backbone.

    The former backbone is built and shown an image. The strides of its maps are those that ``PretrainedBackbone`` is
    asked for; their channels, where the neck or else the heads name them, give way to the new ones. Maps of a
    transformer all have one stride: where a neck makes a pyramid of them, backbone and neck are replaced together. A
    U-Net, which is a backbone in mmseg, becomes the encoder and ``mgca_mm.UNetHead``. Images are normalized as in the
    pretraining; what initialized or decayed the former backbone goes.

    Args:
        config: File, or name such as ``mmdet::retinanet/retinanet_r50_fpn_1x_coco``.
        checkpoint: As for :func:`mgca_mm.models.dense.build_pretrained_backbone`.
        frozen: Keep the encoder's weights.

    Returns:
        The config, for the library's own programs. Its model has been built and has computed its outputs.

    Raises:
        UserError: The config cannot be read or has no backbone, the checkpoint cannot be read, or the other parts of
            the model cannot take the encoder's maps.
    """
    errors = []
    for side in _SIDES:
        try:
            return _swapped(str(config), os.fspath(checkpoint), frozen, torch.zeros(1, 3, side, side))
        except UserError as error:
            errors.append(error)
    raise errors[0]


def _swapped(name: str, checkpoint: str, frozen: bool, image: Tensor) -> Config:
    cfg = read_config(name)
    encoder, _, normalization = encoder_of(checkpoint)
    with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        backbone = dict(type="mgca_mm.PretrainedBackbone", checkpoint=checkpoint, frozen=frozen)
        _replace(cfg, encoder, backbone, image)
        _leave_former(cfg, encoder)
        for part in (cfg, cfg.model):
            if part.get("data_preprocessor"):
                part.data_preprocessor.update(normalization or DEFAULT_NORMALIZATION)
        _try(cfg, name, image)
    imports = cfg.get("custom_imports") or dict(imports=[])
    names = [module for module in _listed(imports["imports"]) if module != "mgca_mm"]
    cfg.custom_imports = {**imports, "imports": [*names, "mgca_mm"]}
    return cfg


def read_config(name: str) -> Config:
    """Read a config by file or name, as :func:`swap_backbone` takes it."""
    try:
        cfg = Config.fromfile(_file_of(name))
    except Exception as error:  # a config is Python, and can fail in any way that Python can
        raise UserError(
            f"Config '{name}' cannot be read: {first_line(error)}\n"
            "Give a file, or the name of a stock config with its folder: mmdet::retinanet/retinanet_r50_fpn_1x_coco"
        ) from error
    if not (cfg.get("model") or {}).get("backbone"):
        raise UserError(f"Config '{name}' has no model.backbone to replace.")
    if "::" in name:  # some have no scope of their own
        cfg.default_scope = cfg.get("default_scope") or name.partition("::")[0]
    return cfg


def _file_of(name: str) -> str:
    """A file, or that of a stock config's name."""
    if "::" not in name:
        return name
    package, config = name.split("::", 1)
    file = Path(get_installed_path(package), ".mim", "configs", f"{config.removesuffix('.py')}.py")
    if not file.is_file():
        others = [other.stem for other in file.parent.glob("*.py")]
        raise UserError(f"'{file.parent.name}' of {package} has no '{file.stem}'{or_nearest(file.stem, others)}")
    return str(file)


def _replace(cfg: Config, encoder: dict, backbone: dict, image: Tensor) -> None:
    """Set the backbone of a model's config, and what its neck and heads say of it."""
    model, is_resnet = cfg.model, not is_vit(encoder)
    former = _shown(model.backbone, image)
    necks = _listed(model.get("neck"))
    if all(map_.dim() < 4 for map_ in former) or (necks and str(necks[-1].type).endswith(_POOLING)):
        model.neck = dict(type=f"mmpretrain.{_POOLING}") if is_resnet else None
        if model.head.type == "ClsHead":  # the backbone is the whole network, as VGG is
            model.head.update(type="LinearClsHead", in_channels=0, num_classes=former[-1].shape[1])
        if "in_channels" in model.head:
            model.head.in_channels = build_encoder(encoder, None)[0].out_channels[-1]
        model.backbone = backbone
        return
    strides = _strides(former, image)
    if len(strides) > 1 and strides == sorted(strides, reverse=True) and strides[0] > strides[-1]:
        _replace_unet(model, encoder, backbone)
        return
    if len(strides) > 1 and len(set(strides)) == 1:
        if len(necks) == 1:
            former, necks = _shown(necks[0], former), []
            strides, model.neck = _strides(former, image), None
        if is_resnet and len(set(strides)) == 1:
            strides = [min(stride, strides[0]) for stride in STAGE_STRIDES[-len(strides) :]]
    if not is_resnet:  # of the levels of a pyramid, necks and heads may leave some unread
        cfg.find_unused_parameters = True
    channels = build_encoder(encoder, strides)[0].out_channels
    model.backbone = dict(backbone, strides=strides)
    for part in necks[:1] or [part for name, part in model.items() if name not in _NO_PART]:
        for head in _listed(part):
            if isinstance(head, dict):
                _set_channels(head, [map_.shape[1] for map_ in former], channels)


def _replace_unet(model: Any, encoder: dict, backbone: dict) -> None:
    model.backbone = dict(backbone, strides=_UNET_STRIDES)
    channels = build_encoder(encoder, _UNET_STRIDES)[0].out_channels
    model.decode_head = dict(type="mgca_mm.UNetHead", in_channels=channels, num_classes=model.decode_head.num_classes)
    model.neck = model.auxiliary_head = None


def _set_channels(part: Any, former: Sequence[int], channels: Sequence[int]) -> None:
    """Where a part, or one within it, says how many channels it is given, say the new ones."""
    by_former = dict(zip(former, channels, strict=True))
    for inner in parts_of(part):
        if isinstance(inner, dict) and "in_index" in inner:
            index = inner["in_index"]
            one = isinstance(index, int)
            inner["in_channels"] = channels[index] if one else type(index)(channels[each] for each in index)
    given = part.get("in_channels")
    if "in_index" not in part and isinstance(given, int):
        part["in_channels"] = by_former.get(given, given)
    elif "in_index" not in part and given is not None:  # some look whether it is a list or a tuple
        new = channels if list(given) == former else [by_former.get(each, each) for each in given]
        part["in_channels"] = type(given)(new)
    if "c1_in_channels" in part:  # DeepLabV3+, of the first map
        part["c1_in_channels"] = channels[0]


def _leave_former(cfg: Config, encoder: dict) -> None:
    """Take out what is for the former backbone: weights of it and of the whole model, and a decay by its layers."""
    cfg.load_from, cfg.resume = None, False
    for name in ("pretrained", "init_cfg"):
        if name in cfg.model:
            cfg.model[name] = None
    wrapper = cfg.get("optim_wrapper") or {}
    settings = wrapper.get("paramwise_cfg") or {}
    known = "layer_decay_rate" in settings and cfg.get("default_scope") == "mmpretrain"  # by mmpretrain's constructor
    if any(name in settings for name in _LAYER_DECAY) and not (known and is_vit(encoder)):
        wrapper.pop("constructor", None)
        for name in _LAYER_DECAY:
            settings.pop(name, None)


def _try(cfg: Config, name: str, image: Tensor) -> None:
    """Build the model, and let it compute its outputs from an image."""
    try:
        model = MODELS.build(copy.deepcopy(cfg.model))  # some write into their config
        model.eval()
        with torch.no_grad():
            if cfg.get("default_scope") == "mmdet":
                model(image, [_sample_of_mmdet(image, getattr(model, "with_rpn", True))], mode="tensor")
            elif cfg.get("default_scope") == "mmseg":  # some of whose heads want a sample otherwise
                model.predict(image)
            else:
                model(image, mode="tensor")
    except UserError:
        raise
    except NotImplementedError as error:  # of an operator, with the remedy
        raise UserError(f"Config '{name}': {error}") from error
    except Exception as error:  # models of other libraries fail in ways of their own
        raise UserError(
            f"Config '{name}' does not work with this encoder: {_reason(error)}\n"
            "A part of its model may be made for the former backbone; take another config of the method."
        ) from error


def _sample_of_mmdet(image: Tensor, with_rpn: bool) -> Any:
    """What detectors ask for beside the image: its sizes, no boxes, and a proposal where they make none."""
    from mmdet.structures import DetDataSample
    from mmengine.structures import InstanceData

    shape = tuple(image.shape[2:])
    meta = dict(img_shape=shape, ori_shape=shape, pad_shape=shape, batch_input_shape=shape, scale_factor=(1, 1))
    sample = DetDataSample(metainfo=meta)
    sample.gt_instances = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long))
    if not with_rpn:
        sample.proposals = InstanceData(bboxes=torch.tensor([[0.0, 0.0, *shape]]))
    return sample


def _reason(error: Exception) -> str:
    """What an error says and where, and of an assertion that says nothing, what it asserts."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    text = first_line(error) if str(error) else where.line
    return f"{type(error).__name__}: {text} ({Path(where.filename).name}, line {where.lineno})"


def _shown(part: Any, inputs: Any) -> list[Tensor]:
    """What a backbone or a neck gives, without initial weights, of an image or of maps."""
    settings = {name: value for name, value in part.items() if name not in ("init_cfg", "pretrained")}
    try:
        module = MODELS.build(copy.deepcopy(settings))
        module.eval()  # which returns None in mmpretrain's transformers
        with torch.no_grad():
            outputs = _listed(module(inputs))
    except Exception as error:  # modules of other libraries fail in ways of their own
        raise UserError(f"{part['type']}, which is to be replaced, cannot be looked at: {_reason(error)}") from error
    if not outputs or not all(isinstance(output, Tensor) for output in outputs):
        raise UserError(f"{part['type']} gives more than one map a level, which only heads that are made for it take.")
    return outputs


def _strides(maps: Sequence[Tensor], image: Tensor) -> list[int]:
    """Of maps of an image, to the nearest power of two: some lose a pixel at the border."""
    return [2 ** round(math.log2(image.shape[-1] / map_.shape[-1])) for map_ in maps]


def _listed(value: Any) -> list:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]
