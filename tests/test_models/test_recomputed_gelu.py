"""GELU computed again: the numbers of the library, and less kept for the backward pass."""

import copy

import pytest
import torch
from mmcv.cnn.bricks.transformer import FFN
from torch import nn

from mgca_mm.models.image_encoders.recomputed_gelu import recompute_gelu

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
HIDDEN = 2 * 5 * 32


def feed_forward(**changes):
    torch.manual_seed(0)
    library = FFN(embed_dims=8, feedforward_channels=32, act_cfg=dict(type="GELU"), **changes)
    ours = copy.deepcopy(library)
    recompute_gelu(ours)
    return ours, library


def step(layer, dtype=torch.float32):
    """Output, gradients, and how many tensors of the hidden layer are kept."""
    x, kept = X.clone().requires_grad_(), {}

    def keep(tensor):
        kept[tensor.data_ptr()] = tensor
        return tensor

    torch.manual_seed(1)
    autocast = torch.autocast("cpu", dtype, enabled=dtype != torch.float32)
    with autocast, torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = layer(x)
    out.sin().sum().backward()
    gradients = {name: parameter.grad for name, parameter in layer.named_parameters()}
    return out, x.grad, gradients, sum(tensor.numel() == HIDDEN for tensor in kept.values())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_numbers_stay_and_less_is_kept(dtype):
    ours, library = feed_forward()
    *numbers, kept = step(ours, dtype)
    *expected, kept_by_library = step(library, dtype)
    torch.testing.assert_close(numbers, expected, rtol=0, atol=0)
    assert all(p.grad.dtype == torch.float32 for p in ours.parameters())
    assert (kept, kept_by_library) == (1, 2)


def watch(layer):
    layer.layers[-2].register_forward_pre_hook(lambda module, args: (args[0] + 1,))


def adapt(layer):
    class Adapter(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    layer.layers[-2].__class__ = Adapter


@pytest.mark.parametrize("change", [watch, adapt, nn.Module.eval, lambda layer: None], ids=str)
@pytest.mark.parametrize("options", [{}, dict(ffn_drop=0.5), dict(num_fcs=3)], ids=str)
def test_what_is_more_than_two_layers_with_gelu_is_the_librarys(change, options):
    ours, library = feed_forward(**options)
    change(ours), change(library)
    torch.testing.assert_close(step(ours)[:3], step(library)[:3], rtol=0, atol=0)


def test_gradients_of_gradients():
    ours, _ = feed_forward()
    assert torch.autograd.gradgradcheck(ours.double(), X.double().requires_grad_())
