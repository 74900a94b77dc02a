"""Transformers that compute GELU again in the backward pass instead of keeping what leaves it."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx

# GELU and the linear layer after it, by their names in a layer: of mmcv's FFN, of timm's Mlp, of BERT's family.
_PLACES = {"layers.0.1": "layers.1", "act": "fc2", "intermediate.intermediate_act_fn": "output.dense"}
_LINEARS = ("torch.nn.modules.linear.Linear", "mmcv.cnn.bricks.wrappers.Linear")  # by name: mmcv takes long to import


def recompute_gelu(model: nn.Module) -> None:
    """Let feed-forward layers keep only what enters GELU for the backward pass, in place.

    What leaves it is the input of a linear layer, which torch keeps, too: 3 of 15 GB of MGCA with ViT-B/16 and BERT at
    batch 144, though one elementwise kernel a layer makes it again. Names of parameters and numbers stay. A compiled
    model keeps what ``torch.compile`` chooses. Forward-mode differentiation is not possible.

    Args:
        model: Of any library; layers of other layouts, other activations and adapted linear layers stay as they are.
    """
    modules = dict(model.named_modules())
    for name, activation in modules.items():
        for place, next_place in _PLACES.items():
            if f".{name}".endswith(f".{place}") and _is_gelu(activation):
                linear = modules.get(name.removesuffix(place) + next_place)
                if _name(linear) in _LINEARS:
                    activation.register_forward_hook(_attach_input)
                    linear.__class__ = _LinearAfterGelu


def _name(thing: object) -> str:
    return f"{type(thing).__module__}.{type(thing).__qualname__}"


def _is_gelu(activation: nn.Module) -> bool:
    if type(activation) is nn.GELU:
        return activation.approximate == "none"
    return _name(activation) == "transformers.activations.GELUActivation" and activation.act is F.gelu


def _attach_input(activation: nn.Module, args: tuple[Any, ...], output: Any) -> None:
    """Where nobody changes the output on its way, the linear layer finds the input at it."""
    if not torch.compiler.is_compiling() and isinstance(output, Tensor) and output.requires_grad:
        output.gelu_input = args[0], output._version  # by which a change in place is seen


class _LinearAfterGelu(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling() and not torch.jit.is_tracing():
            gelu_input, version = vars(x).get("gelu_input", (None, None))
            unchanged = gelu_input is not None and version == x._version
            if unchanged and self.weight.requires_grad:  # else torch does not keep x
                return _LinearOfGelu.apply(x, gelu_input, self.weight, self.bias)
        return super().forward(x)


class _LinearOfGelu(torch.autograd.Function):
    """``F.linear(x, weight, bias)`` of ``x = F.gelu(gelu_input)``, whose own node gives the gradient of its input."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, gelu_input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return F.linear(x, weight, bias)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        _, gelu_input, weight, _ = inputs
        ctx.save_for_backward(gelu_input, weight)

    @staticmethod
    def backward(ctx: FunctionCtx, grad: Tensor) -> tuple[Tensor | None, ...]:
        gelu_input, weight = ctx.saved_tensors
        x = F.gelu(gelu_input)
        rows = grad.reshape(-1, grad.shape[-1])
        # Under autocast the product was one of less precise copies, whose gradients become precise afterwards.
        grad_x = (grad @ weight.to(grad.dtype)).to(x.dtype)
        grad_weight = (rows.T @ x.to(grad.dtype).reshape(-1, x.shape[-1])).to(weight.dtype)
        return grad_x, None, grad_weight, rows.sum(0).to(weight.dtype) if ctx.needs_input_grad[3] else None
