"""Masked record modeling (MRM): hidden patches of a radiograph and masked words of its report are restored."""

import math

import torch
import torch.nn.functional as F
from mmengine.dist import get_world_size
from mmengine.model import BaseModel
from torch import Tensor, nn
from transformers import BertConfig

from mgca_mm.distributed import sum_over_ranks
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, ImageReportSample

from .data_preprocessor import ImageReportDataPreprocessor
from .pretrainer import ImageReportPretrainer
from .text_encoders.pretrained import make_text_model


@MODELS.register_module()
class MaskedRecordDataPreprocessor(ImageReportDataPreprocessor):
    """Chooses the patches that are hidden and the words that are masked.

    In training they are drawn for each sample. In evaluation all images hide the same patches and all reports mask the
    same places, so that losses can be compared, whatever the batch and the number of ranks.

    Args:
        image_ratio: Share of the patches to hide.
        report_ratio: Probability of a word to be masked, with all its pieces; [CLS] and [SEP] never are.
        **kwargs: As in :class:`ImageReportDataPreprocessor`.

    Attributes:
        num_patches: N of an image; the model sets it.
    """

    num_patches: int

    def __init__(self, image_ratio: float = 0.75, report_ratio: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if not (0 < image_ratio < 1 and 0 < report_ratio < 1):
            raise ValueError(f"image_ratio and report_ratio must be within (0, 1), got {image_ratio}, {report_ratio}")
        self.image_ratio = image_ratio
        self.report_ratio = report_ratio

    def forward(self, data: dict, training: bool = False) -> dict:
        """As :meth:`ImageReportDataPreprocessor.forward`, and choose.

        Returns:
            ``inputs`` has ``visible_patches`` (B, V) too; ``patch_places`` (B, N), where each patch stands in a row of
            the visible and then the hidden ones; and ``masked_pieces`` (B, T) bool.
        """
        data = super().forward(data, training)
        inputs = data["inputs"]
        if "attention_mask" not in inputs:  # images alone, to be encoded whole
            return data
        real = inputs["attention_mask"].bool()
        generator = None if training else torch.Generator(real.device).manual_seed(0)
        drawn = dict(device=real.device, generator=generator)
        rows = len(real) if training else 1
        order = torch.rand(rows, self.num_patches, **drawn).argsort(dim=1).expand(len(real), -1)
        chances = torch.rand(rows, real.shape[1], **drawn).expand(len(real), -1)
        word = (~inputs["is_continuation"]).cumsum(dim=1) - 1  # (B, T) number of the word that a piece belongs to
        inner = F.pad(real[:, 2:], (1, 1))  # neither the first nor the last piece
        num_visible = max(1, int(self.num_patches * (1 - self.image_ratio)))
        chosen = dict(visible_patches=order[:, :num_visible], patch_places=order.argsort(dim=1))
        chosen["masked_pieces"] = (chances.gather(1, word) < self.report_ratio) & inner
        return {**data, "inputs": {**inputs, **chosen}}


@MODELS.register_module()
class MaskedRecordModel(BaseModel):
    """Restores what is hidden of images and reports (Zhou et al., *MRM*, ICLR 2023, arXiv 2301.13155).

    The image encoder sees the visible patches only. From its tokens h a decoder restores the pixels x of each hidden
    patch s, normalized to mean 0 and variance 1 within the patch of P pixels; a BERT restores the M masked pieces y of
    the reports from the others and the mean of h, which is added to the embedding of each piece::

        loss_image  = mean over hidden s of ‖x̂_s - x_s‖² / P
        loss_report = - 1/M Σ log p(y_t | other pieces, W mean_s h_s)

    It embeds no reports: there is no retrieval, and the image encoder is what is used afterwards.

    Args:
        image_encoder: Config of the image encoder, whose backbone is mmpretrain's ``VisionTransformer``.
        image_decoder: Config of ``mmpretrain.MAEPretrainDecoder`` but for what follows from the encoder. Its
            ``patch_size`` is that of the image in ``inputs``, which may be larger than the encoder's ``resize_to``.
        report_decoder: Arguments of a randomly initialized BERT of transformers, ``vocab_size`` and
            ``max_position_embeddings``, at least the length of a report, among them.
        data_preprocessor: Config of a :class:`MaskedRecordDataPreprocessor`.
        init_cfg: MMEngine initialization.

    Raises:
        UserError: The backbone is another one.
    """

    # As an image-report pretrainer that only generates.
    encodes_reports = uses_tokens = False
    text_encoder = None
    encode_images, get_layer_depth = ImageReportPretrainer.encode_images, ImageReportPretrainer.get_layer_depth

    def __init__(
        self,
        image_encoder: dict,
        image_decoder: dict,
        report_decoder: dict,
        data_preprocessor: dict,
        init_cfg: dict | None = None,
    ):
        super().__init__(MODELS.build(data_preprocessor), init_cfg)
        self.image_encoder = MODELS.build(image_encoder)
        backbone = self.image_encoder.backbone
        if not hasattr(backbone, "drop_after_pos") or backbone.num_extra_tokens != 1:
            raise UserError("Patches can be hidden from mmpretrain's VisionTransformer only: take it as the backbone.")
        self.alignments: dict[str, nn.Module] = {}
        self.data_preprocessor.num_patches = num_patches = math.prod(backbone.patch_resolution)
        channels = self.image_encoder.token_channels
        self.image_decoder = MODELS.build(
            {**image_decoder, "num_patches": num_patches, "embed_dim": channels, "in_chans": 1}
        )
        config = BertConfig(**report_decoder)
        self.report_decoder = make_text_model(config, add_pooling_layer=False)
        self.image_to_report = nn.Linear(channels, config.hidden_size)
        self.mask_embedding = nn.Parameter(0.02 * torch.randn(config.hidden_size))
        self.masked_piece = nn.Linear(config.hidden_size, config.vocab_size)

    def forward(
        self, inputs: dict[str, Tensor], data_samples: list[ImageReportSample] | None = None, mode: str = "tensor"
    ) -> tuple[Tensor, Tensor] | dict[str, Tensor] | list[ImageReportSample]:
        """Restore a batch.

        Args:
            inputs: What the data preprocessor gives: ``image`` (B, 3, H, W), the reports (B, T), what is hidden.
            data_samples: Identities of the pairs; needed for ``mode='predict'`` only.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            Restored patches (B, N, P) and logits of the pieces (B, T, vocabulary); losses; or ``data_samples`` with the
            losses of each pair.
        """
        pixels, logits = self._restore(inputs)
        if mode == "tensor":
            return pixels, logits
        masked, hidden = inputs["masked_pieces"], inputs["patch_places"] >= inputs["visible_patches"].shape[1]
        side = math.isqrt(pixels.shape[2])
        size, grid = tuple(inputs["image"].shape[2:]), self.image_encoder.backbone.patch_resolution
        if size != tuple(side * length for length in grid):
            raise UserError(
                f"Images of {size} are not the encoder's {tuple(grid)} patches of {side} x {side} pixels: "
                "image_decoder.patch_size does not go with crop_size."
            )
        patches = F.pixel_unshuffle(inputs["image"][:, :1], side).flatten(2).transpose(1, 2)  # (B, N, P)
        errors = (pixels.to(patches.dtype) - F.layer_norm(patches, patches.shape[2:], eps=1e-6)).square().mean(dim=2)
        image = (errors * hidden).sum(dim=1) / hidden.sum(dim=1)  # (B,)
        logits, pieces = logits.flatten(0, 1).to(patches.dtype), inputs["input_ids"]
        surprise = F.cross_entropy(logits, pieces.flatten(), reduction="none").view_as(pieces)
        report, counts = (surprise * masked).sum(dim=1), masked.sum(dim=1)  # (B,)
        if mode == "loss":
            # The mean over the ranks is that over all their masked pieces, however many each has.
            count = sum_over_ranks(counts.sum()).clamp(min=1) / get_world_size()
            return dict(loss_image=image.mean(), loss_report=report.sum() / count)
        for sample, *losses in zip(data_samples, image, report / counts.clamp(min=1), strict=True):
            sample.losses = dict(zip(("loss_image", "loss_report"), losses, strict=True))
        return data_samples

    def require_embeddings(self) -> None:
        """Say that there are none.

        Raises:
            UserError: Always.
        """
        raise UserError("The model restores images and reports and embeds none of them.")

    def _restore(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        features = self._encode(inputs["image"], inputs["visible_patches"])
        tokens = torch.cat([features.global_feature[:, None], features.tokens], dim=1)
        pixels = self.image_decoder(tokens, inputs["patch_places"])
        pieces = self.report_decoder.get_input_embeddings()(inputs["input_ids"])
        pieces = torch.where(inputs["masked_pieces"][:, :, None], self.mask_embedding.to(pieces.dtype), pieces)
        pieces = pieces + self.image_to_report(features.tokens.mean(dim=1))[:, None]
        # For every piece the same ones; of a mask (B, T) transformers asks the device whether there is padding.
        real = inputs["attention_mask"][:, None]
        states = self.report_decoder(inputs_embeds=pieces, attention_mask=real).last_hidden_state
        return pixels, self.masked_piece(states)

    def _encode(self, images: Tensor, visible: Tensor) -> ImageFeatures:
        """Features of an image whose backbone goes on with (B, V) patches and [CLS], once they know their positions."""
        index = torch.cat([torch.zeros_like(visible[:, :1]), visible + 1], dim=1)[:, :, None]

        def select(module: nn.Module, args: tuple, tokens: Tensor) -> Tensor:
            return tokens.gather(1, index.expand(-1, -1, tokens.shape[2]))

        handle = self.image_encoder.backbone.drop_after_pos.register_forward_hook(select)
        try:
            return self.image_encoder(images)
        finally:
            handle.remove()
