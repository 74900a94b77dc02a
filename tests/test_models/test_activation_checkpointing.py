"""Checkpointed activations change the memory of a step and none of its numbers."""

import copy

import pytest
import torch
from torch import nn

from mgca_mm.models.activation_checkpointing import checkpoint_blocks
from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL, small_batch

BACKBONES = {
    "vit": SMALL_MODEL["image_encoder"]["backbone"],
    "resnet": dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3)),
    "timm vit": dict(type="mmpretrain.TIMMBackbone", model_name="vit_tiny_patch16_224", img_size=32),
    "timm resnet": dict(type="mmpretrain.TIMMBackbone", model_name="resnet18", features_only=True, out_indices=(3, 4)),
}


def step(backbone, dropout, checkpointed):
    """Losses, gradients and statistics of one training step, and the number of tensors kept for the backward pass."""
    config = copy.deepcopy(SMALL_MODEL)
    config["image_encoder"] |= dict(backbone=backbone, activation_checkpointing=checkpointed)
    config["text_encoder"]["activation_checkpointing"] = checkpointed
    config["text_encoder"]["config"] |= dict(hidden_dropout_prob=dropout)
    torch.manual_seed(0)
    model = MODELS.build(config).train()
    kept = []
    torch.manual_seed(1)
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        losses = model(small_batch(6), mode="loss")
    sum(value for name, value in losses.items() if "loss" in name).backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    return losses, gradients, dict(model.named_buffers()), sum(tensor.numel() for tensor in kept)


@pytest.mark.parametrize("backbone", BACKBONES.values(), ids=BACKBONES)
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_numbers_stay(backbone, dropout):
    losses, gradients, buffers, kept = step(backbone, dropout, checkpointed=False)
    again = step(backbone, dropout, checkpointed=True)
    torch.testing.assert_close(again[0], losses, rtol=0, atol=0)
    torch.testing.assert_close(again[1], gradients, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(again[2], buffers, rtol=0, atol=0)  # batch norm counts a batch once
    assert again[3] < 0.8 * kept


def test_names_of_parameters_stay():
    encoder = MODELS.build(SMALL_MODEL["image_encoder"])
    checkpointed = MODELS.build({**SMALL_MODEL["image_encoder"], "activation_checkpointing": True})
    assert list(checkpointed.state_dict()) == list(encoder.state_dict())


def test_no_blocks():
    with pytest.raises(TypeError, match="Linear has no blocks"):
        checkpoint_blocks(nn.Linear(2, 2))


TWO_STAGES = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
RESNET = dict(
    type="mgca_mm.ImageEncoder",
    backbone=dict(type="mmpretrain.ResNet", depth=18, stem_channels=8, base_channels=8, **TWO_STAGES),
    resize_to=48,
    input_size=32,
)


def encoder_step(images, backend=None, **changes):
    """Features, gradients and statistics of two training steps, and the elements kept for the backward pass of one."""
    torch.manual_seed(0)
    encoder = MODELS.build({**RESNET, **changes}).train().double()  # in fp32 the layouts' orders of summation differ
    if backend is not None:
        torch._dynamo.reset()
        encoder.compile(backend=backend, fullgraph=True, dynamic=False)  # a graph break is an error
    for _ in range(2):
        kept = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x):  # noqa: B023
            features = encoder(images)
        (features.global_feature.square().sum() + features.tokens.sin().sum()).backward()
    gradients = {name: parameter.grad for name, parameter in encoder.named_parameters()}
    return (
        (features.global_feature, features.tokens),
        gradients,
        dict(encoder.named_buffers()),
        sum(map(torch.numel, kept)),
    )


@pytest.mark.parametrize("backend", [None, "aot_eager"])
def test_stages_of_a_resnet_with_channels_last(backend):
    """The parts of the fast config, also traced to its end; only machine code is not made."""
    images = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    plain = encoder_step(images.repeat(1, 3, 1, 1))
    fast = dict(channels_last=True, activation_checkpointing=["layer1"])
    changed = encoder_step(images.expand(-1, 3, -1, -1), backend, **fast)
    for got, expected in zip(changed[:3], plain[:3], strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)  # batch norm counts a batch once
    assert changed[3] < encoder_step(images.expand(-1, 3, -1, -1), backend, channels_last=True)[3]


def test_a_stage_that_is_not_there():
    with pytest.raises(ValueError, match="ResNet has no stage 'layer5' to checkpoint, but layer1, layer2"):
        MODELS.build({**RESNET, "activation_checkpointing": ["layer5"]})
