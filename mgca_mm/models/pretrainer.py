"""The pretraining model: two encoders, projectors, and a dict of alignments."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor, nn

from mgca_mm.distributed import gather_samples
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from mgca_mm.structures import CrossAttention, ImageFeatures, ImageReportSample, TextFeatures

from .packing import Packing, real_first


def _eager_in_evaluation(method: Callable) -> Callable:
    """Let the compiled parts run as they stand: batches of evaluation have other shapes, each of them compiled anew."""

    @functools.wraps(method)
    def run(self: BaseModel, *args: Any) -> Any:
        with torch.compiler.set_stance("default" if self.training else "force_eager"):
            return method(self, *args)

    return run


@MODELS.register_module()
class ImageReportPretrainer(BaseModel):
    """Encodes radiographs and reports and aligns them; which method it is, the alignments decide.

    MGCA is ``{ita, cta, cpa}``; an ablation leaves one out. Only what an alignment uses is built: token projectors if
    one uses tokens, a text encoder if one compares embeddings of reports.

    Args:
        image_encoder: Config of the image encoder.
        text_encoder: Config of the text encoder. None where reports are only generated.
        projector: Config of a projector without ``in_channels``; built separately for the global features and the
            tokens of each modality.
        alignments: Name → config of an alignment. Their losses add up.
        normalize_tokens: L2-normalize projected tokens; global embeddings always are.
        project_padding: Let padding words take part in the projector's batch statistics (released code).
        compile: Arguments of :func:`torch.compile` for the encoders, projectors and alignments, such as
            ``dict(dynamic=False)``. They are compiled for training; validation runs as it stands. None: nothing is.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: MMEngine initialization.
    """

    def __init__(
        self,
        image_encoder: dict,
        text_encoder: dict | None,
        projector: dict,
        alignments: dict[str, dict],
        normalize_tokens: bool = True,
        project_padding: bool = False,
        compile: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ):
        preprocessor = MODELS.build(data_preprocessor or dict(type="mgca_mm.ImageReportDataPreprocessor"))
        super().__init__(preprocessor, init_cfg)
        if not alignments:
            raise ValueError("alignments is empty: name at least one, such as dict(ita=dict(type='InstanceAlignment'))")
        self.image_encoder = MODELS.build(image_encoder)
        self.text_encoder = None if text_encoder is None else MODELS.build(text_encoder)
        self.alignments = ModuleDict({name: MODELS.build(cfg) for name, cfg in alignments.items()})
        self.uses_tokens = any(alignment.uses_tokens for alignment in self.alignments.values())
        self.encodes_reports = any(alignment.encodes_reports for alignment in self.alignments.values())
        self.uses_words = any(
            alignment.uses_tokens and alignment.encodes_reports for alignment in self.alignments.values()
        )
        if self.encodes_reports != (self.text_encoder is not None):
            need = "one is needed" if self.encodes_reports else "it would be trained by none of them: set it to None"
            raise ValueError(f"text_encoder does not go with the alignments {', '.join(alignments)}: {need}")
        self.normalize_tokens = normalize_tokens
        self.project_padding = project_padding
        preprocessor.count_real = getattr(self.text_encoder, "count_real", None)
        self._compiles = compile is not None

        if self.encodes_reports:
            self.image_projector = _build_projector(projector, self.image_encoder.global_channels)
            self.text_projector = _build_projector(projector, self.text_encoder.global_channels)
        if self.uses_tokens:
            self.image_token_projector = _build_projector(projector, self.image_encoder.token_channels)
        if self.uses_words:
            self.text_token_projector = _build_projector(projector, self.text_encoder.token_channels)
        if compile is not None:
            # Of one code object, such as a projector's: all shapes of all its instances. What does not fit in is run
            # uncompiled, and only torch's own log says so.
            torch._dynamo.config.recompile_limit = max(32, torch._dynamo.config.recompile_limit)
            # The [CLS] row that a checkpointed layer hands out is not needed a second time in the backward pass.
            torch._dynamo.config.skip_fwd_side_effects_in_bwd_under_checkpoint = True
            # Each part by itself, in place: names in checkpoints stay, and gradients of one part travel to other ranks
            # while those of the next are computed.
            for module in [m for name, m in self.named_children() if name not in ("data_preprocessor", "alignments")]:
                module.compile(**compile)
            for alignment in self.alignments.values():
                alignment.compile(**compile)

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[ImageReportSample] | None = None, mode: str = "tensor"
    ) -> tuple[ImageFeatures, TextFeatures] | dict[str, Tensor] | list[ImageReportSample]:
        """Encode a batch, and align it or predict as ``mode`` says.

        Args:
            inputs: ``image`` (B, 3, H, W) normalized; ``input_ids``, ``attention_mask``, ``is_continuation`` (B, T);
                ``num_pieces`` and ``num_words``, the real ones of the batch, where the preprocessor could count them.
            data_samples: Identities of the pairs; needed for ``mode='predict'`` only.
            mode: ``'tensor'``: projected embeddings of both modalities; ``'loss'``: dict of losses and of values to
                log; ``'predict'``: ``data_samples`` with embeddings, predictions and the batch's losses filled in.

        Returns:
            As ``mode`` says.
        """
        if mode not in ("tensor", "loss", "predict"):
            raise ValueError(f"mode must be 'tensor', 'loss' or 'predict', got {mode!r}")
        image, text = self.embed_images(inputs), self.embed_reports(inputs)
        if mode == "tensor":
            return image, text
        if mode == "loss":
            return self._align(image, text)
        names = [sample.get("image_id") for sample in data_samples]
        losses = self._align(*(_of_all_ranks(features, names) for features in (image, text)))
        return self._fill_samples(data_samples, image, text, losses)

    @torch.no_grad()
    def encode_images(self, images: np.ndarray | Tensor) -> Tensor:
        """Encode images outside a runner.

        Args:
            images: (N, H, W) gray levels, uint8, as the config's test pipeline leaves them: square, the center cut out,
                224 x 224 in those of the paper.

        Returns:
            Unit embeddings (N, D).

        Raises:
            ValueError: The images are of another kind.
            UserError: The model embeds nothing.
        """
        images = torch.as_tensor(images)
        if images.dtype != torch.uint8 or images.dim() != 3:
            raise ValueError(f"images must be uint8 of the shape (N, H, W), got {images.dtype} {tuple(images.shape)}")
        self.require_embeddings()
        inputs = self.data_preprocessor(dict(inputs=dict(image=images[:, None])))["inputs"]
        return self.embed_images(inputs).global_feature

    def require_embeddings(self) -> None:
        """Check that images and reports are embedded in a space that both have.

        Raises:
            UserError: Reports are only generated.
        """
        if not self.encodes_reports:
            raise UserError(f"The model's alignments ({', '.join(self.alignments)}) write reports and embed none.")

    def get_layer_depth(self, name: str) -> tuple[int, int]:
        """Depth of a parameter, for which mmpretrain's ``LearningRateDecayOptimWrapperConstructor`` asks.

        Args:
            name: Name of the parameter in the model.

        Returns:
            Depth of its layer in the image encoder's backbone, and the number of layers. All else counts as the last
            one, of which the learning rate is that of the config.

        Raises:
            UserError: The backbone does not count its layers.
        """
        backbone = self.image_encoder.backbone
        try:
            # mmpretrain's ResNet knows its layers by the name that they have in mmpretrain's classifiers alone.
            return backbone.get_layer_depth(name.removeprefix("image_encoder."), "backbone.")
        except (AttributeError, NotImplementedError) as error:
            raise UserError(
                f"Layer-wise decay of the learning rate needs a backbone that counts its layers (get_layer_depth), and "
                f"this {type(backbone).__name__} does not.\nTake one that does: mmpretrain's VisionTransformer, "
                "BEiTViT, SwinTransformer, ConvNeXt, or ResNet of 34 layers or more."
            ) from error

    @_eager_in_evaluation
    def embed_images(self, inputs: dict[str, Tensor]) -> ImageFeatures:
        """Projected embeddings of ``inputs['image']``."""
        features = self.image_encoder(inputs["image"])
        latent = global_embedding = None
        if self.encodes_reports:
            latent = features.global_feature
            global_embedding = _unit(self.image_projector(features.global_feature))
        if not self.uses_tokens:
            return ImageFeatures(global_embedding, latent=latent, labels=inputs.get("image_labels"))
        tokens = self._finish_tokens(self.image_token_projector(features.tokens))
        return ImageFeatures(global_embedding, tokens, features.token_weight, latent, inputs.get("image_labels"))

    @_eager_in_evaluation
    def embed_reports(self, inputs: dict[str, Tensor]) -> TextFeatures:
        """Projected embeddings of the tokenized reports, beside the pieces they are made of."""
        names = [name for name in ("attention_mask", "input_ids", "is_continuation") if name in inputs]
        reports = dict(zip(names, real_first(*(inputs[name] for name in names)), strict=True))
        pieces = dict(piece_ids=reports["input_ids"], piece_mask=reports["attention_mask"].bool())
        given = {**pieces, "labels": inputs.get("report_labels")}
        if "location_ids" in inputs:
            given |= dict(location_ids=inputs["location_ids"], location_mask=inputs["location_mask"].bool())
        if not self.encodes_reports:
            return TextFeatures(None, **given)
        if hasattr(self.text_encoder, "count_real"):  # one of others need not know of packing
            reports["packing"] = self._packing(pieces["piece_mask"], inputs.get("num_pieces"))
        features = self.text_encoder(**reports)
        global_embedding = _unit(self.text_projector(features.global_feature))
        if not self.uses_words:
            return TextFeatures(global_embedding, **given)
        if self.project_padding:
            # The statistics are those of all slots, also of those that length buckets have cut off.
            features = _pad_words(features, self.text_encoder.max_length - 1)
            tokens = self._finish_tokens(self.text_token_projector(features.tokens))
        else:
            words = self._packing(features.token_mask, inputs.get("num_words"))
            packed = self._of_any_length(words.pack(features.tokens))
            tokens = words.unpack(self._finish_tokens(self.text_token_projector(packed)))
        return TextFeatures(global_embedding, tokens, features.token_weight, features.token_mask, **given)

    def _packing(self, mask: Tensor, count: int | None) -> Packing:
        packing = Packing.of(mask, count)
        return packing._replace(index=self._of_any_length(packing.index))

    def _of_any_length(self, x: Tensor) -> Tensor:
        """``x``, for whose length nothing is compiled anew: no two batches have as many real pieces."""
        if self._compiles:
            torch._dynamo.mark_dynamic(x, 0)
        return x

    def attend(self, image: ImageFeatures, text: TextFeatures) -> CrossAttention:
        """Attention between the words of each report and the regions of its image.

        Args:
            image: Of :meth:`embed_images` (B, …).
            text: Of :meth:`embed_reports` (B, …).

        Returns:
            That of the first alignment that has one, in fp32 or more.

        Raises:
            UserError: None has one.
        """
        with torch.autocast(text.piece_ids.device.type, enabled=False):
            found = (alignment.attend(image, text) for alignment in self.alignments.values())
            attention = next((maps for maps in found if maps is not None), None)
        if attention is None:
            raise UserError(
                f"No attention between words and regions is learned by {', '.join(self.alignments)}.\n"
                "Take a checkpoint of MGCA (with cta) or of GLoRIA."
            )
        return attention

    def _finish_tokens(self, tokens: Tensor) -> Tensor:
        return _unit(tokens) if self.normalize_tokens else _at_least_fp32(tokens)

    @_eager_in_evaluation
    def _align(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        # Losses in fp32: exponentials of similarities over small temperatures do not survive half precision.
        with torch.autocast(text.piece_ids.device.type, enabled=False):
            results: dict[str, Tensor] = {}
            for name, alignment in self.alignments.items():
                for key, value in alignment(image, text).items():
                    if key in results:
                        raise ValueError(f"alignment '{name}' returns '{key}', which another alignment returns too")
                    results[key] = value
        return results

    def _fill_samples(
        self, data_samples: list[ImageReportSample], image: ImageFeatures, text: TextFeatures, losses: dict[str, Tensor]
    ) -> list[ImageReportSample]:
        rows: dict[str, Tensor] = {}
        if self.encodes_reports:
            rows = dict(image_embedding=image.global_feature, report_embedding=text.global_feature)
        with torch.autocast(text.piece_ids.device.type, enabled=False):
            for alignment in self.alignments.values():
                rows |= alignment.predict(image, text)
        losses = {name: value for name, value in losses.items() if "loss" in name}
        for index, sample in enumerate(data_samples):
            sample.losses = losses
            for name, values in rows.items():
                setattr(sample, name, values[index])
        return data_samples


def _build_projector(config: dict, in_channels: int) -> nn.Module:
    return MODELS.build({**config, "in_channels": in_channels})


def _unit(x: Tensor) -> Tensor:
    """L2-normalize the last axis, in fp32 at least: in bfloat16 the norm itself would be off by 0.4 %."""
    return F.normalize(_at_least_fp32(x), dim=-1)


def _at_least_fp32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _of_all_ranks(features: ImageFeatures | TextFeatures, names: list[str | None]) -> ImageFeatures | TextFeatures:
    """Features of the batch that all ranks evaluate together."""
    given = {name: value for name, value in features._asdict().items() if value is not None}
    return features._replace(**dict(zip(given, gather_samples(list(given.values()), names), strict=True)))


def _pad_words(features: TextFeatures, length: int) -> TextFeatures:
    """Words and what belongs to them with empty slots up to a length: (B, L, …) → (B, ``length``, …)."""
    missing = length - features.tokens.shape[1]
    return features._replace(
        tokens=F.pad(features.tokens, (0, 0, 0, missing)),
        token_weight=F.pad(features.token_weight, (0, missing)),
        token_mask=F.pad(features.token_mask, (0, missing)),
    )
