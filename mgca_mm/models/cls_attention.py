"""The last layer's attention of [CLS] to every token, as one row instead of a full map."""

import torch
from torch import Tensor, nn

# Names, not classes: importing the libraries only to compare would take seconds at every start of a tool.
_PLAIN = {
    "mmpretrain.models.utils.attention.MultiheadAttention",
    "timm.layers.attention.Attention",
    "timm.models.vision_transformer.Attention",
}
# transformers has one class for each model, and with or without "Sdpa" depending on its version.
_BERT_FAMILY = {
    f"{model}{kind}SelfAttention"
    for model in ("Bert", "Roberta", "XLMRoberta", "Camembert", "Electra")
    for kind in ("", "Sdpa")
}


class ClsAttention:
    """Computes softmax(q_cls · Kᵀ / √d), averaged over heads, of one self-attention module.

    A forward pre-hook projects the one query and all keys from the module's input; :meth:`pop` hands the row out. The
    full (H, T, T) map never exists and the module itself is free to use scaled_dot_product_attention. No gradient. The
    row is computed in the hook, not afterwards, since sharded weights (FSDP) are whole only while their module runs.

    Two families are known, by class, since rotary, windowed and biased attentions look alike but are not q · Kᵀ alone:
    mmpretrain's and timm's plain attention (a fused ``qkv`` linear layer, optional ``q_norm``/``k_norm``), and the
    attention of transformers' BERT family (``query`` and ``key`` linear layers).

    Args:
        attention: The last layer's self-attention module.
    """

    def __init__(self, attention: nn.Module):
        if not self.supports(attention):
            raise TypeError(f"no [CLS] attention row can be computed from a {type(attention).__name__}")
        self.logits: Tensor | None = None
        attention.register_forward_pre_hook(self._compute_row, with_kwargs=True)

    @staticmethod
    def supports(attention: nn.Module) -> bool:
        """Whether the row of this module can be computed."""
        kind = type(attention)
        if f"{kind.__module__}.{kind.__name__}" in _PLAIN:
            return True
        absolute = getattr(attention, "position_embedding_type", "absolute") == "absolute"
        return kind.__name__ in _BERT_FAMILY and absolute

    @torch.no_grad()
    def _compute_row(self, attention: nn.Module, args: tuple, kwargs: dict) -> None:
        hidden_states = args[0] if args else kwargs["hidden_states"]
        self.keep_row(*_project(attention, hidden_states))

    @torch.no_grad()
    def keep_row(self, query: Tensor, key: Tensor) -> None:
        """Keep q_cls · Kᵀ / √d for :meth:`pop`, given the query (B, H, 1, d) and the keys (B, H, T, d)."""
        self.logits = (query @ key.transpose(2, 3)).squeeze(2) * query.shape[-1] ** -0.5  # (B, H, T)

    @torch.no_grad()
    def pop(self, key_mask: Tensor | None = None) -> Tensor:
        """Attention row of the forward pass that has just run, which is then forgotten.

        Args:
            key_mask: (B, T) True = real token, others get no attention.

        Returns:
            (B, T) probabilities in fp32 (fp64 for fp64 input), their sum is 1.

        Raises:
            RuntimeError: If the encoder has not run since the last call.
        """
        if self.logits is None:
            raise RuntimeError("the encoder has not run since the last [CLS] attention was taken")
        logits, self.logits = self.logits, None
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if key_mask is not None:
            logits = logits.masked_fill(~key_mask[:, None, :], -torch.inf)
        return logits.softmax(dim=-1).mean(dim=1)


def _project(attention: nn.Module, hidden_states: Tensor) -> tuple[Tensor, Tensor]:
    """Query of [CLS] (B, H, 1, d) and keys of all tokens (B, H, T, d)."""
    cls_state = hidden_states[:, :1]
    if hasattr(attention, "qkv"):
        heads = attention.num_heads
        query_weight, key_weight, _ = attention.qkv.weight.chunk(3)
        biases = (None, None) if attention.qkv.bias is None else attention.qkv.bias.chunk(3)[:2]
        query = _split_heads(nn.functional.linear(cls_state, query_weight, biases[0]), heads)
        key = _split_heads(nn.functional.linear(hidden_states, key_weight, biases[1]), heads)
        query_norm, key_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        return query_norm(query) if query_norm else query, key_norm(key) if key_norm else key
    heads = attention.num_attention_heads
    return _split_heads(attention.query(cls_state), heads), _split_heads(attention.key(hidden_states), heads)


def _split_heads(x: Tensor, num_heads: int) -> Tensor:
    """(B, T, H · d) → (B, H, T, d)."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)
