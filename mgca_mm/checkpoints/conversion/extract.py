"""The image encoder as a plain file for other libraries, checked by loading it there."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mgca_mm.errors import UserError
from mgca_mm.files import replacing_output

from .architecture import backbone_config, build_backbone, is_vit
from .huggingface import Training, describe, load_model, write_model
from .renaming import (
    Renames,
    own_memory,
    part_of,
    rename,
    require_finite,
    write_safetensors,
    write_torch,
)

_PREFIXES = ("image_encoder.backbone.", "backbone.")
_TOLERANCE = 1e-4  # of features of order one

# Names of mmpretrain's vision transformer → those of other libraries; attention is a matter of its own.
_TIMM_VIT = [
    (r"(cls_token|pos_embed)", r"\1"),
    (r"patch_embed\.projection\.(.+)", r"patch_embed.proj.\1"),
    (r"layers\.(\d+)\.ln([12])\.(.+)", r"blocks.\1.norm\2.\3"),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.(.+)", r"blocks.\1.mlp.fc1.\2"),
    (r"layers\.(\d+)\.ffn\.layers\.1\.(.+)", r"blocks.\1.mlp.fc2.\2"),
    (r"layers\.(\d+)\.attn\.gamma1\.weight", r"blocks.\1.ls1.gamma"),
    (r"layers\.(\d+)\.ffn\.gamma2\.weight", r"blocks.\1.ls2.gamma"),
    (r"layers\.(\d+)\.attn\.(.+)", r"blocks.\1.attn.\2"),
    (r"ln1\.(.+)", r"norm.\1"),
]
_TORCHVISION_VIT = [
    (r"cls_token", "class_token"),
    (r"pos_embed", "encoder.pos_embedding"),
    (r"patch_embed\.projection\.(.+)", r"conv_proj.\1"),
    (r"layers\.(\d+)\.ln([12])\.(.+)", r"encoder.layers.encoder_layer_\1.ln_\2.\3"),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.(.+)", r"encoder.layers.encoder_layer_\1.mlp.0.\2"),
    (r"layers\.(\d+)\.ffn\.layers\.1\.(.+)", r"encoder.layers.encoder_layer_\1.mlp.3.\2"),
    (r"layers\.(\d+)\.attn\.qkv\.(weight|bias)", r"encoder.layers.encoder_layer_\1.self_attention.in_proj_\2"),
    (r"layers\.(\d+)\.attn\.proj\.(.+)", r"encoder.layers.encoder_layer_\1.self_attention.out_proj.\2"),
    (r"ln1\.(.+)", r"encoder.ln.\1"),
]
# Setting of a config → formats whose library has no model of this kind.
_IMPOSSIBLE = {
    "layer_scale_init_value": ("torchvision", "huggingface"),
    "num_stages": ("torchvision", "timm", "huggingface"),
}


def extract_backbone(
    state_dict: dict[str, Tensor], target: str | Path, format: str, training: Training | None = None
) -> float | None:
    """Write the image encoder of a checkpoint for another library, load it there, and compare the features.

    Args:
        state_dict: Weights of a pretraining (``image_encoder.backbone.…``) or of a downstream model (``backbone.…``).
        target: File, or folder for ``'huggingface'``; written under another name first, and only kept if the
            features agree.
        format: One of :data:`FORMATS`. ``'mmengine'``: mmpretrain's names, for ``init_cfg``; ``'safetensors'``: the
            same names in that format; ``'torchvision'`` and ``'timm'``: a plain state dict without a head, for
            ``load_state_dict(…, strict=False)``; ``'huggingface'``: a folder for ``AutoModel`` and
            ``AutoImageProcessor``, with a model card.
        training: What the folder is to say of the training; None: nothing is known.

    Returns:
        Largest difference of the features of a random image between our model and theirs; None for a backbone that is
        neither a ResNet nor a ViT, whose weights are written as they are.

    Raises:
        UserError: If there is no image encoder, it is incomplete, or the format cannot hold it.
    """
    weights = next((part for prefix in _PREFIXES if (part := part_of(state_dict, prefix))), None)
    if weights is None:
        raise UserError(
            "The checkpoint holds no image encoder.\n"
            f"Expected names that begin with {' or '.join(_PREFIXES)}, as mgca-mm train writes them."
        )
    weights = own_memory(weights)
    config = backbone_config(weights)
    if config is None and format not in ("mmengine", "safetensors"):
        raise UserError(
            "The encoder is neither mmpretrain's plain ResNet nor its VisionTransformer.\n"
            "Formats mmengine and safetensors, which keep its own names, take any."
        )
    if config is not None and any(key in config and format in formats for key, formats in _IMPOSSIBLE.items()):
        raise UserError(
            f"Format {format} has no encoder of this kind (three stages, or layer scale).\n"
            "Formats mmengine and safetensors take any."
        )
    if config is not None:
        for name, tensor in weights.items():
            require_finite(name, tensor)
    with replacing_output(target) as partial:
        _FORMATS[format].write(weights, config, partial)
        if format == "huggingface":
            describe(partial, Path(target).name, config, training)
        difference = None if config is None else _compare(config, weights, _FORMATS[format].load(partial, config))
        if difference is not None and not difference <= _TOLERANCE:
            raise UserError(f"The features of the extracted encoder differ by {difference:.1e}; nothing was written.")
    return difference


@torch.no_grad()
def _compare(config: dict, weights: dict[str, Tensor], theirs: Callable[[Tensor], Tensor]) -> float:
    """Largest difference of the global features of a random image."""
    size = config.get("img_size", 224)
    image = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))
    return (_features(build_backbone(config, weights))(image) - theirs(image)).abs().max().item()


def _features(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """Global feature of our backbone: [CLS], or the average of the last map."""

    def features(image: Tensor) -> Tensor:
        output = backbone(image)[-1]
        return output if output.dim() == 2 else output.mean(dim=(2, 3))

    return features


def _write_plain(renames: Renames | None) -> Callable[[dict, dict, Path], None]:
    """Writer of a plain state dict; ResNets have the same names everywhere but in transformers."""

    def write(weights: dict[str, Tensor], config: dict, target: Path) -> None:
        if renames is not None and is_vit(config):
            weights = {rename(name, renames): tensor for name, tensor in weights.items()}
        write_torch(weights, target)

    return write


def _write_mmengine(weights: dict[str, Tensor], config: dict | None, target: Path) -> None:
    write_torch({"meta": {"backbone": config}, "state_dict": weights}, target)


def _load_mmengine(target: Path, config: dict) -> Callable[[Tensor], Tensor]:
    return _features(build_backbone(config, torch.load(target, weights_only=True)["state_dict"]))


def _write_safetensors(weights: dict[str, Tensor], config: dict | None, target: Path) -> None:
    write_safetensors(weights, target)


def _load_safetensors(target: Path, config: dict) -> Callable[[Tensor], Tensor]:
    from safetensors.torch import load_file

    return _features(build_backbone(config, load_file(target)))


def _load_torchvision(target: Path, config: dict) -> nn.Module:
    import torchvision

    if is_vit(config):
        arch = config["arch"]
        model = torchvision.models.VisionTransformer(
            config["img_size"],
            config["patch_size"],
            arch["num_layers"],
            arch["num_heads"],
            arch["embed_dims"],
            arch["feedforward_channels"],
        )
        model.heads = nn.Identity()
    else:
        model = torchvision.models.get_model(f"resnet{config['depth']}", weights=None)
        model.fc = nn.Identity()
    model.load_state_dict(torch.load(target, weights_only=True))
    return model.eval()


def _load_timm(target: Path, config: dict) -> nn.Module:
    import timm
    from timm.models.vision_transformer import VisionTransformer

    if is_vit(config):
        arch = config["arch"]
        model = VisionTransformer(
            img_size=config["img_size"],
            patch_size=config["patch_size"],
            embed_dim=arch["embed_dims"],
            depth=arch["num_layers"],
            num_heads=arch["num_heads"],
            mlp_ratio=arch["feedforward_channels"] / arch["embed_dims"],
            num_classes=0,
            init_values=config.get("layer_scale_init_value"),
        )
    else:
        model = timm.create_model(f"resnet{config['depth']}", num_classes=0)
    model.load_state_dict(torch.load(target, weights_only=True))
    return model.eval()


class _Format(NamedTuple):
    """How a format is written, and loaded again by the library it is for, as a function of images."""

    write: Callable[[dict, dict, Path], None]
    load: Callable[[Path, dict], Callable[[Tensor], Tensor]]


_FORMATS = {
    "mmengine": _Format(_write_mmengine, _load_mmengine),
    "torchvision": _Format(_write_plain(_TORCHVISION_VIT), _load_torchvision),
    "timm": _Format(_write_plain(_TIMM_VIT), _load_timm),
    "huggingface": _Format(write_model, load_model),
    "safetensors": _Format(_write_safetensors, _load_safetensors),
}
FORMATS = tuple(_FORMATS)
