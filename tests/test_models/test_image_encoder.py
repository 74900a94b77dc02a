import copy

import numpy as np
import pytest
import torch

from mgca_mm.errors import UserError
from mgca_mm.models import ImageEncoder
from mgca_mm.models.image_encoders.image_encoder import _last_attention
from tests.test_fuzz.cases import bounded

TINY_VIT = dict(
    type="mmpretrain.VisionTransformer",
    arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64),
    img_size=64,
    out_type="raw",
)
TIMM = "mmpretrain.TIMMBackbone"
BACKBONES = {
    # name: (backbone config, number of tokens at 64 x 64, channels of global and tokens)
    "vit": (TINY_VIT, 16, 32, 32),
    "resnet18": (dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3)), 16, 512, 256),
    "resnet50": (dict(type="mmpretrain.ResNet", depth=50, out_indices=(2, 3)), 16, 2048, 1024),
    "resnet18, one stage": (dict(type="mmpretrain.ResNet", depth=18, out_indices=(3,)), 4, 512, 512),
    "swin": (
        dict(type="mmpretrain.SwinTransformer", arch="tiny", img_size=64, out_indices=(2, 3), pad_small_map=True),
        *(16, 768, 384),
    ),
    "convnext": (
        dict(type="mmpretrain.ConvNeXt", arch="atto", gap_before_final_norm=False, out_indices=(2, 3)),
        *(16, 320, 160),
    ),
    "timm vit": (dict(type=TIMM, model_name="vit_tiny_patch16_224", img_size=64), 16, 192, 192),
    "timm distilled vit": (dict(type=TIMM, model_name="deit_tiny_distilled_patch16_224", img_size=64), 16, 192, 192),
    "timm vit, registers": (dict(type=TIMM, model_name="vit_small_patch14_reg4_dinov2", img_size=56), 16, 384, 384),
    "timm vit, qk norm": (dict(type=TIMM, model_name="vit_tiny_patch16_224", img_size=64, qk_norm=True), 16, 192, 192),
    "timm vit without cls": (dict(type=TIMM, model_name="vit_medium_patch16_gap_240", img_size=64), 16, 512, 512),
    "timm resnet, stages": (
        dict(type=TIMM, model_name="resnet18", features_only=True, out_indices=(3, 4)),
        *(16, 512, 256),
    ),
    "timm resnet": (dict(type=TIMM, model_name="resnet18"), 4, 512, 512),
    "timm swin": (
        dict(type=TIMM, model_name="swin_tiny_patch4_window7_224", img_size=64, window_size=2),
        *(4, 768, 768),
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_any_backbone(name):
    backbone, num_tokens, global_channels, token_channels = BACKBONES[name]
    size = backbone.get("img_size", 64)
    encoder = ImageEncoder(backbone, input_size=size)
    assert (encoder.global_channels, encoder.token_channels) == (global_channels, token_channels)
    features = encoder(torch.randn(2, 3, size, size))
    assert features.global_feature.shape == (2, global_channels)
    assert features.tokens.shape == (2, num_tokens, token_channels)
    assert features.token_weight.shape == (2, num_tokens)
    assert not features.token_weight.requires_grad
    assert (features.token_weight > 0).all()
    features.global_feature.sum().backward()


def library_row(encoder, images):
    """[CLS] row, head mean, of the probabilities that the library's own attention computes with."""
    attention = _last_attention(encoder.backbone)
    kept = {}
    if hasattr(encoder.backbone, "timm_model"):
        attention.fused_attn = False
        attention.attn_drop.register_forward_pre_hook(lambda module, args: kept.update(maps=args[0]))
    else:
        library = attention.scaled_dot_product_attention

        def watched(query, key, value, **kwargs):
            identity = torch.eye(value.shape[2]).expand(*value.shape[:2], -1, -1)
            kept["maps"] = library(query, key, identity, **kwargs)  # probabilities times one
            return library(query, key, value, **kwargs)

        attention.scaled_dot_product_attention = watched
    encoder(images)
    return kept["maps"][:, :, 0].mean(1)


@pytest.mark.parametrize("name", ["vit", "timm vit", "timm distilled vit", "timm vit, registers", "timm vit, qk norm"])
def test_cls_row_equals_the_full_map(name):
    backbone = BACKBONES[name][0]
    size = backbone["img_size"]
    encoder = ImageEncoder(backbone, input_size=size).eval()
    torch.nn.init.normal_(_last_attention(encoder.backbone).qkv.weight, std=0.2)  # far from uniform
    images = torch.randn(2, 3, size, size)
    expected = library_row(encoder, images)[:, encoder.num_prefix_tokens :]
    assert expected.max() > 1.01 * expected.min()
    assert (encoder(images).token_weight - expected).abs().max() < 1e-6


def test_registers_without_cls_are_no_cls():
    backbone = dict(type=TIMM, model_name="vit_medium_patch16_reg4_gap_256", img_size=64)
    encoder = ImageEncoder(backbone, input_size=64).eval()
    features = encoder(torch.randn(1, 3, 64, 64))
    torch.testing.assert_close(features.global_feature, features.tokens.mean(1))
    assert features.tokens.shape[1] == 16
    torch.testing.assert_close(features.token_weight, torch.full((1, 16), 1 / 16))


@pytest.mark.parametrize("model_name", ["vit_small_patch16_dinov3", "beit_base_patch16_224"])
def test_attention_with_positions_inside_is_refused_not_guessed(model_name):
    with pytest.raises(UserError, match="token_weight='uniform'"):
        ImageEncoder(dict(type=TIMM, model_name=model_name, img_size=64), input_size=64)


def test_resize_happens_before_the_channels_are_found():
    encoder = ImageEncoder(dict(type=TIMM, model_name="vit_tiny_patch16_384"), resize_to=384).eval()
    with torch.no_grad():
        assert encoder(torch.randn(1, 3, 224, 224)).tokens.shape == (1, 576, 192)


def test_equal_channels_are_resized_once():
    encoder = ImageEncoder(dict(type="mmpretrain.ResNet", depth=18), resize_to=96, input_size=64).double()
    seen = []
    encoder.backbone.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    gray = torch.randn(2, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    with torch.profiler.profile(record_shapes=True) as profile:
        encoder(gray.expand(-1, 3, -1, -1)).global_feature.sum().backward()
    resized = [event.input_shapes[0] for event in profile.events() if event.name == "aten::upsample_bilinear2d"]
    gradient, gray.grad = gray.grad, None
    encoder(gray.repeat(1, 3, 1, 1)).global_feature.sum().backward()
    assert resized == [[2, 1, 64, 64]]
    torch.testing.assert_close(seen[0], seen[1], rtol=0, atol=1e-12)
    torch.testing.assert_close(gradient, gray.grad, rtol=1e-9, atol=1e-12)
    color = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    encoder(color)
    assert seen[2].equal(torch.nn.functional.interpolate(color, (96, 96), mode="bilinear", align_corners=True))


def test_cls_row_carries_no_gradient_and_no_full_map():
    encoder = ImageEncoder(TINY_VIT, input_size=64)
    features = encoder(torch.randn(2, 3, 64, 64))
    assert features.token_weight.grad_fn is None
    with pytest.raises(RuntimeError, match="has not run"):
        encoder.cls_attention.pop()


def test_uniform_weights_on_request():
    encoder = ImageEncoder(TINY_VIT, token_weight="uniform", input_size=64)
    weight = encoder(torch.randn(1, 3, 64, 64)).token_weight
    torch.testing.assert_close(weight, torch.full((1, 16), 1 / 16))


def test_a_backbone_without_cls_attention_is_refused_clearly():
    for backbone in (dict(type="mmpretrain.ResNet", depth=18), {**TINY_VIT, "out_type": "featmap"}):
        with pytest.raises(UserError, match="token_weight='uniform'"):
            ImageEncoder(backbone, token_weight="cls_attention", input_size=64)


def test_a_map_of_a_vit_has_uniform_weights():
    encoder = ImageEncoder({**TINY_VIT, "out_type": "featmap"}, input_size=64)
    assert encoder.cls_attention is None and encoder(torch.randn(1, 3, 64, 64)).tokens.shape == (1, 16, 32)


def test_paper_resnet_sees_361_tokens():
    encoder = ImageEncoder(dict(type="mmpretrain.ResNet", depth=50, out_indices=(2, 3)), resize_to=299).eval()
    with torch.no_grad():
        features = encoder(torch.randn(1, 3, 224, 224))
    assert features.tokens.shape == (1, 361, 1024)
    assert features.global_feature.shape == (1, 2048)


def test_backbone_keeps_the_librarys_names():
    from mmpretrain.models import VisionTransformer

    encoder = ImageEncoder(TINY_VIT, input_size=64)
    library = VisionTransformer(**{k: v for k, v in TINY_VIT.items() if k != "type"})
    names = [k.removeprefix("backbone.") for k in encoder.state_dict() if k.startswith("backbone.")]
    assert names == list(library.state_dict())


@pytest.mark.parametrize("changes", [{}, dict(layer_scale_init_value=0.1), dict(qkv_bias=False)], ids=str)
def test_attention_equals_the_librarys(changes):
    """Values and gradients to the bit, of which torch keeps one ``unbind`` instead of three indexings."""
    backbone = {**TINY_VIT, "layer_cfgs": changes, "drop_rate": 0.1, "drop_path_rate": 0.1}
    torch.manual_seed(0)
    encoder = ImageEncoder(backbone, input_size=64).train()
    library = copy.deepcopy(encoder)
    for module in library.backbone.modules():
        module.__dict__.pop("forward", None)
    images, results = torch.randn(2, 3, 64, 64), []
    for model in (encoder, library):
        torch.manual_seed(1)
        with torch.profiler.profile() as profile:
            features = model(images)
            (features.tokens.sin().sum() + features.global_feature.sum()).backward()
        selects = sum(event.name == "SelectBackward0" for event in profile.events())
        results.append((features.tokens, {name: p.grad for name, p in model.named_parameters()}, selects))
    torch.testing.assert_close(results[0][:2], results[1][:2], rtol=0, atol=0)
    assert results[1][2] - results[0][2] == 3 * len(encoder.backbone.layers)


def test_a_pooled_backbone_is_refused_clearly():
    with pytest.raises(UserError, match="out_type='raw'"):
        ImageEncoder({**TINY_VIT, "out_type": "cls_token"}, token_weight="uniform", input_size=64)


@pytest.mark.parametrize(
    "backbone",
    [
        dict(type=TIMM, model_name="vit_tiny_patch16_384"),
        dict(type=TIMM, model_name="vit_small_patch14_dinov2"),
        dict(type=TIMM, model_name="swin_tiny_patch4_window7_224"),
        dict(type=TIMM, model_name="mixer_s16_224"),
        dict(type="mmpretrain.MlpMixer", arch="base", img_size=384),
    ],
    ids=lambda backbone: backbone.get("model_name", backbone["type"]),
)
def test_a_size_that_the_backbone_does_not_take_is_told_with_the_option(backbone):
    size = 112
    with pytest.raises(UserError, match=f"does not take images of {size} x {size}.*\n.*backbone.img_size={size}"):
        ImageEncoder(backbone, token_weight="uniform", input_size=size)
    if backbone["type"] == TIMM and "window" not in backbone["model_name"]:
        ImageEncoder({**backbone, "img_size": size}, token_weight="uniform", input_size=size)


@pytest.mark.parametrize("kind", ["zeros.npz", "damaged.npz", "damaged.safetensors", "short.safetensors", "other.npz"])
def test_hostile_weights_of_timm(kind, tmp_path):
    path = tmp_path / kind
    if kind == "zeros.npz":
        np.savez_compressed(path, x=np.zeros(150 * 2**20, np.uint8))
    elif kind == "other.npz":
        np.savez(path, x=np.zeros(3))
    else:
        path.write_bytes(b"PK" if kind.startswith("short") else b"\xff" * 100)
    backbone = dict(type="mmpretrain.TIMMBackbone", model_name="vit_tiny_patch16_224", checkpoint_path=str(path))
    with bounded(200 * 2**20), pytest.raises(UserError, match=r"unpacks to|cannot be read"):
        ImageEncoder(backbone, input_size=224)
