"""Text encoder: any encoder of transformers, seen as one global feature and a set of words."""

from typing import Literal

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from mgca_mm.errors import UserError
from mgca_mm.models.cls_attention import ClsAttention
from mgca_mm.registry import MODELS
from mgca_mm.structures import TextFeatures

from .pretrained import load_text_model, require_features


@MODELS.register_module()
class TextEncoder(BaseModule):
    """Report → global feature ([CLS]), words and their weights (PROTOCOL §1.2).

    Exactly one of ``pretrained`` and ``config`` is given.

    Args:
        pretrained: Folder of a model saved by transformers, or a hub name (downloaded by transformers).
        config: Arguments of a randomly initialised model, ``model_type`` among them, such as
            ``dict(model_type='bert', vocab_size=2000, hidden_size=192)``.
        num_hidden_layers: Keep the first layers only (released code: 6). None: all.
        max_length: T, pieces of a report with [CLS] and [SEP]; longer input is refused, the tokenizer truncates.
        word_merging: Config of the merging of pieces into words, without ``max_length``.
        pooling: What the global feature is: ``'cls'``, the first piece; ``'cls_word'``, the sum of the first piece and
            those that continue it (released code; tokenizers make none, so that this is [CLS] for every real report);
            ``'mean'`` or ``'max'`` of the real pieces.
        num_summed_layers: Sum the outputs of so many of the last layers (GLoRIA: 4).
        activation_checkpointing: Compute the activations of each layer again in the backward pass instead of keeping
            them: less memory for one more forward pass.
        use_positions: Tell the model where a piece stands. False: every piece takes row 0 of the position table, and
            the other rows get no gradient. The released code does so, for it hands its token types (zeros) over where
            its BERT expects ``position_ids``.
        use_token_types: Add the embedding of the token type, which is the same for all pieces. False: it is zero and
            stays so (the BERT of the released code has none).
        init_cfg: MMEngine initialisation.

    Attributes:
        global_channels: C of the global feature.
        token_channels: C of the words.

    Raises:
        UserError: If ``pretrained`` is no readable folder and cannot be had from the hub either, or holds no model that
            takes ``max_length`` pieces, or if the model's positions or token types are to be left out and are not those
            of BERT.
    """

    def __init__(
        self,
        pretrained: str | None = None,
        config: dict | None = None,
        num_hidden_layers: int | None = None,
        max_length: int = 112,
        word_merging: dict | None = None,
        pooling: Literal["cls", "cls_word", "mean", "max"] = "cls",
        num_summed_layers: int = 1,
        activation_checkpointing: bool = False,
        use_positions: bool = True,
        use_token_types: bool = True,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if (pretrained is None) == (config is None):
            raise ValueError("give either pretrained (a folder or hub name) or config (a dict with model_type)")
        if pooling not in ("cls", "cls_word", "mean", "max"):
            raise ValueError(f"pooling must be 'cls', 'cls_word', 'mean' or 'max', got {pooling!r}")
        overrides = {} if num_hidden_layers is None else dict(num_hidden_layers=num_hidden_layers)
        self.model = _build(pretrained, config, overrides)
        attention = _last_attention(self.model)
        if attention is None and not (use_positions and use_token_types):
            # Only of the BERT family is it known that tables added to the words are all there is of them.
            raise UserError(
                f"model.text_encoder.use_positions and use_token_types cannot be False for {type(self.model).__name__}."
                "\nTake a BERT, RoBERTa or ELECTRA with absolute positions."
            )
        if attention is None:
            # Another layout: let the model return its full maps, which only the eager implementation always does.
            self.model = _build(pretrained, config, overrides, attn_implementation="eager")
        if pretrained is not None:
            require_features(self.model, pretrained, max_length)
        self.cls_attention = None if attention is None else ClsAttention(attention)
        if getattr(self.model, "pooler", None) is not None:
            self.model.pooler = nn.Identity()  # unused here; its parameters would never get a gradient
        num_layers = self.model.config.num_hidden_layers
        if not 1 <= num_summed_layers <= num_layers:
            raise ValueError(f"num_summed_layers must be 1 to {num_layers}, the layers there are: {num_summed_layers}")
        self.pooling = pooling
        self.num_summed_layers = num_summed_layers
        self.use_positions = use_positions
        if not use_token_types:
            nn.init.zeros_(self.model.embeddings.token_type_embeddings.weight.requires_grad_(False))
        if activation_checkpointing:
            self.model.gradient_checkpointing_enable(dict(use_reentrant=False))
        self.max_length = max_length
        self.global_channels = self.token_channels = self.model.config.hidden_size
        word_merging = word_merging or dict(type="mgca_mm.WordMerging")
        self.word_merging = MODELS.build({**word_merging, "max_length": max_length})

    def forward(self, input_ids: Tensor, attention_mask: Tensor, is_continuation: Tensor) -> TextFeatures:
        """Encode.

        Args:
            input_ids: (B, T) piece ids, [CLS] first.
            attention_mask: (B, T) 1 or True = real piece.
            is_continuation: (B, T) True = continues the word of the piece before.

        Returns:
            Features with ``global_feature`` (B, C), ``tokens`` (B, T - 1, C), ``token_weight`` (B, T - 1), detached,
            and ``token_mask`` (B, T - 1).

        Raises:
            ValueError: If T exceeds ``max_length``.
        """
        if input_ids.shape[1] > self.max_length:
            raise ValueError(f"{input_ids.shape[1]} pieces a report, but max_length is {self.max_length}")
        maps_needed = self.cls_attention is None
        positions = {} if self.use_positions else dict(position_ids=torch.zeros_like(input_ids))
        output = self.model(
            input_ids=input_ids,
            attention_mask=self._model_mask(attention_mask),
            output_attentions=maps_needed,
            output_hidden_states=self.num_summed_layers > 1,
            **positions,
        )
        pieces = output.last_hidden_state  # (B, T, C)
        if self.num_summed_layers > 1:
            pieces = pieces + sum(output.hidden_states[-self.num_summed_layers : -1])
        if maps_needed:
            piece_attention = output.attentions[-1][:, :, 0].mean(dim=1).detach()
        else:
            piece_attention = self.cls_attention.pop(attention_mask.bool())
        words, word_attention, word_mask = self.word_merging(pieces, piece_attention, attention_mask, is_continuation)
        global_feature = self._pool(pieces, attention_mask.bool(), is_continuation.bool())
        return TextFeatures(global_feature, words, word_attention, word_mask)

    def _pool(self, pieces: Tensor, real: Tensor, is_continuation: Tensor) -> Tensor:
        """Global feature of the pieces: (B, T, C), (B, T), (B, T) → (B, C)."""
        if self.pooling == "cls":
            return pieces[:, 0]
        if self.pooling == "cls_word":
            first_word = (~is_continuation).cumsum(dim=1) == 1
            return (pieces * (first_word & real)[:, :, None]).sum(dim=1)
        real = real[:, :, None]
        if self.pooling == "max":
            return pieces.masked_fill(~real, torch.finfo(pieces.dtype).min).amax(dim=1)
        return (pieces * real).sum(dim=1) / real.sum(dim=1)

    def _model_mask(self, attention_mask: Tensor) -> Tensor:
        """The mask in the shape in which the model does not look at its values.

        Given (B, T), the BERT family asks whether there is any padding at all, and waits for the device's answer.
        """
        if self.cls_attention is None:
            return attention_mask
        return attention_mask[:, None, :].expand(-1, attention_mask.shape[1], -1)

    def init_weights(self) -> None:
        """Nothing to do: transformers has initialised or loaded the model, and doing it again would undo that."""


def _build(pretrained: str | None, config: dict | None, overrides: dict, **kwargs) -> nn.Module:
    if pretrained is None:
        return AutoModel.from_config(AutoConfig.for_model(**{**config, **overrides}), **kwargs)
    return load_text_model(pretrained, overrides, **kwargs)


def _last_attention(model: nn.Module) -> nn.Module | None:
    """Last layer's self-attention, if one row of q · Kᵀ is all there is to it."""
    candidates = [module for module in model.modules() if ClsAttention.supports(module)]
    return candidates[-1] if candidates else None
