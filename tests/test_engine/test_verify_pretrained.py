"""A checkpoint that a config names fills its module whole, whichever way the class reads it, or ends the run."""

import logging
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope

from mgca_mm.engine import VerifyPretrainedHook, install
from mgca_mm.errors import UserError

VIT = dict(
    type="mmseg.VisionTransformer", img_size=32, patch_size=16, embed_dims=24, num_layers=2, num_heads=2, out_indices=-1
)
SWIN = dict(embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1, 1, 1, 1), window_size=2, pretrain_img_size=32)
PVT = dict(embed_dims=8, num_layers=(1, 1, 1, 1), num_heads=(1, 1, 1, 1))
READ_THEMSELVES = {
    "vit": VIT,
    "swin": dict(type="mmseg.SwinTransformer", **SWIN),
    "swin of mmdet": dict(type="mmdet.SwinTransformer", **SWIN),
    "pvt": dict(type="mmdet.PyramidVisionTransformer", **PVT),
    "mit": dict(type="mmseg.MixVisionTransformer", embed_dims=8, num_layers=[1] * 4, num_heads=[1] * 4),
    "resnet": dict(type="mmdet.ResNet", depth=18),
}


@pytest.fixture(autouse=True)
def installed():
    install()


def build(cfg, **init_cfg):
    scope = cfg["type"].split(".")[0]
    __import__(f"{scope}.utils", fromlist=["register_all_modules"]).register_all_modules(init_default_scope=False)
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(ConfigDict(cfg, init_cfg=dict(type="Pretrained", **init_cfg) if init_cfg else None))


def start(backbone):
    """What a runner does before the first iteration."""
    model = torch.nn.Module()
    model.backbone = backbone
    runner, hook = SimpleNamespace(model=model, logger=logging.getLogger("mmengine")), VerifyPretrainedHook()
    hook.before_run(runner)
    scope = type(backbone).__module__.split(".")[0]
    with DefaultScope.overwrite_default_scope(scope):
        backbone.init_weights()
    hook.before_train(runner)


@pytest.mark.parametrize("cfg", READ_THEMSELVES.values(), ids=READ_THEMSELVES)
def test_names_of_a_pretraining_are_read_whole_or_refused(tmp_path, cfg):
    weights = build(cfg).state_dict()
    torch.save({f"image_encoder.backbone.{name}": value for name, value in weights.items()}, tmp_path / "ours.pth")
    backbone = build(cfg, checkpoint=str(tmp_path / "ours.pth"), prefix="image_encoder.backbone.")
    try:
        start(backbone)
    except UserError as error:
        assert "backbone" in str(error) and f"of {len(weights)} tensors" in str(error)
    except IndexError:  # of mmdet's Swin, where no name begins as it expects; our runner names the config's key
        assert cfg["type"] == "mmdet.SwinTransformer"
    else:
        assert all(torch.equal(value, weights[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("cfg", READ_THEMSELVES.values(), ids=READ_THEMSELVES)
def test_its_own_names_are_taken(tmp_path, cfg):
    prefix = "backbone." if cfg["type"] == "mmdet.SwinTransformer" else ""
    torch.save({prefix + name: value for name, value in build(cfg).state_dict().items()}, tmp_path / "own.pth")
    start(build(cfg, checkpoint=str(tmp_path / "own.pth")))
