"""Query, key and value of mmpretrain's attention by one ``unbind``, of which the gradient is written once."""

from types import MethodType

from torch import Tensor, nn


def unbind_attention(backbone: nn.Module) -> None:
    """Let each attention of mmpretrain in a backbone take query, key and value apart at once, in place.

    The library takes ``qkv[0]``, ``qkv[1]`` and ``qkv[2]``: the gradient of each is filled up with zeros to the size of
    all three, and these are added and laid out anew, nine kernels a layer where ``unbind`` takes one. The class, the
    names of parameters and the numbers stay the library's; ``torch.compile`` fuses either.

    Args:
        backbone: Of any library; what is not mmpretrain's ``MultiheadAttention`` stays.
    """
    for module in backbone.modules():
        kind = type(module)  # by name, since mmpretrain takes seconds to import
        if f"{kind.__module__}.{kind.__name__}" == "mmpretrain.models.utils.attention.MultiheadAttention":
            module.forward = MethodType(_forward, module)


def _forward(attention: nn.Module, x: Tensor) -> Tensor:
    """(B, T, C) → (B, T, C)."""
    query_key_value = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).unbind(2)  # of (B, T, H, d)
    query, key, value = (part.transpose(1, 2) for part in query_key_value)
    dropout = attention.attn_drop if attention.training else 0.0
    out = attention.scaled_dot_product_attention(query, key, value, dropout_p=dropout)
    out = attention.proj(out.transpose(1, 2).flatten(2))
    out = attention.out_drop(attention.gamma1(attention.proj_drop(out)))
    return value.squeeze(1) + out if attention.v_shortcut else out
