"""The image encoder as a folder for transformers and its hub: model, image processor and model card."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from mgca_mm.version import __version__

from .architecture import is_vit
from .preprocessing import normalization_of
from .renaming import rename

# Names of mmpretrain's vision transformer → those of transformers.
_VIT = [
    (r"cls_token", "embeddings.cls_token"),
    (r"pos_embed", "embeddings.position_embeddings"),
    (r"patch_embed\.projection\.(.+)", r"embeddings.patch_embeddings.projection.\1"),
    (r"layers\.(\d+)\.ln1\.(.+)", r"encoder.layer.\1.layernorm_before.\2"),
    (r"layers\.(\d+)\.ln2\.(.+)", r"encoder.layer.\1.layernorm_after.\2"),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.(.+)", r"encoder.layer.\1.intermediate.dense.\2"),
    (r"layers\.(\d+)\.ffn\.layers\.1\.(.+)", r"encoder.layer.\1.output.dense.\2"),
    (r"layers\.(\d+)\.attn\.(query|key|value)\.(.+)", r"encoder.layer.\1.attention.attention.\2.\3"),
    (r"layers\.(\d+)\.attn\.proj\.(.+)", r"encoder.layer.\1.attention.output.dense.\2"),
    (r"ln1\.(.+)", r"layernorm.\1"),
]

_CARD = """---
library_name: transformers
pipeline_tag: image-feature-extraction
# license: to be chosen; the agreement about the training data may limit it
tags:
- radiology
- chest-x-ray
- mgca_mm
---

# {name}

Image encoder of radiographs ({architecture}), exported by mgca_mm {version}.
For research only: not a medical device, not to be used to diagnose or treat.

## Use

```python
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModel

processor = AutoImageProcessor.from_pretrained({name!r})
model = AutoModel.from_pretrained({name!r}{options}).eval()
pixels = processor(Image.open("radiograph.png"), return_tensors="pt").pixel_values
{upsample}with torch.inference_mode():
    features = model(pixels).{output}  # (1, {channels})
```

## Input

8-bit gray levels, air dark and bone bright; images of 16 bits and DICOM files are brought to 8 bits first. The
processor resizes the long side to {square} pixels, pads the short side with black, takes the center of {crop} x {crop},
and normalizes with mean {mean} and standard deviation {std} in gray levels of 0 to 255. Features of an image whose
long side has {square} pixels are those of the training, before its projection. Others are resized bilinearly
here and by areas there, so that they differ a little; an odd short side between {crop} and {square} lies one pixel
beside.{note}

## Training

| | |
|---|---|
{facts}

## To be filled in by whoever publishes it

- Data it was trained on, their license or data use agreement, and whether that allows weights to be shared:
- Scores, on which data; for whom it fails, and what it must not be used for:
"""
_UPSAMPLE = (
    'pixels = torch.nn.functional.interpolate(pixels, size={size}, mode="bilinear", align_corners=True)'
    "  # as in the training\n"
)


@dataclass(frozen=True)
class Training:
    """How an encoder was trained, as far as it is known; the defaults are the paper's (docs/protocol.md#data).

    Attributes:
        square: Side of the square that radiographs are resized and padded to, in pixels.
        crop: Side of its center crop.
        resize_to: Side that the crop is upsampled to. None: it is not.
        mean: Of the normalization, in gray levels of 0 to 255, of the three channels.
        std: The same.
        facts: Rows of the model card: what, and its value.
    """

    square: int = 256
    crop: int = 224
    resize_to: int | None = None
    mean: Sequence[float] = (127.5,) * 3
    std: Sequence[float] = (127.5,) * 3
    facts: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_converted(cls, meta: Mapping[str, Any]) -> "Training | None":
        """What the ``meta`` of another project's converted encoder says of it; None where it does not say it."""
        normalization, size = normalization_of(meta), meta.get("image_size")
        if normalization is None or type(size) is not int or size < 1:
            return None
        facts = {"project": str(meta.get("converted_by", "not known")).removeprefix("from-")}
        return cls(square=round(size * cls.square / cls.crop), crop=size, **normalization, facts=facts)


def write_model(weights: dict[str, Tensor], config: dict, target: Path) -> None:
    """Write a model for ``AutoModel.from_pretrained``.

    Args:
        weights: By mmpretrain's names, without a prefix.
        config: Of the backbone, as :func:`~mgca_mm.checkpoints.conversion.architecture.backbone_config` finds it.
        target: The folder.

    Raises:
        OSError: If it cannot be written.
    """
    model = _vit(weights, config) if is_vit(config) else _resnet(weights)
    try:
        model.save_pretrained(target)
    except SafetensorError as error:  # which tells of a full disk
        raise OSError(str(error)) from error
    # safetensors lets nobody but the owner read it.
    (target / "model.safetensors").chmod((target / "config.json").stat().st_mode)


def load_model(target: Path, config: dict) -> Callable[[Tensor], Tensor]:
    """The global feature by transformers, as a function of images."""
    from transformers import AutoModel

    if is_vit(config):
        model = AutoModel.from_pretrained(target, add_pooling_layer=False).eval()
        return lambda image: model(image).last_hidden_state[:, 0]
    model = AutoModel.from_pretrained(target).eval()
    return lambda image: model(image).pooler_output.flatten(1)


def describe(target: Path, name: str, config: dict, training: Training | None) -> None:
    """Add the image processor and the model card, without which a model of the hub is of little use.

    Args:
        target: The folder of the model.
        name: What it is going to be called.
        config: Of the backbone.
        training: None: nothing is known; the sizes are those of the paper's config for such a backbone.

    Raises:
        OSError: If they cannot be written.
    """
    from transformers import ViTImageProcessorFast

    if training is not None and is_vit(config) and (training.resize_to or training.crop) != config["img_size"]:
        training = None  # of another model
    facts = {"config": "not known: none of a pretraining lay beside the checkpoint; the sizes above are the paper's"}
    if training is None and is_vit(config):
        crop = config["img_size"]
        training = Training(square=round(crop * Training.square / Training.crop), crop=crop, facts=facts)
    elif training is None:
        training = Training(resize_to=299 if config["depth"] == 50 else None, facts=facts)
    ViTImageProcessorFast(
        size={"max_height": training.square, "max_width": training.square},
        resample=2,  # bilinear
        do_center_crop=True,  # which pads with black where an image is smaller
        crop_size=training.crop,
        image_mean=[level / 255 for level in training.mean],
        image_std=[level / 255 for level in training.std],
        do_convert_rgb=True,
    ).save_pretrained(target)
    size = training.resize_to
    if is_vit(config):
        arch = config["arch"]
        architecture = f"vision transformer, {arch['num_layers']} layers of {arch['embed_dims']} channels"
        architecture += f", patches of {config['patch_size']} x {config['patch_size']}"
        model = dict(options=", add_pooling_layer=False", output="last_hidden_state[:, 0]", channels=arch["embed_dims"])
    else:
        architecture = f"ResNet-{config['depth']}"
        channels = 2048 if config["depth"] >= 50 else 512
        model = dict(options="", output="pooler_output.flatten(1)", channels=channels)
    card = _CARD.format(
        name=name,
        architecture=architecture,
        version=__version__,
        **model,
        upsample=_UPSAMPLE.format(size=size) if size else "",
        note=f" The training has shown it the crop upsampled to {size} x {size}, as above." if size else "",
        square=training.square,
        crop=training.crop,
        mean=", ".join(f"{level:g}" for level in dict.fromkeys(training.mean)),
        std=", ".join(f"{level:g}" for level in dict.fromkeys(training.std)),
        facts="\n".join(f"| {what} | {value} |" for what, value in training.facts.items()),
    )
    (target / "README.md").write_text(card, encoding="utf-8")


def _vit(weights: dict[str, Tensor], config: dict):
    from transformers import ViTConfig, ViTModel

    arch = config["arch"]
    model = ViTModel(
        ViTConfig(
            image_size=config["img_size"],
            patch_size=config["patch_size"],
            hidden_size=arch["embed_dims"],
            num_hidden_layers=arch["num_layers"],
            num_attention_heads=arch["num_heads"],
            intermediate_size=arch["feedforward_channels"],
            layer_norm_eps=1e-6,  # mmpretrain's
        ),
        add_pooling_layer=False,
    )
    split = {}
    for name, tensor in weights.items():
        if ".attn.qkv." in name:
            for part, value in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                split[name.replace("qkv", part)] = value
        else:
            split[name] = tensor
    model.load_state_dict({rename(name, _VIT): tensor for name, tensor in split.items()})
    return model


def _resnet(weights: dict[str, Tensor]):
    from transformers import ResNetConfig, ResNetModel

    last = "conv3" if "layer1.0.conv3.weight" in weights else "conv2"  # convolution of a block
    model = ResNetModel(
        ResNetConfig(
            embedding_size=64,
            hidden_sizes=[len(weights[f"layer{stage}.0.{last}.weight"]) for stage in range(1, 5)],
            depths=[len({n.split(".")[1] for n in weights if n.startswith(f"layer{s}.")}) for s in range(1, 5)],
            layer_type="bottleneck" if last == "conv3" else "basic",
        )
    )
    model.load_state_dict({_resnet_name(name): tensor for name, tensor in weights.items()})
    return model


def _resnet_name(name: str) -> str:
    parts = {"conv": "convolution", "bn": "normalization", "0": "convolution", "1": "normalization"}
    if match := re.fullmatch(r"(conv|bn)1\.(.+)", name):
        return f"embedder.embedder.{parts[match[1]]}.{match[2]}"
    stage, block, rest = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name).groups()
    layer = f"encoder.stages.{int(stage) - 1}.layers.{block}"
    if match := re.fullmatch(r"downsample\.([01])\.(.+)", rest):
        return f"{layer}.shortcut.{parts[match[1]]}.{match[2]}"
    kind, index, parameter = re.fullmatch(r"(conv|bn)(\d)\.(.+)", rest).groups()
    return f"{layer}.layer.{int(index) - 1}.{parts[kind]}.{parameter}"
