"""Faulty configs: an error that names the key, before a model is built."""

import copy
import random
import runpy
import sys

import pytest
import torch
from mmengine.config import Config

from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.engine.launch import configure_run
from mgca_mm.engine.validation import validate
from mgca_mm.errors import UserError
from tests.conftest import ROOT

from .config_faults import spoil
from .conftest import cases

install()

CONFIGS = [path for path in sorted((ROOT / "configs").rglob("*.py")) if "_base_" not in path.parts]
QUICKSTART = str(ROOT / "configs/quickstart/pretrain_resnet18.py")


@pytest.fixture(scope="module")
def configs():
    return {path: Config.fromfile(path) for path in CONFIGS}


def test_every_config_is_valid(configs):
    for path, cfg in configs.items():
        try:
            validate(cfg)
        except UserError as error:
            raise AssertionError(f"{path}: {error}") from error


STOCK = {
    "mmdet": (
        "yolo/yolov3_d53_8xb8-320-273e_coco",
        "faster_rcnn/faster-rcnn_r50_fpn_1x_coco",
        "detr/detr_r50_8xb2-150e_coco",
    ),
    "mmpretrain": (
        "resnet/resnet50_8xb32_in1k",
        "vision_transformer/vit-base-p16_32xb128-mae_in1k",
        "swav/swav_resnet50_8xb32-mcrop-coslr-200e_in1k-224px-96px",
    ),
    "mmseg": (
        "unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024",
        "segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512",
    ),
}


@pytest.mark.parametrize(("library", "name"), [(library, name) for library in STOCK for name in STOCK[library]])
def test_stock_configs_are_valid(library, name):
    folder = pytest.importorskip(library).__path__[0]
    validate(Config.fromfile(f"{folder}/.mim/configs/{name}.py"))


@pytest.mark.parametrize("part", range(10))
def test_fuzz(part, configs, monkeypatch):
    """Each fault is found by :func:`validate`, and no model begins to be built."""
    for cfg in configs.values():
        validate(cfg)  # what libraries build when they are imported is built now
        break

    def build(*args, **kwargs):
        raise AssertionError("a model is built")

    monkeypatch.setattr(torch.nn.Module, "__init__", build)
    for number in range(cases(10, 200)):
        rng = random.Random(1000 * part + number)
        cfg = copy.deepcopy(configs[rng.choice(CONFIGS)])
        fault = spoil(cfg._cfg_dict, rng)
        try:
            validate(cfg)
        except UserError as error:
            assert len(str(error).splitlines()) <= 3
        else:
            raise AssertionError(f"{cfg.filename}: not found: {fault}")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"model.alignments.it.loss_weight": 0.5}, "no 'it'; did you mean 'ita'"),
        ({"model.alignments.ita.loss_wieght": 0.5}, "loss_wieght.*did you mean 'loss_weight'"),
        ({"train_dataloader.batchsize": 8}, "no 'batchsize'; did you mean 'batch_size'"),
        ({"train_dataloader.batch_size": "many"}, "batch_size' must be int"),
        ({"trian_cfg.max_epochs": 3}, "no 'trian_cfg'; did you mean 'train_cfg'"),
        ({"data_rot": "x"}, "no 'data_rot'; did you mean 'data_root'"),
        ({"default_hooks.loger.interval": 1}, "no 'loger'; did you mean 'logger'"),
        ({"optim_wrapper.optimizer.lr": 0}, "lr' must be a number above 0"),
        ({"model.alignments.ita.loss.reduction": "max"}, "must be 'mean' or 'sum'"),
        ({"model.text_encoder.config.hidden_sise": 64}, "hidden_sise.*did you mean 'hidden_size'"),
        ({"train_dataloader.dataset.pipeline.9.size": 64}, "the list has 5 entries"),
        ({"model.type": "ImageReportPretrainr"}, "did you mean 'ImageReportPretrainer'"),
        ({"default_scope": "mmfoo"}, "'mmfoo' is not installed"),
        ({"default_scope": "../x"}, "'../x' is not installed"),
        ({"default_hooks.checkpoint.interval": 0}, "interval' must be a number of at least 1"),
        ({"default_hooks.checkpoint.rule": "lower"}, "rule' must be 'greater' or 'less'"),
        ({"default_hooks.non_finite.max_in_a_row": 0}, "max_in_a_row' must be a number of at least 1"),
        ({"default_hooks.timer.priority": 5000}, "priority' must be a number of 0 to 100 or one of HIGHEST"),
        ({"custom_hooks.0.priority": "HIGHEST_"}, "priority' must be a number of 0 to 100 or one of HIGHEST"),
        ({"train_dataloader.prefetch_factor": 0}, "prefetch_factor' must be a number of at least 1"),
        ({"train_dataloader.dataset.pipeline.0.channels": 2}, "channels' must be 1 or 3"),
        ({"optim_wrapper.optimizer.lr": "1e-4"}, "lr' must be float"),
        ({"optim_wrapper.optimizer.betas": [0.9]}, "betas' must be"),
        ({"optim_wrapper.optimizer.betas": [0.9, 1.5]}, "betas' must be a number of at least 0 and below 1"),
        ({"optim_wrapper.clip_grad": dict(max_norms=1)}, "max_norms.*did you mean 'max_norm'"),
        ({"optim_wrapper.clip_grad": dict(max_norm=-1)}, "max_norm' must be a number above 0"),
        ({"optim_wrapper.accumulative_counts": 0}, "accumulative_counts' must be a number of at least 1"),
        ({"optim_wrapper.constructor": "Nope"}, "'Nope' is not registered"),
        ({"optim_wrapper.paramwise_cfg": dict(norm_decay_multt=0)}, "did you mean 'norm_decay_mult'"),
        ({"randomness.sead": 1}, "sead'.*did you mean 'seed'"),
        ({"randomness.seed": "x"}, "seed' must be int"),
        ({"randomness.deterministic": "yes"}, "deterministic' must be bool"),
        ({"env_cfg.cudnn_benchmarkk": True}, "did you mean 'cudnn_benchmark'"),
        ({"env_cfg.float32_matmul_precision": "tf32"}, "must be highest or high or medium"),
        ({"env_cfg.mp_cfg.mp_start_method": "frok"}, "must be fork or spawn"),
        ({"env_cfg.dist_cfg.backend": "ncl"}, "backend' must be .*nccl"),
        ({"log_level": "INFOO"}, "log_level' must be CRITICAL or"),
        ({"log_processor.window_size": "x"}, "window_size' must be a number of at least 1"),
        ({"model.text_encoder.config.hidden_size": 33}, "hidden_size' must be a multiple of num_attention_heads"),
        ({"model.text_encoder.config.hidden_dropout_prob": 2.0}, "must be a number of at least 0 and below 1"),
        ({"model.text_encoder.num_summed_layers": 99}, "num_summed_layers' must be at most the number of layers"),
        ({"val_evaluator": None}, "'val_dataloader' needs 'val_evaluator', too"),
        ({"visualizer.vis_backends": 5}, "vis_backends' must be a config, got 5"),
        ({"auto_scale_lr.base_batch_size": 0}, "base_batch_size' must be a number of at least 1"),
    ],
)
def test_options(option, words, prepared):
    with pytest.raises(UserError, match=words):
        configure_run(QUICKSTART, {"data_root": str(prepared / "data"), **option})


def test_options_that_add_something_are_taken(prepared):
    options = {
        "train_dataloader.prefetch_factor": 4,
        "model.image_encoder.backbone.frozen_stages": 1,
        "optim_wrapper.accumulative_counts": 2,
        "load_from": "file.pth",
        "randomness.deterministic": True,
    }
    cfg = configure_run(QUICKSTART, {"data_root": str(prepared / "data"), **options})
    assert cfg.train_dataloader.prefetch_factor == 4 and cfg.load_from == "file.pth"


def test_a_config_that_is_no_python(tmp_path):
    (tmp_path / "c.py").write_text("model = dict(\n")
    with pytest.raises(UserError, match=r"c\.py' cannot be read: SyntaxError"):
        load_config(str(tmp_path / "c.py"))


def test_the_command_line(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", QUICKSTART, "--cfg-options", "model.alignments.cpa.num_prototypes=1"])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(ROOT / "tools/train.py"), run_name="__main__")
    message = capsys.readouterr().err
    assert exit_.value.code == 2 and "num_prototypes' must be a number of at least 2, got 1" in message
