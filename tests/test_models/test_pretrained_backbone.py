"""A checkpoint's encoder as a backbone: which class, which maps, every tensor, frozen or not."""

import pytest
import timm
import torch
from mmengine.registry import MODELS as ROOT
from mmengine.registry import DefaultScope
from safetensors.torch import save_file

from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

VIT = dict(
    type="mmpretrain.VisionTransformer",
    arch=dict(embed_dims=64, num_layers=2, num_heads=1, feedforward_channels=128),
    img_size=64,
    patch_size=16,
)


def build(checkpoint, **settings):
    return MODELS.build(dict(type="PretrainedBackbone", checkpoint=str(checkpoint), **settings))


@pytest.fixture
def resnet(tmp_path):
    model = MODELS.build(dict(type="mmpretrain.ResNet", depth=18)).state_dict()
    torch.save({"state_dict": {f"image_encoder.backbone.{k}": v for k, v in model.items()}}, tmp_path / "resnet.pth")
    return tmp_path / "resnet.pth", model


@pytest.fixture
def vit(tmp_path):
    model = MODELS.build(VIT).state_dict()
    save_file({f"image_encoder.backbone.{k}": v for k, v in model.items()}, tmp_path / "vit.safetensors")
    return tmp_path / "vit.safetensors", model


@pytest.mark.parametrize("strides", [(8, 16, 32), (2, 4, 8, 16, 32), (2, 8), (32,)])
def test_maps_of_a_resnet(resnet, strides):
    checkpoint, weights = resnet
    backbone = build(checkpoint, strides=strides)
    assert all(torch.equal(tensor, weights[name]) for name, tensor in backbone.state_dict().items())
    maps = backbone(torch.rand(1, 3, 64, 64))
    assert [64 // feature.shape[-1] for feature in maps] == list(strides)
    assert tuple(feature.shape[1] for feature in maps) == backbone.out_channels
    assert backbone.state_dict().keys() == weights.keys()  # the library's own names


@pytest.mark.parametrize(
    ("strides", "channels"),
    [
        ((4, 8, 8, 8), (64, 128, 256, 512)),
        ((16, 16), (256, 512)),
        ((2, 8, 8), (64, 128, 256)),
        ((8, 8, 16), (128, 256, 512)),
    ],
)
def test_a_repeated_stride_is_a_dilated_stage(resnet, strides, channels):
    backbone = build(resnet[0], strides=strides)
    maps = backbone(torch.rand(1, 3, 64, 64))
    assert tuple(64 // feature.shape[-1] for feature in maps) == strides
    assert tuple(feature.shape[1] for feature in maps) == backbone.out_channels == channels


def test_stages_that_no_map_needs_have_no_gradient(resnet):
    """On several ranks, the others would wait for it."""
    backbone = build(resnet[0], strides=(4, 16))
    sum(feature.sum() for feature in backbone(torch.rand(2, 3, 64, 64))).backward()
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in backbone.parameters())


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0]), True),
        (dict(mean=[1.0, 2.0, 3.0], std=[4.0, 0.0, 6.0]), False),
        (dict(mean=[1.0], std=[4.0]), False),
        (dict(mean="abc", std=[float("nan")] * 3), False),
        ([1], False),
        (None, False),
    ],
)
def test_normalization_of_the_pretraining(resnet, tmp_path, given, known):
    torch.save({"state_dict": resnet[1], "meta": {"data_preprocessor": given}}, tmp_path / "other.pth")
    backbone = build(tmp_path / "other.pth")
    assert backbone.data_preprocessor == (given if known else dict(mean=[127.5] * 3, std=[127.5] * 3))


def test_maps_of_a_vit(vit):
    checkpoint, weights = vit
    backbone = build(checkpoint, strides=(8, 16, 32), pyramid_channels=24)
    maps = backbone(torch.rand(1, 3, 96, 96))
    assert [96 // feature.shape[-1] for feature in maps] == [8, 16, 32]
    assert tuple(feature.shape[1] for feature in maps) == backbone.out_channels == (24,) * 3
    assert all(torch.equal(tensor, weights[name]) for name, tensor in backbone.vit.state_dict().items())


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_what_a_classifier_takes(kind, request):
    backbone = build(request.getfixturevalue(kind)[0])
    features = backbone(torch.rand(1, 3, 64, 64))
    assert [feature.shape[1] for feature in features] == list(backbone.out_channels)


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_frozen_stays_as_it_is(kind, request):
    backbone = build(request.getfixturevalue(kind)[0], strides=(8, 16), frozen=True)
    backbone.train()
    encoder = getattr(backbone, "vit", backbone)
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    backbone(torch.rand(2, 3, 64, 64))
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())


def test_a_runner_draws_nothing_for_it(resnet):
    checkpoint, weights = resnet
    with DefaultScope.overwrite_default_scope("mmpretrain"):
        model = ROOT.build(
            dict(
                type="mmpretrain.ImageClassifier",
                backbone=dict(type="mgca_mm.PretrainedBackbone", checkpoint=str(checkpoint)),
                neck=dict(type="mmpretrain.GlobalAveragePooling"),
                head=dict(type="mmpretrain.LinearClsHead", num_classes=2, in_channels=512),
            )
        )
        model.init_weights()
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.backbone.state_dict().items())


def test_names_of_a_detector_and_of_several_ranks(vit, tmp_path):
    detector = torch.nn.Module()
    detector.backbone = build(vit[0], strides=(8, 16))
    torch.save({f"module.{name}": tensor for name, tensor in detector.state_dict().items()}, tmp_path / "detector.pth")
    backbone = build(tmp_path / "detector.pth")
    assert all(torch.equal(tensor, vit[1][name]) for name, tensor in backbone.state_dict().items())


def test_names_of_timm(tmp_path):
    model = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=64)
    torch.save(model.state_dict(), tmp_path / "timm.pth")
    backbone = build(tmp_path / "timm.pth")
    backbone.eval()  # which returns None in mmpretrain
    image = torch.rand(1, 3, 64, 64)
    found, wanted = backbone(image)[-1], model.eval().forward_features(image)[:, 0]
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_what_it_cannot_give(resnet, vit, tmp_path):
    for strides in ((3,), (64,), (32, 32), (2, 2), (2,)):
        with pytest.raises(UserError, match="strides 4, 8, 16, 32, and before these 2, ascending"):
            build(resnet[0], strides=strides)
    for strides in ((16, 8), (), 32, "16", (None,), (8.0,), (0,)):
        for checkpoint in (resnet[0], vit[0]):
            with pytest.raises(UserError, match="strides are those of the maps in pixels"):
                build(checkpoint, strides=strides)
    with pytest.raises(UserError, match="no maps of strides"):
        build(vit[0], strides=(12,))
    torch.save({"features.0.weight": torch.rand(3)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="no plain ResNet or ViT by"):
        build(tmp_path / "other.pth", strides=(8,))
    torch.save(dict(list(resnet[1].items())[:-3]), tmp_path / "half.pth")
    with pytest.raises(UserError, match="incomplete"):
        build(tmp_path / "half.pth", strides=(8,))
