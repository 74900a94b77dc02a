"""Text encoder: any encoder of transformers, seen as one global feature and a set of words."""

import inspect
from typing import Any, Literal

import numpy as np
import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn
from transformers import CONFIG_MAPPING, AutoConfig
from transformers.modeling_outputs import BaseModelOutput

from mgca_mm.errors import UserError, first_line, or_nearest, require_positive
from mgca_mm.models.cls_attention import ClsAttention
from mgca_mm.models.packing import Packing, real_first
from mgca_mm.models.recomputed_gelu import recompute_gelu
from mgca_mm.registry import MODELS
from mgca_mm.structures import TextFeatures

from .packed_attention import PackedAttention
from .pretrained import encoder_of, layers_kept, load_text_model, make_text_model
from .trial import is_causal, made_report, trial
from .word_merging import WordMerging


@MODELS.register_module()
class TextEncoder(BaseModule):
    """Report → global feature ([CLS]), words and their weights (docs/protocol.md#model).

    Exactly one of ``pretrained`` and ``config`` is given. A BERT, RoBERTa or ELECTRA computes the real pieces of a
    batch only (:class:`PackedAttention`); of another model padding is computed, too, and the log says so. Of an
    encoder–decoder (T5, BART) the encoder is taken, of CLIP the text model. In a causal model (GPT-2, LLaMA, CLIP) the
    first piece sees nothing of the report: the last real piece, which sees all of it, takes the place of [CLS] in the
    global feature and the weights of words.

    Args:
        pretrained: Folder of a model saved by transformers, or a hub name (downloaded by transformers).
        config: Arguments of a randomly initialized model, ``model_type`` among them, such as
            ``dict(model_type='bert', vocab_size=2000, hidden_size=192)``.
        num_hidden_layers: Keep the first layers only (released code: 6). None: all.
        max_length: T, pieces of a report with [CLS] and [SEP]; longer input is refused, the tokenizer truncates.
        word_merging: Config of the merging of pieces into words, without ``max_length``.
        pooling: What the global feature is: ``'cls'``, the first piece, of a causal model the last; ``'cls_word'``, the
            sum of the first piece and those that continue it (released code; tokenizers make none, so that this is
            [CLS] for every real report); ``'mean'`` or ``'max'`` of the real pieces.
        num_summed_layers: Sum the outputs of so many of the last layers (GLoRIA: 4).
        activation_checkpointing: Compute the activations of each layer again in the backward pass instead of keeping
            them: less memory for one more forward pass.
        use_positions: Tell the model where a piece stands. False: every piece takes row 0 of the position table, and
            the other rows get no gradient. The released code does so, for it hands its token types (zeros) over where
            its BERT expects ``position_ids``.
        use_token_types: Add the embedding of the token type, which is the same for all pieces. False: it is zero and
            stays so (the BERT of the released code has none).
        frozen: Keep the weights as they are, without gradients and without dropout.
        init_cfg: MMEngine initialization.

    Attributes:
        is_causal: Whether a piece sees only those before it.
        global_channels: C of the global feature.
        token_channels: C of the words.

    Raises:
        UserError: If ``pretrained`` is no readable folder and cannot be had from the hub either, if the model does not
            take ``max_length`` pieces, or reports of several lengths, or returns no attention probabilities, if its
            positions or token types are to be left out and are not those of BERT, or if ``pooling`` is ``'cls_word'``
            and it is causal.
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
        frozen: bool = False,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        if (pretrained is None) == (config is None):
            raise ValueError("give either pretrained (a folder or hub name) or config (a dict with model_type)")
        if max_length < 3:
            raise ValueError(f"max_length must leave room for a word between [CLS] and [SEP], got {max_length}")
        require_positive(num_hidden_layers=num_hidden_layers)
        if pooling not in ("cls", "cls_word", "mean", "max"):
            raise ValueError(f"pooling must be 'cls', 'cls_word', 'mean' or 'max', got {pooling!r}")
        self.model = _build(pretrained, config, num_hidden_layers)
        layers = _packable_layers(self.model)
        if not layers and not (use_positions and use_token_types):
            # Only of the BERT family is it known that tables added to the words are all there is of them.
            raise UserError(
                f"model.text_encoder.use_positions and use_token_types cannot be False for {type(self.model).__name__}."
                "\nTake a BERT, RoBERTa or ELECTRA with absolute positions."
            )
        if not layers:
            # Another layout: let the model return its full maps, which only the eager implementation always does.
            print_log(f"{type(self.model).__name__} is not known to take packed pieces: padding is computed", "current")
            self.model = _build(pretrained, config, num_hidden_layers, attn_implementation="eager")
        self.model.config.use_cache = False  # of keys and values, for what writes piece by piece
        self.cls_attention = PackedAttention(layers) if layers else None
        recompute_gelu(self.model)
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
        word_merging = word_merging or dict(type="mgca_mm.WordMerging")
        self.word_merging = MODELS.build({**word_merging, "max_length": max_length})
        self._try_out(_name(pretrained, config))
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> "TextEncoder":
        """Set training or evaluation mode; a frozen encoder stays in the latter."""
        return super().train(mode and not self.frozen)

    def _try_out(self, name: str) -> None:
        """Set the attributes, and see at once that a report of ``max_length`` pieces has features."""
        with trial(self.model, name, self.max_length):
            # A model that takes packed pieces is a BERT or its kin, and no decoder.
            self.is_causal = self.cls_attention is None and is_causal(self.model, self.max_length)
            report = made_report(self.model, self.max_length)
            features = self(report, torch.ones_like(report), torch.zeros_like(report))
        if not (features.tokens.isfinite().all() and features.token_weight.isfinite().all()):
            raise UserError(f"{name} gives no finite features of a report; its weights or arguments are damaged.")
        if getattr(self.model.config, "axial_pos_embds", False):  # Reformer
            raise UserError(f"{name} trains with reports of one length only (axial_pos_embds).\nTake another kind.")
        self.global_channels, self.token_channels = features.global_feature.shape[1], features.tokens.shape[2]
        if self.is_causal:
            print_log(f"{type(self.model).__name__} is causal: the last piece takes the place of [CLS]", "current")
        if self.is_causal and self.pooling == "cls_word":
            raise UserError(
                f"pooling='cls_word' would be the same for all reports: in {type(self.model).__name__} the first word "
                "sees none after it.\nSet model.text_encoder.pooling='cls', for which the last piece is taken."
            )

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, is_continuation: Tensor, packing: Packing | None = None
    ) -> TextFeatures:
        """Encode a batch of reports.

        Args:
            input_ids: (B, T) piece ids, [CLS] first and [SEP] last of the real ones.
            attention_mask: (B, T) 1 or True = real piece. Padding stands behind them if there is a ``packing``,
                anywhere if there is none.
            is_continuation: (B, T) True = continues the word of the piece before.
            packing: Of the real pieces. None: it is made here.

        Returns:
            Features with ``global_feature`` (B, C), ``tokens`` (B, T - 1, C), ``token_weight`` (B, T - 1), detached,
            and ``token_mask`` (B, T - 1).

        Raises:
            ValueError: If T exceeds ``max_length``.
        """
        if input_ids.shape[1] > self.max_length:
            raise ValueError(f"{input_ids.shape[1]} pieces a report, but max_length is {self.max_length}")
        if packing is None:
            attention_mask, input_ids, is_continuation = real_first(attention_mask, input_ids, is_continuation)
        real = attention_mask.bool()
        if self.cls_attention is None:
            output = self._run(input_ids, attention_mask, output_attentions=True, **self._global_attention(real))
            pieces = self._last_layers(output)
            piece_attention = self._attention_row(output, real)
        else:
            packing = packing or Packing.of(real)
            places = self._first_place + packing.index % input_ids.shape[1]
            output = self._run(
                input_ids.flatten()[packing.index][None],
                attention_mask[:, None],
                position_ids=(places if self.use_positions else torch.zeros_like(places))[None],
                token_type_ids=torch.zeros_like(places)[None],
            )
            pieces = packing.unpack(self._last_layers(output)[0])
            piece_attention = self.cls_attention.pop(real)
        words, word_attention, word_mask = self.word_merging(pieces, piece_attention, attention_mask, is_continuation)
        global_feature = self._pool(pieces, real, is_continuation.bool())
        return TextFeatures(global_feature, words, word_attention, word_mask)

    def count_real(self, attention_mask: Tensor, is_continuation: Tensor) -> dict[str, int]:
        """Numbers of real pieces and words of a batch on the host, for a device that is not to be waited for.

        Args:
            attention_mask: (B, T) as in :meth:`forward`.
            is_continuation: (B, T) likewise.

        Returns:
            ``num_pieces``, and ``num_words`` unless a merging of another kind decides what a word is.
        """
        counts = dict(num_pieces=np.count_nonzero(attention_mask.numpy()))
        if type(self.word_merging).forward is WordMerging.forward:
            words = self.word_merging.word_mask(attention_mask, is_continuation)
            counts["num_words"] = np.count_nonzero(words.numpy())
        return counts

    def _run(self, input_ids: Tensor, attention_mask: Tensor, **kwargs: Any) -> BaseModelOutput:
        several = self.num_summed_layers > 1
        return self.model(input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=several, **kwargs)

    def _global_attention(self, real: Tensor) -> dict[str, Tensor]:
        """Let [CLS] of a Longformer see the whole report, as it was made for; its other pieces see their window."""
        if "global_attention_mask" not in inspect.signature(self.model.forward).parameters:
            return {}
        is_cls = torch.zeros_like(real, dtype=torch.long)
        is_cls[:, 0] = 1
        return dict(global_attention_mask=is_cls)

    def _attention_row(self, output: BaseModelOutput, real: Tensor) -> Tensor:
        """(B, T) the last layer's attention of the piece that sees the whole report to each piece."""
        if "global_attentions" in output:  # (B, H, T, 1), of [CLS] alone
            rows = output.global_attentions[-1][:, :, : real.shape[1], 0]  # padded to whole windows
        elif self.is_causal:
            rows = output.attentions[-1].take_along_dim(_last_place(real)[:, None, None, None], dim=2).squeeze(2)
        else:
            rows = output.attentions[-1][:, :, 0]
        return rows.mean(dim=1).detach()

    def _last_layers(self, output: BaseModelOutput) -> Tensor:
        if self.num_summed_layers == 1:
            return output.last_hidden_state
        return sum(output.hidden_states[-self.num_summed_layers :])

    def _pool(self, pieces: Tensor, real: Tensor, is_continuation: Tensor) -> Tensor:
        """Global feature of the pieces: (B, T, C), (B, T), (B, T) → (B, C)."""
        if self.pooling == "cls" and self.is_causal:
            return pieces.take_along_dim(_last_place(real)[:, None, None], dim=1).squeeze(1)
        if self.pooling == "cls":
            return pieces[:, 0].contiguous()  # torch.compile would tell the lengths of the reports by its strides
        if self.pooling == "cls_word":
            first_word = (~is_continuation).cumsum(dim=1) == 1
            return (pieces * (first_word & real)[:, :, None]).sum(dim=1)
        real = real[:, :, None]
        if self.pooling == "max":
            return pieces.masked_fill(~real, torch.finfo(pieces.dtype).min).amax(dim=1)
        return (pieces * real).sum(dim=1) / real.sum(dim=1)

    @property
    def _first_place(self) -> int:
        """Row of the position table for the first piece; RoBERTa's is behind that of padding."""
        padding = self.model.embeddings.position_embeddings.padding_idx
        return 0 if padding is None else padding + 1

    def init_weights(self) -> None:
        """Nothing to do: transformers has initialized or loaded the model, and doing it again would undo that."""


def _build(pretrained: str | None, config: dict | None, num_layers: int | None, **kwargs: Any) -> nn.Module:
    if pretrained is not None:
        return load_text_model(pretrained, num_layers, **kwargs)
    _require_known(config)
    try:
        made = AutoConfig.for_model(**{**config, **layers_kept(config["model_type"], num_layers)})
        if "pad_token_id" not in config and (made.pad_token_id or 0) >= made.vocab_size:
            made.pad_token_id = 0  # ModernBERT's own is 50283; a trained tokenizer's is 0
        return encoder_of(make_text_model(made, **kwargs))
    except Exception as error:  # whichever of a hundred values leads to in a constructor of transformers
        raise UserError(
            f"{_name(None, config)} cannot be built: {first_line(error)}\n"
            "Take an encoder of text (BERT, RoBERTa, T5, GPT-2 and their kind) and correct its arguments there."
        ) from error


def _name(pretrained: str | None, config: dict | None) -> str:
    """What errors call the model."""
    if pretrained is not None:
        return f"Text encoder '{pretrained}'"
    return f"The '{config['model_type']}' of model.text_encoder.config"


def _last_place(real: Tensor) -> Tensor:
    """(B, T) → (B,) index of the last real piece, behind which the padding stands."""
    return real.sum(dim=1) - 1


def _require_known(config: dict) -> None:
    """Refuse arguments that the model does not know; transformers would accept and ignore them."""
    name = config.get("model_type")
    if name not in CONFIG_MAPPING:
        raise ValueError(f"config.model_type: there is no model '{name}'{or_nearest(str(name), CONFIG_MAPPING)}")
    default = AutoConfig.for_model(name)
    known = {*default.to_dict(), *vars(default), *default.attribute_map}
    for key in config.keys() - known:
        raise ValueError(f"config.{key}: {name} has no such argument{or_nearest(key, known)}")


def _packable_layers(model: nn.Module) -> list[nn.Module]:
    """The self-attention of each layer, if the model is known to treat each piece by itself but for these."""
    if getattr(model.config, "is_decoder", False) or getattr(model.config, "chunk_size_feed_forward", 0):
        return []
    return [module for module in model.modules() if ClsAttention.supports(module)]
