"""Image encoder: a backbone of any library, seen as one global feature and a set of tokens."""

import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModule
from safetensors import SafetensorError
from torch import Tensor, nn

from mgca_mm.bounds import allowed_bytes
from mgca_mm.checkpoints.reading import require_plain
from mgca_mm.errors import UserError, first_line, or_nearest, require_positive
from mgca_mm.models.activation_checkpointing import checkpoint_blocks
from mgca_mm.models.cls_attention import ClsAttention
from mgca_mm.models.recomputed_gelu import recompute_gelu
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures

from .remedies import find_remedy
from .unbound_attention import unbind_attention

# What timm makes of a damaged file.
_DAMAGED = (AttributeError, EOFError, LookupError, RuntimeError, TypeError, ValueError)
_DAMAGED += (SafetensorError, zipfile.BadZipFile)


class _UnusableError(Exception):
    """A backbone, or what it returns, is nothing that an image encoder can be made of."""


@MODELS.register_module()
class ImageEncoder(BaseModule):
    """Radiograph → global feature, region tokens and their weights (docs/protocol.md#model).

    The backbone is the library's own class, so its weights load elsewhere without conversion. What it returns decides:

    * tokens (B, 1 + S, C), a ViT with ``out_type='raw'`` or a timm ViT: global = [CLS] (the mean of the tokens where
      there is none), tokens = patches;
    * one or more maps (B, C, H, W): global = average pool of the last, tokens = the pixels of the last but one (of the
      last where there is only one). ResNet-50 with ``out_indices=(2, 3)``: tokens of stage 3, global of stage 4.

    Args:
        backbone: Config of the backbone, such as ``dict(type='mmpretrain.VisionTransformer', …, out_type='raw')``,
            ``dict(type='mmpretrain.ResNet', …, out_indices=(2, 3))`` or ``dict(type='mmpretrain.TIMMBackbone', …)``.
        resize_to: Upsample the input bilinearly (align_corners) to this side length before the backbone (ResNet-50 of
            the paper: 299).
        token_weight: ``'cls_attention'``: last layer's attention of [CLS] to each patch, averaged over heads;
            ``'uniform'``; None: the former where the backbone has [CLS] and tokens, else the latter.
        pooling: Config of a module without ``in_channels`` that makes the global feature of the regions (B, S, C) of
            the last output, such as ``dict(type='WeldonPooling')``. None: [CLS] or the mean, as above.
        channels_last: Lay maps out as (B, H, W, C) in memory, in which convolutions run faster; the numbers stay.
        activation_checkpointing: Compute the activations of each block again in the backward pass instead of keeping
            them: less memory for one more forward pass. Names of stages, such as ``['layer1']`` of a ResNet: of these
            stages' blocks alone.
        input_size: Side length (H, W alike) of the images that the backbone is tried with when it is built. Those of
            another size are encoded, too, if it takes them.
        init_cfg: MMEngine initialization.

    Attributes:
        global_channels: C of the global feature.
        token_channels: C of the tokens.

    Raises:
        UserError: The backbone's weights cannot be had, it does not take images of this size, returns neither maps nor
            tokens, or has no attention of [CLS] where one is asked for; with changes of the config that help, if any.
        ValueError: The backbone has no stage of a name in ``activation_checkpointing``.
    """

    def __init__(
        self,
        backbone: dict,
        resize_to: int | None = None,
        token_weight: Literal["cls_attention", "uniform"] | None = None,
        pooling: dict | None = None,
        channels_last: bool = False,
        activation_checkpointing: bool | str | Sequence[str] = False,
        input_size: int = 224,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if token_weight not in (None, "cls_attention", "uniform"):
            raise ValueError(f"token_weight must be 'cls_attention', 'uniform' or None, got {token_weight!r}")
        require_positive(resize_to=resize_to, input_size=input_size)
        self.memory_format = torch.channels_last if channels_last else torch.contiguous_format
        self.input_size = input_size
        self.pooling = None
        config = dict(backbone=backbone, resize_to=resize_to, token_weight=token_weight)
        try:
            self._assemble(**config)
        except UserError:
            raise
        except Exception as error:  # of any library
            remedy = find_remedy(config, resize_to or input_size, lambda changed: self._assemble(**changed))
            if remedy is None and not isinstance(error, _UnusableError):
                raise
            reason = error if isinstance(error, _UnusableError) else f"cannot be built: {first_line(error)}"
            raise UserError(
                f"image_encoder.backbone ({backbone.get('model_name', backbone['type'])}) {reason}\n"
                + (f"Set {remedy}." if remedy else "Take another backbone, or other arguments of it.")
            ) from error
        if pooling is not None:
            self.pooling = MODELS.build({**pooling, "in_channels": self.global_channels})
            self.global_channels = self.pooling.out_channels
        if activation_checkpointing:
            stages = None if activation_checkpointing is True else activation_checkpointing
            checkpoint_blocks(_timm_or_own(self.backbone), stages)

    def _assemble(self, backbone: dict, resize_to: int | None, token_weight: str | None) -> None:
        """Build the backbone and see what it returns."""
        self.resize_to = resize_to
        self.backbone = _build(backbone).to(memory_format=self.memory_format)
        self._pools = False
        self._watch_output: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]] | None = None
        self.cls_attention = None
        outputs = self._probe()
        self._has_sequence = outputs[-1].dim() == 3
        self.num_prefix_tokens = _num_prefix_tokens(self.backbone, outputs[-1].shape[1]) if self._has_sequence else 0
        self.has_cls_token = self.num_prefix_tokens > 0 and _has_cls_token(self.backbone)
        features = self._from_sequence(outputs[-1]) if self._has_sequence else self._from_maps(outputs)
        self.global_channels, self.token_channels = features.global_feature.shape[1], features.tokens.shape[2]
        if token_weight == "cls_attention" or (token_weight is None and self.has_cls_token):
            self.cls_attention = self._watch_cls_attention()

    def forward(self, images: Tensor) -> ImageFeatures:
        """Encode a batch of images.

        Args:
            images: (B, 3, H, W) normalized.

        Returns:
            Features with ``global_feature`` (B, C), ``tokens`` (B, S, C') and ``token_weight`` (B, S), detached.

        Raises:
            UserError: The images are of another size than ``input_size``, and the backbone does not take them.
        """
        as_probed = images.shape[2:] == (self.input_size, self.input_size)
        if self.resize_to is not None or as_probed or torch.compiler.is_compiling():
            outputs = self._run_backbone(images)
        else:
            outputs = self._run_on_other_size(images)
        return self._from_sequence(outputs[-1]) if outputs[-1].dim() == 3 else self._from_maps(outputs)

    @contextmanager
    def watch_regions(self) -> Iterator[list[Tensor]]:
        """Hand out what the global feature is made of, region by region, for gradients with respect to it.

        The last map; or, where [CLS] is the global feature, the tokens that enter the last attention, for after it
        the patches have no part in [CLS] any more.

        Yields:
            A list, to which each forward pass within the context adds the regions (B, S, C) of the whole image, row by
            row.

        Raises:
            UserError: The backbone's last attention is of a kind that is not known.
        """
        watched: list[Tensor] = []

        def watch_output(outputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            last = outputs[-1]
            is_map = last.dim() == 4
            # A copy that the rest is computed from, so that the gradient goes through it.
            regions = last.flatten(2).transpose(1, 2) if is_map else last[:, self.num_prefix_tokens :]
            watched.append(regions)
            if not is_map:
                return (*outputs[:-1], torch.cat([last[:, : self.num_prefix_tokens], regions], dim=1))
            return (*outputs[:-1], regions.transpose(1, 2).unflatten(2, last.shape[2:]))

        def watch_input(module: nn.Module, args: tuple, kwargs: dict) -> tuple:
            tokens = args[0]
            regions = tokens[:, self.num_prefix_tokens :]
            watched.append(regions)
            return (torch.cat([tokens[:, : self.num_prefix_tokens], regions], dim=1), *args[1:]), kwargs

        if self._has_sequence and self.has_cls_token and self.pooling is None:
            attention = _last_attention(self.backbone)
            if attention is None:
                raise UserError(
                    f"{type(self.backbone).__name__}: its last attention layer is not known, "
                    "so its regions cannot be separated."
                )
            handle = attention.register_forward_pre_hook(watch_input, with_kwargs=True)
        else:
            handle = None
            self._watch_output = watch_output
        try:
            yield watched
        finally:
            self._watch_output = None
            if handle is not None:
                handle.remove()

    def _run_backbone(self, images: Tensor) -> tuple[Tensor, ...]:
        if self.resize_to is not None:
            images = _resize(images, self.resize_to)
        images = images.contiguous(memory_format=self.memory_format)
        # timm's distilled transformers pool in forward() whatever they are told.
        outputs = self.backbone.timm_model.forward_features(images) if self._pools else self.backbone(images)
        outputs = tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,)
        outputs = tuple(_channels_as_usual(output, self.backbone) for output in outputs)
        return outputs if self._watch_output is None else self._watch_output(outputs)

    def _run_on_other_size(self, images: Tensor) -> tuple[Tensor, ...]:
        try:
            return self._run_backbone(images)
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError) as error:
            if images.dim() != 4 or images.shape[1] != 3 or self._takes(*images.shape[2:]):
                raise
            height, width = images.shape[2:]
            raise UserError(
                f"The images are of {height} x {width}, which image_encoder.backbone does not take: "
                f"{first_line(error)}\nSet image_encoder.input_size to their side length, {height}, so that it is "
                f"checked beforehand, or crop them to {self.input_size}."
            ) from error

    def _takes(self, height: int, width: int) -> bool:
        try:
            self._run_on_zeros(height, width)
        except (AssertionError, RuntimeError):
            return False
        return True

    @torch.no_grad()
    def _run_on_zeros(self, height: int, width: int) -> tuple[Tensor, ...]:
        """What the backbone returns for one image, in evaluation: batch statistics stay as they are."""
        was_training = self.training
        self.eval()
        try:
            return self._run_backbone(next(self.backbone.parameters(), torch.empty(0)).new_zeros(1, 3, height, width))
        finally:
            self.train(was_training)

    def _from_sequence(self, sequence: Tensor) -> ImageFeatures:
        prefix = self.num_prefix_tokens
        tokens = sequence[:, prefix:]
        if self.pooling is not None:
            global_feature = self.pooling(tokens)
        else:
            global_feature = sequence[:, 0] if self.has_cls_token else tokens.mean(dim=1)
        if self.cls_attention is None:
            return ImageFeatures(global_feature, tokens, _uniform_weight(tokens))
        return ImageFeatures(global_feature, tokens, self.cls_attention.pop()[:, prefix:])

    def _from_maps(self, maps: tuple[Tensor, ...]) -> ImageFeatures:
        regions = [m.flatten(2).transpose(1, 2) for m in maps[-2:]]
        global_feature = maps[-1].mean(dim=(2, 3)) if self.pooling is None else self.pooling(regions[-1])
        tokens = regions[0]
        return ImageFeatures(global_feature, tokens, _uniform_weight(tokens))

    def _watch_cls_attention(self) -> ClsAttention:
        attention = _last_attention(self.backbone) if self.has_cls_token else None
        if attention is None or not ClsAttention.supports(attention):
            raise _UnusableError("gives no [CLS] attention that could weight its tokens.")
        return ClsAttention(attention)

    def _probe(self) -> tuple[Tensor, ...]:
        """What the backbone returns for one image."""
        try:
            outputs = self._run_on_zeros(self.input_size, self.input_size)
            if _dim(outputs[-1]) == 2 and hasattr(self.backbone, "timm_model"):
                self._pools = True
                outputs = self._run_on_zeros(self.input_size, self.input_size)
        except (AssertionError, RuntimeError) as error:  # of a table of positions or windows made for another size
            size = self.resize_to or self.input_size
            raise _UnusableError(f"does not take images of {size} x {size}: {first_line(error)}") from error
        dims = [_dim(output) for output in outputs[-2:]]
        is_vector = dims[-1] == 2 or (dims[-1] == 3 and outputs[-1].shape[1] == 1)  # the latter: timm's PiT, [CLS]
        if is_vector or dims[-1] not in (3, 4) or (dims[-1] == 4 and set(dims) != {4}):
            last = "one vector an image" if is_vector else f"a {type(outputs[-1]).__name__}"
            raise _UnusableError(f"returns {last}, and neither maps (B, C, H, W) nor tokens (B, T, C).")
        return outputs


def _build(backbone: dict) -> nn.Module:
    weights = backbone.get("checkpoint_path")
    if weights and str(weights).endswith(".npz"):
        _require_unpacked_size(weights)
    elif weights and not str(weights).endswith((".npy", ".safetensors")):
        require_plain(weights)
    if weights and backbone.get("features_only"):
        # timm takes the stages out of a model before it reads ``checkpoint_path``, when their names no longer fit; what
        # it takes for pretrained weights it reads before.
        overlay = dict(file=weights, custom_load=str(weights).endswith((".npz", ".npy")), classifier=None)
        backbone = {**backbone, "checkpoint_path": "", "pretrained": True, "pretrained_cfg_overlay": overlay}
    try:
        model = MODELS.build(_in_own_scope(backbone))
    except OSError as error:  # timm's pretrained=True without access to the hub
        raise UserError(
            f"The weights of {backbone.get('model_name', backbone['type'])} cannot be had: "
            f"{first_line(error)}\nDownload them elsewhere and set image_encoder.backbone.checkpoint_path "
            "(timm) or init_cfg."
        ) from error
    except _DAMAGED as error:
        if "Unknown model" in str(error):
            import timm

            name = str(backbone.get("model_name"))
            nearest = or_nearest(name, timm.list_models())
            raise UserError(f"image_encoder.backbone: timm has no model '{name}'{nearest}") from error
        if not weights:
            raise
        raise UserError(
            f"image_encoder.backbone.checkpoint_path '{weights}' cannot be read as weights of this backbone: "
            f"{first_line(error)}"
        ) from error
    for module in model.modules():
        # mmpretrain's rates are NumPy's numbers, at which torch.compile would break the graph.
        if isinstance(getattr(module, "drop_prob", None), np.floating):
            module.drop_prob = float(module.drop_prob)
    unbind_attention(model)
    recompute_gelu(model)
    return model


def _in_own_scope(backbone: dict) -> dict:
    """A config of a backbone whose layers are looked up in the registry of its own library."""
    kind = backbone["type"]
    if not isinstance(kind, str) or MODELS.get(kind) is None:  # which imports the library
        return backbone
    scope = kind.partition(".")[0]
    return {**backbone, "_scope_": scope} if scope in MODELS.parent.children else backbone


def _require_unpacked_size(weights: str) -> None:
    """Refuse an archive of numpy, which timm reads, that unpacks to far more than it is."""
    try:
        with zipfile.ZipFile(weights) as archive:
            size = sum(entry.file_size for entry in archive.infolist())
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"image_encoder.backbone.checkpoint_path '{weights}' cannot be read: {error}") from error
    if size > allowed_bytes(weights):
        raise UserError(
            f"image_encoder.backbone.checkpoint_path '{weights}' is refused: it unpacks to {size / 2**20:.0f} MB."
        )


def _resize(images: Tensor, size: int) -> Tensor:
    """(B, C, H, W) → (B, C, size, size), bilinearly; channels that are one in memory (``expand``) stay so."""
    channels = images.shape[1]
    if images.stride(1) == 0:
        images = images[:, :1]
    images = F.interpolate(images, size=(size, size), mode="bilinear", align_corners=True)
    return images.expand(-1, channels, -1, -1)


def _uniform_weight(tokens: Tensor) -> Tensor:
    return tokens.new_full(tokens.shape[:2], 1 / tokens.shape[1], requires_grad=False)


def _num_prefix_tokens(backbone: nn.Module, length: int) -> int:
    """Tokens before the patches ([CLS], distillation, registers), given how many there are for a square image."""
    model = _timm_or_own(backbone)
    declared = getattr(model, "num_prefix_tokens", getattr(model, "num_extra_tokens", None))
    if declared is None:
        return int(_has_cls_token(backbone) and math.isqrt(length) ** 2 != length)
    return int(declared)


def _has_cls_token(backbone: nn.Module) -> bool:
    return getattr(_timm_or_own(backbone), "cls_token", None) is not None


def _dim(output: object) -> int:
    """Axes of a tensor; 0 for anything else."""
    return output.dim() if isinstance(output, Tensor) else 0


def _timm_or_own(backbone: nn.Module) -> nn.Module:
    return getattr(backbone, "timm_model", backbone)


def _channels_as_usual(output: Tensor, backbone: nn.Module) -> Tensor:
    """(B, C, H, W) of a map, (B, T, C) of a sequence, whichever way round the backbone returns it."""
    model = _timm_or_own(backbone)
    if _dim(output) == 4 and str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC"):  # timm's Swin
        return output.permute(0, 3, 1, 2)
    channels = getattr(model, "num_features", getattr(model, "embed_dims", None))
    channels = channels[-1] if isinstance(channels, list | tuple) else channels  # of the last stage
    if _dim(output) == 3 and output.shape[1] == channels != output.shape[2]:  # mmpretrain's MlpMixer, EfficientFormer
        return output.transpose(1, 2)
    return output


def _last_attention(backbone: nn.Module) -> nn.Module | None:
    """Self-attention of the last layer: ``layers`` in mmpretrain, ``blocks`` in timm."""
    model = _timm_or_own(backbone)
    blocks = getattr(model, "layers", getattr(model, "blocks", None))
    return getattr(blocks[-1], "attn", None) if blocks is not None else None
