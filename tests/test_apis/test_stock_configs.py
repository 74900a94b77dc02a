"""Stock configs with the encoder of a checkpoint in the place of their backbone."""

import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mgca_mm.apis import swap_backbone
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.conftest import ROOT

VIT = dict(
    type="mmpretrain.VisionTransformer",
    arch=dict(embed_dims=64, num_layers=2, num_heads=1, feedforward_channels=128),
    img_size=64,
)
OWN_NORMALIZATION = dict(mean=[10.0, 20.0, 30.0], std=[1.0, 2.0, 3.0])


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoints")
    for name, cfg in {"resnet": dict(type="mmpretrain.ResNet", depth=18), "vit": VIT}.items():
        weights = {f"image_encoder.backbone.{key}": value for key, value in MODELS.build(cfg).state_dict().items()}
        meta = dict(data_preprocessor=OWN_NORMALIZATION) if name == "vit" else {}
        torch.save({"state_dict": weights, "meta": meta}, folder / f"{name}.pth")
    return folder


@pytest.fixture
def swap(checkpoints):
    return lambda config, encoder="resnet", **settings: swap_backbone(
        config, checkpoints / f"{encoder}.pth", **settings
    )


def channels(part):
    return list(part.in_channels) if isinstance(part.in_channels, list | tuple) else part.in_channels


def test_a_detector_with_a_neck(swap, checkpoints):
    cfg = swap("mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco", frozen=True)
    file = str(checkpoints / "resnet.pth")
    backbone = dict(type="mgca_mm.PretrainedBackbone", checkpoint=file, frozen=True, strides=[8, 16, 32])
    assert cfg.model.backbone == backbone
    assert channels(cfg.model.neck) == [512, 256, 128]  # YOLO's neck begins at the coarsest
    assert cfg.model.data_preprocessor.mean == cfg.model.data_preprocessor.std == [127.5] * 3
    assert cfg.custom_imports["imports"] == ["mgca_mm"]
    vit = swap("mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py", "vit")
    assert channels(vit.model.neck) == [256] * 3 and not vit.model.backbone.frozen
    assert {name: vit.model.data_preprocessor[name] for name in ("mean", "std")} == OWN_NORMALIZATION


def test_a_segmentor_whose_heads_choose_maps(swap):
    cfg = swap("mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb4-20k_voc12aug-512x512")
    assert cfg.model.backbone.strides == [4, 8, 8, 8] and cfg.model.pretrained is None
    assert (cfg.model.decode_head.in_channels, cfg.model.decode_head.c1_in_channels) == (512, 64)
    assert cfg.model.auxiliary_head.in_channels == 256
    assert cfg.data_preprocessor.mean == cfg.model.data_preprocessor.mean == [127.5] * 3


def test_a_pyramid_of_a_transformer_is_replaced_with_its_neck(swap):
    """Its maps are all of one stride, which a ResNet has not."""
    for encoder, maps in {"resnet": [64, 128, 256, 512], "vit": [256] * 4}.items():
        cfg = swap("mmseg::vit/vit_vit-b16_mln_upernet_8xb2-80k_ade20k-512x512", encoder)
        assert cfg.model.backbone.strides == [4, 8, 16, 32] and cfg.model.neck is None
        assert channels(cfg.model.decode_head) == maps


def test_a_unet(swap):
    for name, num_classes in (("4xb4-40k_drive-64x64", 2), ("4xb4-160k_cityscapes-512x1024", 19)):
        cfg = swap(f"mmseg::unet/unet-s5-d16_fcn_{name}")
        head = dict(type="mgca_mm.UNetHead", in_channels=(64, 64, 128, 256, 512), num_classes=num_classes)
        assert cfg.model.decode_head == head and cfg.model.auxiliary_head is None


def test_classifiers_pool_what_they_are_given(swap):
    cfg = swap("mmpretrain::vision_transformer/vit-base-p16_64xb64_in1k")
    assert cfg.model.neck.type == "mmpretrain.GlobalAveragePooling" and cfg.model.head.in_channels == 512
    cfg = swap("mmpretrain::resnet/resnet50_8xb32_in1k", "vit")
    assert cfg.model.neck is None and cfg.model.head.in_channels == 64
    cfg = swap("mmpretrain::vgg/vgg16bn_8xb32_in1k", "vit")  # a whole network in mmpretrain
    assert (cfg.model.head.type, cfg.model.head.num_classes) == ("LinearClsHead", 1000)
    cfg = swap("mmpretrain::csra/resnet101-csra_1xb16_voc07-448px", "vit")  # its head takes a map
    assert cfg.model.backbone.strides == [32] and cfg.model.head.in_channels == 256


def test_decay_by_layers_is_for_the_encoder_or_gone(swap):
    name = "mmpretrain::mae/benchmarks/vit-base-p16_8xb128-coslr-100e_in1k"
    assert swap(name, "vit").optim_wrapper.constructor == "LearningRateDecayOptimWrapperConstructor"
    wrapper = swap(name).optim_wrapper
    assert "constructor" not in wrapper and "layer_decay_rate" not in wrapper.paramwise_cfg


def test_what_a_config_has_of_its_own_stays(swap, tmp_path):
    (tmp_path / "own.py").write_text(
        "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'\n"
        "custom_imports = dict(imports=['json'], allow_failed_imports=False)\n"
        "load_from = 'weights_of_the_former_backbone.pth'\nmodel = dict(bbox_head=dict(num_classes=1))\n"
    )
    cfg = swap(tmp_path / "own.py")
    assert cfg.custom_imports == dict(imports=["json", "mgca_mm"], allow_failed_imports=False)
    assert cfg.load_from is None and cfg.model.bbox_head.num_classes == 1


@pytest.mark.parametrize(
    "config",
    [
        "mmdet::sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco",  # asks for boxes
        "mmdet::fast_rcnn/fast-rcnn_r50_fpn_1x_coco",  # makes no proposals
        "mmseg::fastfcn/fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024",  # asks for a tuple
        "mmseg::icnet/icnet_r50-d8_4xb2-80k_cityscapes-832x832",  # loses pixels at the border
        "mmpretrain::mocov2/mocov2_resnet50_8xb32-coslr-200e_in1k",  # predicts nothing
    ],
)
def test_odd_ones(swap, config):
    assert swap(config).model.backbone.type == "mgca_mm.PretrainedBackbone"


def test_a_backbone_for_larger_images(swap, tmp_path):
    windows = "img_size=384, stage_cfgs=dict(block_cfgs=dict(window_size=12))"  # more than the last map of 224 has
    base = "mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py"
    (tmp_path / "own.py").write_text(f"_base_ = '{base}'\nmodel = dict(backbone=dict({windows}))\n")
    assert swap(tmp_path / "own.py").model.head.in_channels == 512


def test_swapping_again(swap, tmp_path):
    (tmp_path / "first.py").write_text(swap("mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco").pretty_text)
    cfg = swap(tmp_path / "first.py", "vit")
    assert cfg.custom_imports["imports"] == ["mgca_mm"] and channels(cfg.model.neck) == [256] * 3
    assert cfg.find_unused_parameters  # levels of a pyramid that a neck leaves out


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("mmdet::retinanet/retinanet_r50_fpn_1x_cocoo", "did you mean 'retinanet_r50_fpn_1x_coco'"),
        ("mmdet::retinanet_r50", "cannot be read"),
        ("nothing::x/y", "cannot be read"),
        ("absent.py", "cannot be read"),
        ("mmdet::ssd/ssd300_coco", "ssd_neck.py, line"),  # whose neck wants the channels of a VGG
        ("mmseg::psanet/psanet_r50-d8_4xb4-20k_voc12aug-512x512", "needs mmcv.s compiled operators"),
        ("mmdet::dyhead/atss_r50_fpn_dyhead_1x_coco", "offsets of another size is not available"),
        ("mmpretrain::arcface/resnet50-arcface_8xb32_inshop", "no model.backbone"),
        ("mmseg::dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512", "gives more than one map a level"),
        ("mmseg::swin/swin-tiny-patch4-window7_upernet_1xb8-20k_levir-256x256", "6 channels"),
    ],
)
def test_what_cannot_be_swapped(swap, config, message):
    with pytest.raises(UserError, match=message):
        swap(config)


def test_command_line(checkpoints, tmp_path):
    command = [sys.executable, ROOT / "tools" / "swap_backbone.py", "mmdet::dino/dino-4scale_r50_8xb2-12e_coco"]
    command += [checkpoints / "resnet.pth", "--out"]
    done = subprocess.run([*command, tmp_path / "dino.py"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "120 of 120 tensors" in done.stdout and "mgca_mm.PretrainedBackbone" in done.stdout
    with DefaultScope.overwrite_default_scope("mmdet"):
        model = MODELS.build(Config.fromfile(tmp_path / "dino.py").model)
    assert model.backbone.out_channels == (128, 256, 512)
    done = subprocess.run([*command, tmp_path / "absent" / "dino.py"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr
