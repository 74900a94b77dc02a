"""The feed-forward layers of mmpretrain's transformers, without the activations that are quickly computed again."""

from types import MethodType

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx


def recompute_gelu(backbone: nn.Module) -> None:
    """Let each feed-forward layer of mmpretrain in a backbone keep what enters GELU and not what leaves it, in place.

    The output, an eighth of what a step of ViT-B/16 and BERT keeps for the backward pass, is computed there again by
    one elementwise kernel. The numbers stay the library's. What a compiled model keeps is for ``torch.compile``.

    Args:
        backbone: Of any library; what is not mmcv's ``FFN`` of two plain layers with GELU and no dropout stays.
    """
    for module in backbone.modules():
        if _name(module) == "mmcv.cnn.bricks.transformer.FFN":
            module.layers.forward = MethodType(_forward, module.layers)


def _name(module: nn.Module) -> str:
    """By which mmcv's classes are known, since they take seconds to import."""
    return f"{type(module).__module__}.{type(module).__qualname__}"


def _forward(layers: nn.Sequential, x: Tensor) -> Tensor:
    """(B, T, C) → (B, T, C)."""
    if not layers.training or torch.compiler.is_compiling() or not _is_plain(layers):
        return nn.Sequential.forward(layers, x)
    (first, _, _), second, dropout = layers
    hidden = first(x)
    # Autocast does not reach into the function.
    return dropout(_GeluLinear.apply(hidden, second.weight.to(hidden.dtype), second.bias.to(hidden.dtype)))


def _is_plain(layers: nn.Sequential) -> bool:
    """Whether nothing but GELU and a linear layer is computed, and nobody watches what is passed between them."""
    if len(layers) != 3:
        return False
    (_, activation, dropout), linear, _ = layers
    return (
        (type(activation) is nn.GELU and activation.approximate == "none")
        and dropout.p == 0
        and _name(linear) in ("mmcv.cnn.bricks.wrappers.Linear", "torch.nn.modules.linear.Linear")
        and not any(m._forward_hooks or m._forward_pre_hooks for m in (activation, dropout, linear))
    )


class _GeluLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.linear(F.gelu(x), weight, bias)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        rows = grad.flatten(0, -2)
        grad_x = torch.ops.aten.gelu_backward(grad @ weight, x)
        return grad_x, rows.T @ F.gelu(x).flatten(0, -2), rows.sum(0)
