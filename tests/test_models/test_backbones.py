"""Image backbones of every kind in the pretraining, as a user would first write them, at 64 x 64."""

import copy
import re

import pytest
import timm
import torch

from mgca_mm.errors import UserError
from mgca_mm.models import ImageEncoder
from mgca_mm.models.image_encoders.remedies import find_remedy
from mgca_mm.radiographs.frame import Frame
from mgca_mm.registry import MODELS
from mgca_mm.visualization.attention import Grounding
from mgca_mm.visualization.attention_figure import draw_attention
from tests.conftest import SMALL_MODEL, small_batch

SIZE = 64
STAGES = dict(out_indices=(2, 3))
RAW, FEATMAP = {"backbone.out_type": "raw"}, {"backbone.out_type": "featmap"}
UNIFORM, NO_GAP = {"token_weight": "uniform"}, {"backbone.gap_before_final_norm": False}
PADDED, SIZED = {"backbone.pad_small_map": True}, {"backbone.img_size": SIZE}


def timm_model(name, **arguments):
    return dict(type="mmpretrain.TIMMBackbone", model_name=name, **arguments)


# Backbone → what the error tells to set, nothing where none is needed, None where nothing helps.
FAST = [
    (dict(type="mmpretrain.ResNet", depth=18, **STAGES), {}),
    (dict(type="mmpretrain.VisionTransformer", arch="deit-tiny"), RAW),
    (dict(type="mmpretrain.ConvNeXt", arch="atto"), NO_GAP),
    (dict(type="mmseg.MixVisionTransformer", embed_dims=16, num_layers=[1, 1, 1, 1]), {}),
]
SLOW = [
    (dict(type="mmpretrain.ResNeXt", depth=50, groups=4, width_per_group=4, **STAGES), {}),
    (dict(type="mmpretrain.SEResNet", depth=50, **STAGES), {}),
    (dict(type="mmpretrain.Res2Net", depth=50, scales=4, base_width=14), {}),
    (dict(type="mmpretrain.DenseNet", arch="121"), {}),
    (dict(type="mmpretrain.RegNet", arch="regnetx_400mf", **STAGES), {}),
    (dict(type="mmpretrain.EfficientNet", arch="b0"), {}),
    (dict(type="mmpretrain.MobileNetV2"), {}),
    (dict(type="mmpretrain.MobileNetV3", arch="small"), {}),
    (dict(type="mmpretrain.ShuffleNetV2"), {}),
    (dict(type="mmpretrain.VGG", depth=11), {}),
    (dict(type="mmpretrain.HRNet", arch="w18"), {}),
    (dict(type="mmpretrain.VAN", arch="tiny"), {}),
    (dict(type="mmpretrain.PoolFormer", arch="s12"), {}),
    (dict(type="mmpretrain.EdgeNeXt", arch="xxsmall"), NO_GAP),
    (dict(type="mmpretrain.RepVGG", arch="A0"), {}),
    (dict(type="mmpretrain.SwinTransformer", arch="tiny"), PADDED),
    (dict(type="mmpretrain.SwinTransformerV2", arch="tiny"), PADDED),
    (dict(type="mmpretrain.DistilledVisionTransformer", arch="deit-tiny"), RAW),
    (dict(type="mmpretrain.BEiTViT", arch="deit-tiny", img_size=64, out_type="raw"), UNIFORM),
    (dict(type="mmpretrain.BEiTViT", arch="deit-tiny", img_size=64), FEATMAP),
    (dict(type="mmpretrain.ViTEVA02", arch="tiny"), FEATMAP),
    (dict(type="mmpretrain.MViT", arch="tiny"), {}),
    (dict(type="mmpretrain.PCPVT", arch="small"), {}),
    (dict(type="mmpretrain.SVT", arch="small"), {}),
    (dict(type="mmpretrain.T2T_ViT"), FEATMAP),
    (dict(type="mmpretrain.XCiT", embed_dims=64, depth=2, num_heads=4), FEATMAP),
    (dict(type="mmpretrain.XCiT", embed_dims=64, depth=2, num_heads=4, out_type="raw"), UNIFORM),
    (dict(type="mmpretrain.MobileViT", arch="xx_small"), {}),
    (dict(type="mmpretrain.RIFormer", arch="s12"), {}),
    (dict(type="mmpretrain.CSPDarkNet", depth=53), {}),
    (dict(type="mmpretrain.MlpMixer", arch="base"), SIZED),
    (dict(type="mmpretrain.LeViT", arch="128s"), SIZED),
    (dict(type="mmpretrain.TinyViT", arch="5m"), {"backbone.img_size": (64, 64), **NO_GAP}),
    (dict(type="mmpretrain.HorNet", arch="tiny"), NO_GAP),
    (dict(type="mmpretrain.EfficientFormer", arch="l1"), {"resize_to": 224}),
    (dict(type="mmpretrain.ResNet", depth=18, in_channels=1), {"backbone.in_channels": 3}),
    (dict(type="mmpretrain.TNT", arch="s", img_size=64), None),
    (dict(type="mmpretrain.Conformer", arch="tiny"), None),
    (timm_model("resnet18"), {}),
    (timm_model("resnet18", features_only=True, out_indices=(3, 9)), {"backbone.out_indices": (2, 3)}),
    (timm_model("resnet18", in_channels=1), {"backbone.in_channels": 3}),
    (timm_model("convnext_atto", features_only=True, **STAGES), {}),
    (timm_model("vit_tiny_patch16_224"), SIZED),
    (timm_model("deit3_small_patch16_224"), SIZED),
    (timm_model("swin_tiny_patch4_window7_224"), SIZED),
    (timm_model("maxvit_nano_rw_256"), SIZED),
    (timm_model("efficientnet_b0"), {}),
    (timm_model("efficientvit_b0"), {"backbone.features_only": True}),
    (timm_model("mixer_s16_224"), SIZED),
    (timm_model("cait_xxs24_224"), {**SIZED, **UNIFORM}),
    (timm_model("volo_d1_224", img_size=64), UNIFORM),
    (dict(type="mmdet.CSPDarknet", widen_factor=0.25, deepen_factor=0.33), {}),
    (dict(type="mmdet.Darknet", depth=53), {}),
    (dict(type="mmseg.UNet", base_channels=8), {}),
]


def name_of(backbone):
    needless = ("type", "embed_dims", "num_layers", "base_channels")
    return " ".join(str(value) for key, value in backbone.items() if key not in needless or key == "type")


@pytest.mark.parametrize(
    ("backbone", "remedy"),
    [pytest.param(*row, id=name_of(row[0])) for row in FAST]
    + [pytest.param(*row, id=name_of(row[0]), marks=pytest.mark.slow) for row in SLOW],
)
def test_a_backbone_trains_and_is_drawn(backbone, remedy, tmp_path):
    config = copy.deepcopy(SMALL_MODEL)
    encoder = config["image_encoder"]
    encoder.update(backbone=dict(backbone), input_size=SIZE)
    if remedy != {}:
        with pytest.raises(UserError) as refusal:
            MODELS.build(config)
        lines = str(refusal.value).splitlines()
        assert len(lines) == 2 and lines[0].startswith("image_encoder.backbone (")
        if remedy is None:
            assert lines[1].startswith("Take another backbone")
            return
        assert " and ".join(f"image_encoder.{key}={value!r}" for key, value in remedy.items()) in lines[1]
    for key, value in remedy.items():
        section, _, name = key.rpartition(".")
        (encoder[section] if section else encoder)[name] = value
    model = MODELS.build(config)
    model.init_weights()
    batch = small_batch(image_size=SIZE)
    losses = model(batch, mode="loss")
    sum(value for name, value in losses.items() if "loss" in name).backward()
    gradients = [p.grad for p in model.image_encoder.parameters() if p.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients) and any(map(torch.any, gradients))
    model.eval()
    with torch.no_grad():
        image, text = model.embed_images(batch), model.embed_reports(batch)
        words = [f"word {number}" for number in range(int(text.token_mask[0].sum()))]
        grounding = Grounding.of(model.attend(image, text), text, words)
    assert grounding.side**2 == image.tokens.shape[1]
    picture = batch["image"][0, 0].clamp(0, 1).mul(255).byte().numpy()
    assert draw_attention(picture, grounding, Frame(SIZE, SIZE), tmp_path / "maps.png").stat().st_size > 10_000


def build(backbone, **arguments):
    return ImageEncoder(backbone, input_size=SIZE, **arguments)


def test_cls_that_is_not_declared_is_no_patch():
    encoder = build(
        dict(type="mmpretrain.XCiT", embed_dims=64, depth=1, num_heads=4, out_type="raw"), token_weight="uniform"
    )
    images = torch.randn(1, 3, SIZE, SIZE)
    encoder.eval()
    features, (output,) = encoder(images), encoder.backbone(images)
    torch.testing.assert_close(features.global_feature, output[:, 0])
    torch.testing.assert_close(features.tokens, output[:, 1:])


def test_tokens_of_which_the_channels_come_first():
    arch = dict(embed_dims=24, num_layers=1, tokens_mlp_dims=8, channels_mlp_dims=32)
    encoder = build(dict(type="mmpretrain.MlpMixer", arch=arch, img_size=SIZE)).eval()
    images = torch.randn(1, 3, SIZE, SIZE)
    with encoder.watch_regions() as watched:
        features = encoder(images)
    assert features.tokens.shape == watched[0].shape == (1, 16, 24)
    torch.testing.assert_close(features.tokens, encoder.backbone(images)[-1].transpose(1, 2))


def test_a_misspelt_name_of_timm():
    with pytest.raises(UserError, match="timm has no model 'resnet_18'; did you mean 'resnet18'"):
        build(timm_model("resnet_18"))


def test_what_no_change_mends_stays_the_librarys_error():
    """The config check names its key."""
    with pytest.raises(AssertionError, match="not in default archs"):
        build(dict(type="mmpretrain.VAN", arch="b0"))
    with pytest.raises(TypeError, match="must be bool"):
        build(timm_model("resnet18", pretrained="file.pth"))


def test_cls_alone_is_no_region():
    pit = timm_model("pit_ti_224", img_size=SIZE)
    with pytest.raises(UserError, match=r"returns one vector an image(?s:.*)backbone\.features_only=True"):
        build(pit)
    assert build({**pit, "features_only": True})(torch.randn(1, 3, SIZE, SIZE)).tokens.shape[1] > 1


def test_a_remedy_is_sought_no_longer_than_needed():
    vit, tried = dict(type="mmpretrain.VisionTransformer"), []

    def build(config):
        tried.append(config)
        if config["backbone"].get("out_type") != "raw":
            raise RuntimeError

    config = dict(backbone=vit, resize_to=None, token_weight=None)
    assert find_remedy(config, SIZE, build) == "image_encoder.backbone.out_type='raw'"
    assert len(tried) == 2 and config not in tried
    # What fails for its weights alone has no remedy here.
    assert find_remedy({**config, "backbone": {**vit, "pretrained": "file.pth"}}, SIZE, lambda changed: None) is None


def test_an_error_that_is_not_of_the_size_stays_as_it_is():
    encoder = build(dict(type="mmpretrain.ResNet", depth=18))
    statistics = copy.deepcopy(encoder.state_dict())
    for images in (torch.randn(2, 3, 96, 96).double(), torch.randn(2, 1, 96, 96), torch.randn(3, 96, 96)):
        with pytest.raises((RuntimeError, ValueError)) as error:
            encoder(images)
        assert not isinstance(error.value, UserError)
    assert encoder.training and all(torch.equal(statistics[k], v) for k, v in encoder.state_dict().items())


def test_images_of_another_size_than_it_was_built_for():
    encoder = build(timm_model("vit_tiny_patch16_224", img_size=SIZE))
    with pytest.raises(UserError, match=r"of 48 x 48, .*Input height.*\nSet image_encoder.input_size.* 48,"):
        encoder(torch.randn(1, 3, 48, 48))
    assert build(dict(type="mmpretrain.ResNet", depth=18))(torch.randn(2, 3, 48, 48)).tokens.shape == (2, 4, 512)


@pytest.mark.parametrize("name", ["resnet18", "vit_tiny_patch16_224"])
def test_stages_of_timm_start_from_a_file(name, tmp_path):
    size = dict(img_size=SIZE) if "vit" in name else {}
    library = timm.create_model(name, **size)
    torch.save(library.state_dict(), tmp_path / "weights.pth")
    backbone = timm_model(name, features_only=True, checkpoint_path=str(tmp_path / "weights.pth"), **STAGES, **size)
    found = dict(build(backbone).backbone.timm_model.named_parameters())
    assert found
    for key, parameter in found.items():
        assert torch.equal(parameter, library.get_parameter(key.removeprefix("model."))), key
    torch.save({"x": torch.ones(1)}, tmp_path / "weights.pth")
    with pytest.raises(UserError, match=re.escape("checkpoint_path") + ".*cannot be read"):
        build(backbone)
