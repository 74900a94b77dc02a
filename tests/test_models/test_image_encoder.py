import pytest
import torch

from mgca_mm.models import ImageEncoder
from mgca_mm.models.image_encoders.image_encoder import _last_attention

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


def full_map(encoder, images):
    """[CLS] row of the last layer's full attention map, head mean, computed from the module's input."""
    attention = _last_attention(encoder.backbone)
    kept = {}
    handle = attention.register_forward_pre_hook(lambda module, args: kept.update(x=args[0]))
    encoder(images)
    handle.remove()
    x = kept["x"]
    q, k, _ = attention.qkv(x).unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    maps = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1)  # (B, H, T, T)
    return maps[:, :, 0].mean(1)


@pytest.mark.parametrize("name", ["vit", "timm vit", "timm distilled vit", "timm vit, registers"])
def test_cls_row_equals_the_full_map(name):
    backbone = BACKBONES[name][0]
    size = backbone["img_size"]
    encoder = ImageEncoder(backbone, input_size=size).eval()
    images = torch.randn(2, 3, size, size)
    expected = full_map(encoder, images)[:, encoder.num_prefix_tokens :]
    assert (encoder(images).token_weight - expected).abs().max() < 1e-6


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
    with pytest.raises(TypeError, match="token_weight='uniform'"):
        ImageEncoder(dict(type="mmpretrain.ResNet", depth=18), token_weight="cls_attention", input_size=64)


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


def test_a_pooled_backbone_is_refused_clearly():
    with pytest.raises(TypeError, match="out_type='raw'"):
        ImageEncoder({**TINY_VIT, "out_type": "cls_token"}, token_weight="uniform", input_size=64)
