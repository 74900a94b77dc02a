"""Faulty configs: an error that names the key, of names and kinds before a model is built."""

import copy
import random

import pytest
import torch
from mmengine.config import Config

from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.engine.launch import configure_run
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.engine.validation import validate
from mgca_mm.errors import UserError
from tests.command_line import call
from tests.conftest import ROOT

from .config_faults import OUT_OF_RANGE, put, spoil
from .conftest import cases

install()

CONFIGS = [path for path in sorted((ROOT / "configs").rglob("*.py")) if "_base_" not in path.parts]
QUICKSTART = str(ROOT / "configs/quickstart/pretrain_resnet18.py")
BY_LAYER = {"optim_wrapper.constructor": "mmpretrain.LearningRateDecayOptimWrapperConstructor"}


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


@pytest.fixture(scope="module")
def quickstart(prepared):
    """The quickstart's config with some data."""
    return load_config(QUICKSTART, {"data_root": str(prepared / "data")})


@pytest.fixture
def read_once(quickstart, monkeypatch):
    """Reading the quickstart's config takes no time."""
    monkeypatch.setattr(Config, "fromfile", lambda *args, **kwargs: copy.deepcopy(quickstart))


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"model.alignments.it.loss_weight": 0.5}, "no 'it'; did you mean 'ita'"),
        ({"model.alignments.ita.loss_wieght": 0.5}, "loss_wieght.*did you mean 'loss_weight'"),
        ({"model.alignments.ita.loss": ["InfoNCELoss"]}, "loss' must be dict or None, got list"),
        ({"model.alignments.ita.loss": {"type": "nowhere.InfoNCELoss"}}, "ita.loss.type': 'nowhere.InfoNCELoss'"),
        ({"model.alignments.itta": {"loss_weight": 2}}, "no 'itta'; did you mean 'ita'"),
        ({"train_dataloader.batchsize": 8}, "no 'batchsize'; did you mean 'batch_size'"),
        ({"train_dataloader.batch_size": "many"}, "batch_size' must be int"),
        ({"train_dataloader.dataset.pipeline.1.sise": 9}, r"pipeline\.1\.sise'.*did you mean 'size'"),
        ({"train_dataloader.dataset.pipeline": {"type": "ResizeAndPad"}}, "do not fit.*list indices"),
        ({"trian_cfg.max_epochs": 3}, "no 'trian_cfg'; did you mean 'train_cfg'"),
        ({"data_rot": "x"}, "no 'data_rot'; did you mean 'data_root'"),
        ({"default_hooks.loger.interval": 1}, "(?s)no 'loger'; did you mean 'logger'.*default_hooks.loger.type=NAME"),
        ({"default_hooks.early_stopping.type": "EarlyStopingHook"}, "did you mean 'EarlyStoppingHook'"),
        ({"custom_hooks": {"type": "ThroughputHook"}}, "do not fit.*list indices"),
        ({"optim_wrapper": ["OptimWrapper"]}, "optim_wrapper' must be OptimWrapper or Dict or None, got list"),
        ({"optim_wrapper.optimizer.lr": 0}, "lr' must be above 0"),
        ({"param_scheduler": [dict(type="ExponentialLR", gamma=-0.9)]}, "gamma' must not be negative"),
        ({"param_scheduler.0.begin": -3}, "begin' must not be negative"),
        ({"model.alignments.ita.loss.reduction": "max"}, "must be 'mean' or 'sum'"),
        ({"train_dataloader.dataset.pipeline.9.size": 64}, "the list has 5 entries"),
        ({"model.type": "ImageReportPretrainr"}, "did you mean 'ImageReportPretrainer'"),
        ({"default_scope": "mmfoo"}, "'mmfoo' is not installed"),
        ({"default_scope": "../x"}, "'../x' is not installed"),
        ({"default_hooks.checkpoint.rule": "lower"}, "rule' must be 'greater' or 'less'"),
        ({"default_hooks.timer.priority": 5000}, "priority' must be a number of 0 to 100 or one of HIGHEST"),
        ({"custom_hooks.0.priority": "HIGHEST_"}, "priority' must be a number of 0 to 100 or one of HIGHEST"),
        ({"train_dataloader.prefetch_factor": 0}, "prefetch_factor' must be above 0"),
        ({"train_dataloader.dataset.pipeline.0.channels": 2}, "channels' must be 1 or 3"),
        ({"optim_wrapper.optimizer.lr": "1e-4"}, "lr' must be float"),
        ({"optim_wrapper.optimizer.betas": [0.9]}, "betas' must be"),
        ({"optim_wrapper.clip_grad": dict(max_norms=1)}, "max_norms.*did you mean 'max_norm'"),
        ({"optim_wrapper.clip_grad": dict(max_norm=-1)}, "max_norm' must be above 0"),
        ({"optim_wrapper.clip_grad": dict(type="value", clip_valu=1)}, "clip_valu'.*did you mean 'clip_value'"),
        ({"optim_wrapper.constructor": "Nope"}, "'Nope' is not registered"),
        ({"optim_wrapper.paramwise_cfg.layer_decay_rate": 0.7}, "LearningRateDecayOptimWrapperConstructor"),
        ({"optim_wrapper.paramwise_cfg": dict(norm_decay_multt=0)}, "did you mean 'norm_decay_mult'"),
        (BY_LAYER | {"optim_wrapper.paramwise_cfg": dict(layer_decay_rat=0.7)}, "did you mean 'layer_decay_rate'"),
        (BY_LAYER | {"optim_wrapper.paramwise_cfg": dict(num_layers=12)}, "num_layers' is no argument"),
        (BY_LAYER | {"optim_wrapper.optimizer.weight_decay": None}, "optimizer.weight_decay': .* needs it"),
        ({"param_scheduler.0.start_factor": 0}, "start_factor' must be above 0"),
        ({"param_scheduler.1.T_max": 0}, "T_max' must be above 0"),
        ({"randomness.sead": 1}, "sead'.*did you mean 'seed'"),
        ({"randomness.seed": "x"}, "seed' must be int"),
        ({"randomness.deterministic": "yes"}, "deterministic' must be bool"),
        ({"env_cfg.cudnn_benchmarkk": True}, "did you mean 'cudnn_benchmark'"),
        ({"env_cfg.float32_matmul_precision": "tf32"}, "must be 'highest' or 'high' or 'medium'"),
        ({"env_cfg.dist_cfg.backend": "ncl"}, "backend' must be .*nccl"),
        ({"log_processor.window_size": "x"}, "window_size' must be int"),
        ({"val_evaluator": None}, "'val_dataloader' needs 'val_evaluator', too"),
        ({"visualizer.vis_backends": 5}, "vis_backends' must be .*, got int 5"),
        ({"auto_scale_lr.base_batch_size": 0}, "base_batch_size' must be above 0"),
    ],
)
def test_options(option, words, read_once):
    with pytest.raises(UserError, match=words):
        configure_run(QUICKSTART, option)


@pytest.fixture
def train(quickstart, tmp_path):
    """Train an epoch with changes of the quickstart's config."""

    def run(change):
        cfg = copy.deepcopy(quickstart)
        cfg.work_dir, cfg.train_cfg.max_epochs = str(tmp_path), 1
        cfg.experiment_name = tmp_path.name  # else MMEngine takes another run's of the same second for this one
        for loader in (cfg.train_dataloader, cfg.val_dataloader):
            loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        change(cfg)
        validate(cfg)
        PrivateRunner.from_cfg(cfg).train()

    return run


NUMBERS = [(owner, key, number) for key, numbers, owners in OUT_OF_RANGE for owner in owners for number in numbers]
NUMBERS = [case for case in NUMBERS if case[0] != "test_dataloader"]  # which training does not build


@pytest.mark.parametrize("number", range(cases(9, len(NUMBERS))))
def test_numbers_out_of_range(number, train):
    """Whatever builds a part of the config refuses them, and the error says where."""
    owner, key, value = random.Random(0).sample(NUMBERS, len(NUMBERS))[number]
    with pytest.raises(UserError, match=r"^Config key '[\w.]+'") as refusal:
        train(lambda cfg: put(cfg._cfg_dict, owner, key, value))
    assert key in str(refusal.value), refusal.value


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"model.alignments.ita.loss.temperature": -1.0},
            r"'model\.alignments\.ita\.loss': temperature must be pos.*info_nce, line",
        ),
        ({"model.text_encoder.config.hidden_sise": 64}, "'model.text_encoder'.*hidden_sise.*mean 'hidden_size'"),
        ({"model.text_encoder.config.model_type": "brt"}, "'model.text_encoder'.*no model 'brt'; did you mean 'b"),
        (
            {"model.text_encoder.config.hidden_size": 33},
            "'model.text_encoder'.*33.*multiple of the number",
        ),
        ({"model.text_encoder.config.hidden_size": "x"}, "'model.text_encoder'.*must be tuple of ints"),
        ({"model.text_encoder.config.hidden_size": -2}, "'model.text_encoder'.*negative dimension"),
        ({"model.text_encoder.config.hidden_dropout_prob": 2.0}, "'model.text_encoder'.*dropout probability"),
        ({"model.text_encoder.num_summed_layers": 99}, "'model.text_encoder'.*num_summed_layers must be 1 to 2"),
        ({"model.alignments": {"_delete_": True}}, "'model'.*alignments is empty"),
        ({"default_hooks.checkpoint.interval": 0}, "'default_hooks.checkpoint': interval must be at least 1, or -1"),
        ({"default_hooks.non_finite.max_in_a_row": 0}, "'default_hooks.non_finite': max_in_a_row must be at least 1"),
        ({"default_hooks.logger.interval": -3}, "'default_hooks.logger': interval must be greater than 0"),
        ({"optim_wrapper.optimizer.betas": [0.9, 1.5]}, r"'optim_wrapper\.optimizer': Invalid beta.*1\.5"),
        ({"optim_wrapper.accumulative_counts": 0}, "'optim_wrapper.*accumulative_counts at least greater"),
        ({"param_scheduler.0.end": -1}, r"'param_scheduler\.0': end should be larger than begin"),
        ({"train_dataloader.timeout": -1}, "'train_dataloader': timeout option should be non-negative"),
        ({"train_cfg.val_interval": 0}, "'train_cfg': val_interval must be positive"),
        ({"env_cfg.mp_cfg.mp_start_method": "frok"}, "'env_cfg.mp_cfg': cannot find context for 'frok'"),
        ({"randomness.seed": -1}, "'randomness': Seed must be between 0"),
        ({"log_level": "INFOO"}, "'log_level'.*INFOO"),
        ({"log_processor.window_size": 0}, "'log_processor': window_size must be positive"),
        (
            {"train_dataloader.dataset.pipeline.1.size": -2},
            r"'train_dataloader\.dataset\.pipeline\.1': size must",
        ),
        ({"val_dataloader.sampler.type": "InfiniteSampler", "val_dataloader.sampler.seed": "x"}, "seed' must be int"),
    ],
)
def test_what_constructors_refuse(options, words, train):
    with pytest.raises(UserError, match=f"(?s){words}") as refusal:
        train(lambda cfg: cfg.merge_from_dict(options))
    assert len(str(refusal.value).splitlines()) <= 3


def test_what_goes_wrong_while_training_stays_as_it_is(train):
    """An error that no constructor has raised keeps its kind and its traceback."""

    def spoil(cfg):
        cfg.custom_hooks = [dict(type="tests.test_faults.faults.Raise")]

    with pytest.raises(ValueError, match="raised by the test"):
        train(spoil)


def test_options_that_add_something_are_taken(read_once):
    options = {
        "train_dataloader.prefetch_factor": 4,
        "model.image_encoder.backbone.frozen_stages": 1,
        "optim_wrapper.accumulative_counts": 2,
        "load_from": "file.pth",
        "randomness.deterministic": True,
        "default_hooks.checkpoint.interval": -1,  # MMEngine's "never"
        "env_cfg.mp_cfg": None,
        "env_cfg.dist_cfg.timeout": 1800.0,
        "env_cfg.dist_cfg.device_id": 0,
        "optim_wrapper.type": "AmpOptimWrapper",
        "optim_wrapper.loss_scale": 512.0,  # for MMEngine's hint a text
        "default_hooks.early_stopping.monitor": "loss",
        "default_hooks.early_stopping.type": "EarlyStoppingHook",
        "optim_wrapper.constructor": "mmpretrain.LearningRateDecayOptimWrapperConstructor",
        "optim_wrapper.paramwise_cfg": dict(layer_decay_rate=0.65),
    }
    cfg = configure_run(QUICKSTART, options)
    assert cfg.train_dataloader.prefetch_factor == 4 and cfg.load_from == "file.pth"
    assert cfg.default_hooks.early_stopping == dict(type="EarlyStoppingHook", monitor="loss")


def test_a_constructor_is_looked_up_where_the_run_is(tmp_path):
    """And not in the scope that ``_base_`` writes into what it hands down."""
    text = "_base_ = 'mgca_mm::downstream/{}'\noptim_wrapper = dict(constructor={!r}, paramwise_cfg=dict({}))\n"
    for base, constructor, paramwise in (
        ("classification/rsna_resnet50.py", "LearningRateDecayOptimWrapperConstructor", "layer_decay_rate=0.7"),
        ("segmentation/rsna_resnet50.py", "LearningRateDecayOptimizerConstructor", "decay_rate=0.7, num_layers=6"),
    ):
        (tmp_path / "c.py").write_text(text.format(base, constructor, paramwise))
        validate(load_config(str(tmp_path / "c.py")))


def test_a_delete_mark_that_deletes_nothing(quickstart):
    cfg = copy.deepcopy(quickstart)
    cfg._cfg_dict.model.alignments.ita["_delete_"] = True
    with pytest.raises(UserError, match=r"ita\._delete_' is no argument of InstanceAlignment"):
        validate(cfg)


def test_a_config_that_is_no_python(tmp_path):
    (tmp_path / "c.py").write_text("model = dict(\n")
    with pytest.raises(UserError, match=r"c\.py' cannot be read: SyntaxError"):
        load_config(str(tmp_path / "c.py"))


def test_the_command_line(prepared, tmp_path):
    options = [f"data_root={prepared / 'data'}", "model.alignments.cpa.num_prototypes=1"]
    done = call("train", QUICKSTART, "--work-dir", tmp_path, "--cfg-options", *options)
    assert done.returncode == 2
    assert "Config key 'model.alignments.cpa': num_prototypes must be at least 2, got 1" in done.stderr
