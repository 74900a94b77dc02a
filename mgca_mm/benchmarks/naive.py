"""The training step as it is often written first: what the speed of ours is held against.

Loops over samples and tokens, full attention maps in every layer, a look at the device for every number. It computes
the same losses from the same weights; only the way is another.
"""

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mgca_mm.models import CrossModalAttention, ImageReportPretrainer
from mgca_mm.models.alignments import TokenAlignment
from mgca_mm.structures import ImageFeatures, TextFeatures


def make_naive(model: ImageReportPretrainer) -> ImageReportPretrainer:
    """A copy of a model, weights included, that computes the same in the slow way.

    Args:
        model: Its image encoder is an mmpretrain ViT or has no attention; its text encoder has SDPA attention.

    Returns:
        The copy.

    Raises:
        TypeError: The token alignment's attention is not the paper's.
    """
    model = copy.deepcopy(model)
    for module in model.modules():
        module._forward_pre_hooks.clear()  # which compute one row of an attention map
    if model.image_encoder.cls_attention is not None:
        maps = [_FullMap() for _ in model.image_encoder.backbone.layers]
        for layer, full_map in zip(model.image_encoder.backbone.layers, maps, strict=True):
            layer.attn.scaled_dot_product_attention = full_map
        model.image_encoder.cls_attention = maps[-1]
    text = model.text_encoder
    if text.cls_attention is not None:
        text.cls_attention = None  # the encoder then asks the model for all its maps
    text.model.set_attn_implementation("eager")
    text.word_merging = _LoopWordMerging()
    for name, alignment in model.alignments.items():
        if isinstance(alignment, TokenAlignment):
            model.alignments[name] = _LoopTokenAlignment(alignment)
    return model


class _FullMap:
    """Attention that stores the probabilities of every query and head; takes the place of ``ClsAttention``, too."""

    def __call__(self, query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0) -> Tensor:
        probabilities = (query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5).softmax(dim=-1)
        self.map = probabilities.detach()
        return F.dropout(probabilities, dropout_p) @ value

    def pop(self) -> Tensor:
        return self.map[:, :, 0].mean(dim=1)


class _LoopWordMerging(nn.Module):
    """As ``WordMerging``, piece by piece."""

    def forward(
        self, pieces: Tensor, piece_attention: Tensor, attention_mask: Tensor, is_continuation: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, channels = pieces.shape
        words = pieces.new_zeros(batch, length - 1, channels)
        weights = piece_attention.new_zeros(batch, length - 1)
        mask = torch.zeros(batch, length - 1, dtype=torch.bool, device=pieces.device)
        for sample in range(batch):
            merged: list[Tensor] = []
            attention: list[Tensor] = []
            for piece in range(1, length):
                if not attention_mask[sample, piece].item():
                    continue
                if is_continuation[sample, piece].item() and merged:
                    merged[-1] = merged[-1] + pieces[sample, piece]
                    attention[-1] = attention[-1] + piece_attention[sample, piece]
                else:
                    merged.append(pieces[sample, piece])
                    attention.append(piece_attention[sample, piece])
            words[sample, : len(merged)] = torch.stack(merged)
            weights[sample, : len(merged)] = torch.stack(attention)
            mask[sample, : len(merged)] = True
        return words, weights, mask


class _LoopTokenAlignment(nn.Module):
    """As ``TokenAlignment`` with the paper's attention, sample by sample, each direction's similarity twice."""

    uses_tokens = True

    def __init__(self, alignment: TokenAlignment):
        super().__init__()
        if not isinstance(alignment.image_attention, CrossModalAttention):
            raise TypeError("the naive step has the paper's token alignment only")
        self.image_attention = alignment.image_attention
        self.text_attention = alignment.text_attention
        self.temperature = alignment.loss.temperature
        self.quantiles = alignment.clip_quantiles
        self.loss_weight = alignment.loss_weight

    def forward(self, image: ImageFeatures, text: TextFeatures) -> dict[str, Tensor]:
        regions = torch.ones_like(image.token_weight, dtype=torch.bool)
        lia = self._direction(
            self.image_attention, image.tokens, regions, image.token_weight, text.tokens, text.token_mask
        )
        lta = self._direction(
            self.text_attention, text.tokens, text.token_mask, text.token_weight, image.tokens, regions
        )
        return dict(loss_cta=(lia + lta) / 2 * self.loss_weight, lia=lia.detach(), lta=lta.detach())

    def _direction(
        self,
        attention: CrossModalAttention,
        tokens: Tensor,
        mask: Tensor,
        weight: Tensor,
        context: Tensor,
        context_mask: Tensor,
    ) -> Tensor:
        scores = attention.query(tokens) @ attention.key(context).transpose(1, 2) * tokens.shape[-1] ** -0.5
        probabilities = scores.masked_fill(~context_mask[:, None], -torch.inf).softmax(dim=-1)
        attended = F.normalize(attention.output(probabilities @ attention.value(context)), dim=-1)
        total = tokens.new_zeros(())
        for sample in range(len(tokens)):
            own, contexts = tokens[sample][mask[sample]], attended[sample][mask[sample]]
            weights = weight[sample][mask[sample]]
            low, high = (torch.quantile(weights, quantile).item() for quantile in self.quantiles)
            weights = weights.clamp(low, high)
            target = torch.arange(len(own), device=own.device)
            forth = F.cross_entropy(own @ contexts.T / self.temperature, target, reduction="none")
            back = F.cross_entropy(contexts @ own.T / self.temperature, target, reduction="none")
            total = total + (weights / weights.sum() * (forth + back) / 2).sum()
        return total / len(tokens)
