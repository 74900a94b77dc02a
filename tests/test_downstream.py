"""Every downstream config trains a step and evaluates; frozen encoders stay; stock models take the encoder."""

import json
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.engine.hooks.cached_features import CachedFeaturesHook
from mgca_mm.errors import UserError
from mgca_mm.models import ImageEncoder
from tests.conftest import ROOT

install()

CONFIGS = sorted((ROOT / "configs/downstream").glob("*/*.py"))
SMALL = [
    path
    for task in ("classification", "detection", "segmentation")
    for path in sorted((ROOT / "configs/quickstart").glob(f"{task}_*.py"))
]
SCORES = {"classification": "cls/", "detection": "det/mAP", "segmentation": "seg/dice"}


def name(path):
    return str(path.relative_to(ROOT / "configs"))


def configure(path, labeled, tmp_path, **options):
    """A config of the tree, cut down to one step on two images without workers."""
    options = {"data_root": str(labeled(path)), "image_init": "random", **options}
    cfg = load_config(str(path), options)
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=2, num_workers=0, persistent_workers=False)
    return cfg


def task_of(path):
    return path.stem.split("_")[0] if path.parent.name == "quickstart" else path.parent.name


def backbone_of(model):
    """The encoder that was pretrained."""
    return getattr(model.backbone, "vit", model.backbone)


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_leaf_configs_are_short(path):
    assert len([line for line in path.read_text().splitlines() if line.strip()]) < 60


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """Pretraining checkpoints of both encoders with weights and statistics unlike any initialization."""
    folder = tmp_path_factory.mktemp("checkpoints")
    backbones = {
        "resnet50": dict(type="mmpretrain.ResNet", depth=50, out_indices=(2, 3)),
        "resnet18": dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3)),
        "vit": dict(type="mmpretrain.VisionTransformer", arch="deit-base", img_size=224, patch_size=16, out_type="raw"),
    }
    for encoder, backbone in backbones.items():
        init_default_scope("mgca_mm")
        generator = torch.Generator().manual_seed(0)
        state_dict = ImageEncoder(backbone, input_size=224).state_dict()
        for value in state_dict.values():
            if value.is_floating_point():
                value += 1e-3 * torch.rand(value.shape, generator=generator)
        content = {f"image_encoder.{key}": value for key, value in state_dict.items()} | {
            "text_encoder.x": torch.ones(1)
        }
        torch.save({"state_dict": content}, folder / f"{encoder}.pth")
    return folder


def encoder_weights(path):
    content = torch.load(path, weights_only=True)["state_dict"]
    prefix = "image_encoder.backbone."
    return {key[len(prefix) :]: value for key, value in content.items() if key.startswith(prefix)}


def one_step_cases():
    """Those of the quickstart, and of full size one of each encoder; by ``-m slow`` two of a data set, all of RSNA.

    All are trained, made smaller, in ``test_recipes.py``.
    """
    of_full_size = ("covidx_vit", "object_cxr_resnet50")
    for path in (*CONFIGS, *SMALL):
        if path in SMALL or path.stem in of_full_size:
            yield path
        elif path.stem.startswith("rsna_") or path.stem.endswith(("_vit", "_resnet50_finetune")):
            yield pytest.param(path, marks=[pytest.mark.slow])


@pytest.mark.parametrize("path", one_step_cases(), ids=name)
def test_one_step(path, labeled, tmp_path, checkpoints):
    """Trains, validates and tests; a frozen encoder is the checkpoint's in the end, bit for bit, statistics too."""
    encoder = "resnet18" if path in SMALL else next(e for e in ("vit", "resnet50") if f"_{e}" in path.stem)
    file = checkpoints / f"{encoder}.pth"
    runner = Runner.from_cfg(configure(path, labeled, tmp_path, image_init=str(file)))
    runner.train()
    found = backbone_of(runner.model).state_dict()
    expected = encoder_weights(file)
    assert set(found) == set(expected)
    changed = [
        key
        for key, value in expected.items()
        if not torch.equal(found[key], value) and not key.endswith("num_batches_tracked")
    ]
    if path.stem.endswith("_finetune"):
        assert any(key.endswith("weight") for key in changed)
    else:
        assert changed == []
    moments = [state["exp_avg"] for state in runner.optim_wrapper.optimizer.state.values()]
    assert any(moment.abs().sum() > 0 for moment in moments)
    scalars = runner.message_hub.log_scalars
    assert math.isfinite(scalars["train/loss"].current())
    assert any(key.startswith(f"val/{SCORES[task_of(path)]}") for key in scalars), list(scalars)
    assert any(key.startswith(SCORES[task_of(path)]) for key in runner.test())


STOCK = {
    "mmdet::yolo/yolov3_d53_8xb8-ms-416-273e_coco.py": (
        (1, 2, 3),
        dict(neck=dict(in_channels=[2048, 1024, 512])),
    ),
    "mmseg::_base_/models/fcn_r50-d8.py": ((0, 1, 2, 3), {}),
    "mmseg::_base_/models/pspnet_r50-d8.py": ((0, 1, 2, 3), {}),
}


@pytest.mark.parametrize("stock", STOCK)
def test_stock_models_take_the_encoder_by_one_line(stock, checkpoints):
    out_indices, other = STOCK[stock]
    cfg = Config(dict(model=Config.fromfile(_path_of(stock)).model))
    cfg.merge_from_dict(dict(model=other))
    file = checkpoints / "resnet50.pth"
    cfg.model.backbone = dict(
        type="mmpretrain.ResNet",
        depth=50,
        out_indices=out_indices,
        init_cfg=dict(type="Pretrained", checkpoint=str(file), prefix="image_encoder.backbone."),
    )
    scope = stock.partition("::")[0]
    cfg.model.pop("pretrained", None)
    if scope == "mmseg":  # SyncBN asks for a GPU, and the sliding window of a data set is not at hand
        for head in ("decode_head", "auxiliary_head"):
            cfg.model[head].norm_cfg = dict(type="BN")
    init_default_scope(scope)
    model = ROOT_MODELS.build({**cfg.model, "type": f"{scope}.{cfg.model.type}"})
    model.init_weights()
    found = model.backbone.state_dict()
    for key, value in encoder_weights(file).items():
        assert torch.equal(found[key], value) or key.endswith("num_batches_tracked"), key
    outputs = model.eval()(torch.zeros(1, 3, 64, 64), mode="tensor")
    assert outputs is not None
    init_default_scope("mgca_mm")


def _path_of(stock):
    """File of a stock config; ``mmseg::`` paths need the shim of compat.py only inside ``_base_``."""
    import importlib.util
    from pathlib import Path

    package, _, relative = stock.partition("::")
    return Path(importlib.util.find_spec(package).origin).parent / ".mim" / "configs" / relative


@pytest.mark.parametrize("encoder", ["resnet50", "vit"])
def test_a_checkpoint_of_another_encoder_is_an_error(encoder, labeled, tmp_path, checkpoints):
    other = {"resnet50": "vit", "vit": "resnet50"}[encoder]
    path = ROOT / f"configs/downstream/classification/rsna_{encoder}.py"
    runner = Runner.from_cfg(configure(path, labeled, tmp_path, image_init=str(checkpoints / f"{other}.pth")))
    with pytest.raises(UserError, match=r"only in part; \d+ missing|another architecture"):
        runner.train()


def test_cached_features_give_the_result_of_the_loop(labeled, tmp_path):
    """Bit for bit: the same order, the same start, and features encoded in other batches."""
    path = ROOT / "configs/quickstart/classification_covidx.py"

    def train(folder, cache):
        cfg = configure(path, labeled, tmp_path / folder, **{"custom_hooks.0.folder": cache})
        cfg.train_cfg.max_iters = 12
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner.model.state_dict(), runner.test()

    loop, loop_scores = train("loop", None)
    cached, cached_scores = train("cached", str(tmp_path / "features"))
    again, _ = train("again", str(tmp_path / "features"))
    files = list((tmp_path / "features").iterdir())
    assert len(files) == 2  # training and validation, encoded once
    for file in files:  # a cache that is damaged is made again
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    rewritten, _ = train("rewritten", str(tmp_path / "features"))
    assert all(torch.equal(cached[key], value) for key, value in rewritten.items())
    for key, value in loop.items():
        torch.testing.assert_close(cached[key], value, rtol=1e-4, atol=1e-6)
        assert torch.equal(cached[key], again[key]), key
    assert cached_scores == pytest.approx(loop_scores, abs=1e-4)


def test_a_cache_is_of_one_recipe(labeled, tmp_path, checkpoints):
    """Another normalization or size of the input are other features; the same weights in another file are not."""
    path = ROOT / "configs/quickstart/classification_covidx.py"
    copied = tmp_path / "copied.pth"
    copied.write_bytes((checkpoints / "resnet18.pth").read_bytes())
    for count, change in enumerate(
        ({}, {"model.data_preprocessor.std": [64.0] * 3}, {"model.resize_to": 128}, {"image_init": str(copied)})
    ):
        options = {"image_init": str(checkpoints / "resnet18.pth"), **change}
        runner = Runner.from_cfg(configure(path, labeled, tmp_path / str(count), **options))
        runner.model.init_weights()
        CachedFeaturesHook(str(tmp_path / "features")).before_train(runner)
        # Training and validation images, encoded by all runs but the last.
        assert len(list((tmp_path / "features").iterdir())) == (2, 4, 6, 6)[count], change


def test_features_of_a_trained_encoder_are_not_cached(labeled, tmp_path):
    path = ROOT / "configs/downstream/classification/rsna_resnet50_finetune.py"
    cfg = configure(path, labeled, tmp_path, **{"custom_hooks.0.folder": str(tmp_path / "features")})
    with pytest.raises(UserError, match="frozen backbone only"):
        Runner.from_cfg(cfg).train()


def test_paper_numbers():
    """docs/protocol.md#classification, #detection and #segmentation."""
    for path in CONFIGS:
        # The best checkpoint of the pretraining (docs/protocol.md#optimization), whose number no config can know.
        assert Config.fromfile(path).image_init == f"work_dirs/pretrain_{'vit' if '_vit' in path.stem else 'resnet50'}"
        if path.stem.endswith("_finetune"):
            continue
        cfg = Config.fromfile(path)
        optimizer = cfg.optim_wrapper.optimizer
        assert (optimizer.type, optimizer.lr) == ("AdamW", 5e-4)
        assert optimizer.weight_decay == (0.05 if path.parent.name == "segmentation" else 1e-6)
        assert cfg.param_scheduler == [] and cfg.train_cfg.max_epochs == 50
        (stop,) = [hook for hook in cfg.custom_hooks if hook.type == "EarlyStoppingHook"]
        assert stop.patience == 10 and stop.monitor == cfg.default_hooks.checkpoint.save_best
        batch = {"classification": 48, "detection": 16}.get(path.parent.name, 8 if "siim" in path.stem else 16)
        assert cfg.train_dataloader.batch_size == batch
    chexpert = Config.fromfile(ROOT / "configs/downstream/classification/chexpert_vit.py")
    assert chexpert.uncertain == dict(
        zip(("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion"), (1, 0, 0, 1, 1), strict=True)
    )
    yolo = Config.fromfile(ROOT / "configs/downstream/detection/rsna_resnet50.py").model.bbox_head
    assert yolo.anchor_generator.base_sizes[0][0] == pytest.approx((116 * 224 / 416, 90 * 224 / 416))


def test_subset_lists_are_read(labeled, tmp_path):
    path = ROOT / "configs/downstream/detection/rsna_resnet50.py"
    folder = labeled(path)
    options = {"train_dataloader.dataset.ann_file": "detection/subsets/train_10pct_seed42.json"}
    cfg = configure(path, labeled, tmp_path, **options)
    dataset = Runner.from_cfg(cfg).build_dataloader(cfg.train_dataloader).dataset
    listed = (folder / "detection/subsets/train_10pct_seed42.txt").read_text().splitlines()
    rows = json.loads((folder / "train.json").read_text())["data_list"]
    assert len(dataset) == len(listed) > 0
    names = [dataset.get_data_info(index)["img_path"].rpartition("/")[2] for index in range(len(dataset))]
    assert names == [f"{image_id}.png" for image_id in listed]
    assert len(rows) > len(listed)
