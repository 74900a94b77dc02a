"""GELU computed again: the numbers of the library, and less kept for the backward pass."""

import copy

import pytest
import torch
from mmcv.cnn.bricks.transformer import FFN
from timm.layers import Mlp
from torch import nn
from torch.func import functional_call, grad, vmap
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertLayer

from mgca_mm.models.recomputed_gelu import recompute_gelu
from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL, small_batch

X = torch.randn(2, 5, 8, generator=torch.Generator().manual_seed(0))
HIDDEN = 2 * 5 * 32
GELU = dict(type="GELU")


class Block(BertLayer):
    def __init__(self):
        sizes = dict(hidden_size=8, intermediate_size=32, num_attention_heads=2)
        super().__init__(BertConfig(**sizes, hidden_dropout_prob=0.0, attn_implementation="eager"))

    def forward(self, x):
        return self.feed_forward_chunk(x)


LAYERS = {
    "mmcv": lambda: FFN(embed_dims=8, feedforward_channels=32, act_cfg=GELU),
    "timm": lambda: Mlp(8, 32),
    "bert": Block,
}
LAST = {"mmcv": "layers.1", "timm": "fc2", "bert": "output.dense"}
ACTIVATION = {"mmcv": "layers.0.1", "timm": "act", "bert": "intermediate.intermediate_act_fn"}


def pair(make):
    torch.manual_seed(0)
    library = make()
    ours = copy.deepcopy(library)
    recompute_gelu(ours)
    return ours, library


def step(layer, dtype=torch.float32, x=X):
    """Output, gradients, and how many tensors of the hidden layer are kept."""
    x, kept = x.clone().requires_grad_(), {}

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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", LAYERS)
def test_the_numbers_stay_and_less_is_kept(kind, dtype):
    ours, library = pair(LAYERS[kind])
    (*numbers, kept), (*expected, kept_by_library) = step(ours, dtype), step(library, dtype)
    torch.testing.assert_close(numbers, expected, rtol=0, atol=0)
    assert (kept, kept_by_library) == (1, 2)


class Doubled(nn.Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def adapt(layer, kind):
    layer.get_submodule(LAST[kind]).__class__ = Doubled


def replace_forward(layer, kind):
    last = layer.get_submodule(LAST[kind])
    last.forward = lambda x, forward=last.forward: 2 * forward(x)


def hook(layer, kind):
    layer.get_submodule(LAST[kind]).register_forward_pre_hook(lambda module, args: (args[0] + 1,))


def hook_activation(layer, kind):
    layer.get_submodule(ACTIVATION[kind]).register_forward_hook(lambda module, args, output: output.float() + 1)


def change_in_place(layer, kind):
    layer.get_submodule(ACTIVATION[kind]).register_forward_hook(lambda module, args, output: output.mul_(2))


def hook_gradients(layer, kind):
    layer.get_submodule(LAST[kind]).register_full_backward_hook(lambda module, into, out: (2 * into[0],))


def freeze(layer, kind):
    layer.get_submodule(LAST[kind]).requires_grad_(False)


def train_the_last_alone(layer, kind):
    layer.requires_grad_(False).get_submodule(LAST[kind]).requires_grad_()


def drop_bias(layer, kind):
    layer.get_submodule(LAST[kind]).bias = None


def normalize_weights(layer, kind):
    nn.utils.parametrizations.weight_norm(layer.get_submodule(LAST[kind]))


CHANGES = [
    adapt,
    replace_forward,
    hook,
    hook_activation,
    change_in_place,
    hook_gradients,
    freeze,
    train_the_last_alone,
    drop_bias,
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("change", [*CHANGES, normalize_weights], ids=lambda change: change.__name__)
@pytest.mark.parametrize("kind", LAYERS)
def test_what_others_change_is_computed_as_they_want(kind, change, dtype):
    ours, library = pair(LAYERS[kind])
    change(ours, kind), change(library, kind)
    torch.testing.assert_close(step(ours, dtype)[:3], step(library, dtype)[:3], rtol=0, atol=0)


OTHERS = {
    "dropout": lambda: FFN(8, 32, act_cfg=GELU, ffn_drop=0.5),
    "three layers": lambda: FFN(8, 32, num_fcs=3, act_cfg=GELU),
    "relu": lambda: FFN(8, 32, act_cfg=dict(type="ReLU")),
    "tanh": lambda: FFN(8, 32, act_cfg=dict(type="GELU", approximate="tanh")),
    "norm": lambda: Mlp(8, 32, norm_layer=nn.LayerNorm),
    "convolutions": lambda: Mlp(8, 32, use_conv=True),
    "adapted": lambda: nn.Sequential(Mlp(8, 32)).apply(
        lambda m: hasattr(m, "fc2") and setattr(m, "fc2", Doubled(32, 8))
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_layers_are_the_librarys(kind):
    ours, library = pair(OTHERS[kind])
    x = X.permute(0, 2, 1)[..., None] if kind == "convolutions" else X
    results = step(ours, x=x), step(library, x=x)
    torch.testing.assert_close(results[0], results[1], rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_traced_and_compiled(mode, tmp_path):
    ours, library = pair(LAYERS["mmcv"])
    getattr(ours, mode)(), getattr(library, mode)()
    torch.jit.save(torch.jit.trace(ours, X), tmp_path / "traced.pt")
    compiled = torch.compile(ours, backend="aot_eager", fullgraph=True)
    for other in (torch.jit.load(tmp_path / "traced.pt"), compiled, torch.fx.symbolic_trace(ours.layers)):
        expected = library.layers(X) if isinstance(other, torch.fx.GraphModule) else library(X)
        torch.testing.assert_close(other(X), expected)


def test_gradients_of_gradients_and_of_single_samples():
    ours, library = (layer.double() for layer in pair(lambda: Mlp(2, 3)))
    x = X[:, :2, :2].double()
    parameters = dict(ours.named_parameters())

    def loss(model, parameters, x):
        return functional_call(model, parameters, (x,)).sin().sum()

    results = [vmap(grad(loss, argnums=1), (None, None, 0))(model, parameters, x) for model in (ours, library)]
    torch.testing.assert_close(*results, rtol=0, atol=1e-15)
    # With respect to the weights, too.
    inputs = [x.clone().requires_grad_(), *(p.detach().requires_grad_() for p in parameters.values())]
    assert torch.autograd.gradgradcheck(
        lambda x, *p: functional_call(ours, dict(zip(parameters, p, strict=True)), x), inputs
    )


@pytest.mark.parametrize("encoder", ["image_encoders.image_encoder", "text_encoders.text_encoder"])
def test_both_encoders_keep_less(encoder, monkeypatch):
    def kept():
        tensors = {}
        model = MODELS.build(SMALL_MODEL).train()
        with torch.autograd.graph.saved_tensors_hooks(lambda t: tensors.setdefault(t.data_ptr(), t), lambda t: t):
            model(small_batch(6), mode="loss")
        return sum(tensor.numel() for tensor in tensors.values())

    ours = kept()
    monkeypatch.setattr(f"mgca_mm.models.{encoder}.recompute_gelu", lambda model: None)
    assert ours < kept()
