"""Every config builds, and one of each method trains a step, validates and writes a checkpoint by the runner."""

import json
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, DefaultScope
from mmengine.runner import Runner

from mgca_mm.engine.config import load_config
from mgca_mm.engine.launch import configure_run
from mgca_mm.engine.validation import validate
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.conftest import ROOT, small_batch

# Downstream configs have tests of their own.
PRETRAINING = ("pretrain", "released", "ablation")
CONFIGS = sorted(path for word in PRETRAINING for path in (ROOT / "configs").glob(f"*/{word}_*.py"))
METHODS = sorted({path.parent for path in CONFIGS if path.parent.name not in ("quickstart", "custom", "phantom")})


def name(path):
    return str(path.relative_to(ROOT / "configs"))


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_leaf_configs_are_short(path):
    lines = [line for line in path.read_text().splitlines() if line.strip()]
    limit = 75 if path.parent.name == "quickstart" else 60
    assert len(lines) < limit, "a leaf config overrides and does not repeat"


def one_step_cases():
    """Those of the quickstart, and of full size one of each encoder; by ``-m slow`` one of each method.

    All are trained, made smaller, in ``test_recipes.py``; ``null_gpu/test_steps.py`` has every model's own sizes.
    """
    of_full_size = ("mgca/pretrain_vit.py", "mgca/released_resnet50.py")
    for path in CONFIGS:
        if path.parent.name == "quickstart" or name(path) in of_full_size:
            yield path
        elif path == sorted(path.parent.glob("pretrain_*.py"))[0]:
            yield pytest.param(path, marks=[pytest.mark.slow])


@pytest.mark.parametrize("path", one_step_cases(), ids=name)
def test_one_step(path, prepared, tmp_path):
    options = dict(data_root=str(prepared / "data"), text_model=str(prepared / "text_model"))
    cfg = load_config(str(path), options)
    cfg.model.image_encoder.backbone.pop("init_cfg", None)  # no weights here
    if cfg.model.get("text_encoder") is not None:
        cfg.model.text_encoder.pop("num_hidden_layers", None)
    for alignment in cfg.model.get("alignments", {}).values():
        if "max_length" in alignment:
            alignment.max_length = 8  # untrained, it writes up to the longest length
    cfg.work_dir = str(tmp_path)
    cfg.train_cfg = dict(by_epoch=False, max_iters=1, val_interval=1)
    cfg.param_scheduler = None
    cfg.default_hooks.checkpoint.update(by_epoch=False, save_best=None, save_optimizer=False)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    runner = Runner.from_cfg(cfg)
    before = {k: v.clone() for k, v in runner.model.state_dict().items() if v.is_floating_point()}
    runner.train()
    after = runner.model.state_dict()
    unchanged = [k for k, v in before.items() if v.equal(after[k])]
    parts = ["image_encoder.backbone"]
    if cfg.model.get("text_encoder") is not None:
        parts += ["image_projector", "text_projector"]
        if cfg.model.text_encoder.get("frozen"):
            assert all(k in unchanged for k in before if k.startswith("text_encoder"))
        else:
            parts += ["text_encoder.model"]
    for part in parts:
        changed = [k for k in before if k.startswith(part) and k not in unchanged]
        assert changed, f"{part} did not move"
    assert list(tmp_path.glob("iter_1.pth"))
    scalars = runner.message_hub.log_scalars
    assert math.isfinite(scalars["train/loss"].current())
    retrieval = {"val/i2t_R@1", "val/t2i_R@10"} if cfg.model.get("text_encoder") is not None else set()
    assert {"val/loss"} | retrieval <= set(scalars)


@pytest.mark.parametrize("path", sorted((ROOT / "configs/quickstart").glob("pretrain_*.py")), ids=name)
def test_every_parameter_is_trained(path):
    """DistributedDataParallel would wait for the gradients of the others."""
    model = MODELS.build(load_config(str(path)).model)
    image = torch.randint(0, 256, (4, 1, 112, 112), dtype=torch.uint8)
    batch = dict(inputs={**small_batch(4, vocab_size=2000), "image": image})
    losses = model(model.data_preprocessor(batch, training=True)["inputs"], mode="loss")
    sum(value for key, value in losses.items() if "loss" in key).backward()
    assert [key for key, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


def test_every_method_stands_in_the_model_index():
    from modelindex.load_model_index import load

    index = load(str(ROOT / "model-index.yml"))
    index.build_models_with_collections()
    listed = {model.config for model in index.models}
    for folder in METHODS:
        encoders = ("vit",) if folder.name == "mrm" else ("vit", "resnet50")  # it hides patches
        assert {str((folder / f"pretrain_{encoder}.py").relative_to(ROOT)) for encoder in encoders} <= listed
        assert (folder / "README.md").is_file()
    assert all((ROOT / config).is_file() for config in listed)


def test_paper_numbers():
    """Column "paper" of docs/protocol.md#model and what follows."""
    cfg = Config.fromfile(ROOT / "configs/mgca/pretrain_vit.py")
    alignments = cfg.model.alignments
    assert alignments.ita.loss.temperature == 0.1
    assert alignments.cta.loss.temperature == 0.07
    assert alignments.cpa.loss.temperature == 0.2
    assert (alignments.cpa.num_prototypes, alignments.cpa.epsilon, alignments.cpa.num_iterations) == (500, 0.05, 3)
    assert (cfg.model.projector.hidden_channels, cfg.model.projector.out_channels) == (2048, 128)
    assert cfg.train_dataloader.batch_size == 144 and cfg.train_cfg.max_epochs == 50
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay, tuple(optimizer.betas)) == (
        "AdamW",
        2e-5,
        0.05,
        (0.9, 0.999),
    )
    warmup, cosine = cfg.param_scheduler
    assert warmup.start_factor * optimizer.lr == pytest.approx(1e-8) and warmup.end == 20 and cosine.end == 50


@pytest.mark.parametrize("encoder", ["vit", "resnet50"])
def test_the_fast_one_is_the_same_method(encoder):
    plain, fast = (load_config(str(ROOT / f"configs/mgca/pretrain_{encoder}{end}.py")) for end in ("", "_fast"))
    assert fast.model.pop("compile") and fast.model.data_preprocessor.pop("crop_size") == 224
    assert fast.model.image_encoder.pop("channels_last", False) == (encoder == "resnet50")
    assert fast.optim_wrapper.pop("type") == "BFloat16OptimWrapper" and plain.optim_wrapper.pop("type")
    for part in ("model", "optim_wrapper", "param_scheduler", "train_cfg", "custom_hooks"):
        assert fast[part] == plain[part], part


def test_numbers_of_the_baselines():
    """docs/protocol.md#baselines."""
    alignments, projectors, text = {}, {}, {}
    for path in (path for method in METHODS for path in method.glob("pretrain_resnet50.py")):
        method, model = path.parent, Config.fromfile(path).model
        alignments[method.name], projectors[method.name] = model.alignments, model.projector
        text[method.name] = model.text_encoder
    contrast = alignments["convirt"].contrast.loss
    assert (contrast.temperature, contrast.image_weight, projectors["convirt"].out_channels) == (0.1, 0.75, 512)
    assert alignments["vsepp"].triplet.loss == alignments["dsve"].triplet.loss
    assert (alignments["dsve"].triplet.loss.margin, alignments["dsve"].triplet.loss.num_negatives) == (0.2, 1)
    local = alignments["gloria"].local
    assert (local.word_sharpness, local.report_sharpness, local.loss.temperature) == (4, 5, 1 / 10)
    assert alignments["gloria"].contrast.loss == local.loss and text["gloria"].num_summed_layers == 4
    decoder = alignments["caption_transformer"].caption.decoder
    assert (decoder.num_layers, decoder.num_heads, decoder.num_memory_slots) == (3, 8, 40)
    assert text["caption_lstm"] is text["caption_transformer"] is None
    masked = Config.fromfile(ROOT / "configs/mrm/pretrain_vit.py").model
    assert (masked.data_preprocessor.image_ratio, masked.data_preprocessor.report_ratio) == (0.75, 0.5)
    assert masked.image_decoder.patch_size == 2 * masked.image_encoder.backbone.patch_size


def test_released_numbers():
    """Column "released" of docs/protocol.md#model and what follows."""
    cfg = Config.fromfile(ROOT / "configs/mgca/released_vit.py")
    alignments = cfg.model.alignments
    assert (alignments.ita.loss.temperature, alignments.ita.loss.reduction, alignments.ita.gather) == (
        0.07,
        "sum",
        False,
    )
    assert (alignments.cta.loss.temperature, alignments.cta.reduction) == (0.1, "sum")
    assert cfg.model.text_encoder.num_hidden_layers == 6
    assert cfg.optim_wrapper.paramwise_cfg is None
    assert [d.ann_file for d in cfg.val_dataloader.dataset.datasets] == ["val.json", "test.json"]
    assert any(h.type == "EarlyStoppingHook" and h.patience == 5 and h.min_delta == 0 for h in cfg.custom_hooks)


def test_no_decay_on_biases_norms_and_prototypes():
    from mmengine.optim import build_optim_wrapper

    from mgca_mm.registry import MODELS
    from tests.conftest import SMALL_MODEL

    model = MODELS.build(SMALL_MODEL)
    cfg = Config.fromfile(ROOT / "configs/mgca/pretrain_vit.py").optim_wrapper
    groups = build_optim_wrapper(model, cfg).param_groups
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for parameter_name, parameter in model.named_parameters():
        expected = 0 if parameter.dim() == 1 or "prototypes" in parameter_name else 0.05
        assert decay[id(parameter)] == expected, parameter_name


EVALUATION = [
    *sorted((ROOT / "configs/evaluation").glob("*.py")),
    *(ROOT / "configs/quickstart" / f"{name}.py" for name in ("grounding", "retrieval_single")),
    *(ROOT / "configs/quickstart" / f"{name}.py" for name in ("zero_shot", "zero_shot_single")),
]


HEADLINES = {  # the more special name first
    "grounding": ("ground/cnr", "ground/pointing", "ground/miou", "ground/cnr_low", "ground/centre_cnr"),
    "retrieval": ("class/i2t_P@5", "class/t2i_P@5", "class/i2i_P@5"),
    "zero_shot_single": ("cls/top1", "class/q2i_P@5"),
    "5x200": ("cls/top1", "class/q2i_P@5"),
    "zero_shot": ("cls/macro", "cls/macro_low"),
}


@pytest.mark.parametrize("path", EVALUATION, ids=name)
def test_evaluation(path, prepared, tmp_path):
    """Each evaluation runs on untrained weights and gives numbers within their bounds."""
    options = dict(data_root=str(prepared / "data"), text_model=str(prepared / "text_model"))
    if "grounding" in path.name:
        options["phrases"] = str(prepared / "raw/phantom-phrases.csv")
    cfg = load_config(str(path), options)
    validate(cfg)
    cfg.model.image_encoder.backbone.pop("init_cfg", None)
    cfg.work_dir = str(tmp_path)
    cfg.test_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    cfg.test_dataloader.dataset.indices = 6
    if "5x200" in path.name:  # no image of the small phantom has a label of these alone
        labels = json.loads((prepared / "data/test.json").read_text())["metainfo"]["classes"]
        cfg.test_dataloader.dataset.groups = [label for label in labels if label not in cfg.classes]
    metrics = Runner.from_cfg(cfg).test()
    headline = next(keys for part, keys in HEADLINES.items() if part in path.stem)
    assert all(math.isfinite(metrics[key]) for key in headline), metrics
    # A class of which the few images here show nothing has no AUROC.
    assert all(0 <= value <= 100 for key, value in metrics.items() if "cnr" not in key and not math.isnan(value))


def test_evaluation_needs_its_own_split_only(prepared, tmp_path):
    """``tools/test.py`` reads the test split; that of training may be elsewhere."""
    for name in ("test.json", "images.npy", "tokenizer"):
        (tmp_path / name).symlink_to(prepared / "data" / name)
    options = dict(data_root=str(tmp_path))
    configure_run(str(ROOT / "configs/quickstart/retrieval_single.py"), options, splits=("test",))
    with pytest.raises(UserError, match=r"train\.json"):
        configure_run(str(ROOT / "configs/quickstart/retrieval_single.py"), options)


def bases():
    """Every config; by default one of each kind."""
    kinds = "pretrain_caption_lstm_resnet18 classification_rsna detection_rsna segmentation_rsna zero_shot grounding"
    for path in sorted((ROOT / "configs").glob("[!_]*/**/*.py")):
        by_default = path.parent.name == "quickstart" and path.stem in kinds.split()
        yield pytest.param(path, marks=[] if by_default else [pytest.mark.slow], id=name(path))


@pytest.mark.parametrize("path", bases())
def test_as_a_base_by_the_name_of_the_package(path, prepared, tmp_path):
    """Read by MMEngine, what is built is what the file gives, in whichever scope the program is."""
    own = tmp_path / "own.py"
    own.write_text(f"_base_ = 'mgca_mm::{name(path)}'\n")
    models = []
    for cfg in (Config.fromfile(own), Config.fromfile(path)):
        if text_model := (cfg.model.get("text_encoder") or {}).get("pretrained"):
            cfg.merge_from_dict(load_config(str(own), {"text_model": str(prepared / "text_model")})._cfg_dict)
            assert text_model not in str(cfg.model)
            cfg.model.text_encoder.pop("num_hidden_layers", None)  # of which the small one has fewer
        validate(cfg)
        scope = "mgca_mm" if models else cfg.default_scope
        with DefaultScope.overwrite_default_scope(scope):
            models.append(MODELS.build(cfg.model))
        for split in ("train", "val", "test"):
            outer = cfg[f"{split}_dataloader"].dataset
            steps = [step for dataset in outer.get("datasets", [outer]) for step in dataset.pipeline]
            with DefaultScope.overwrite_default_scope(cfg.default_scope):
                assert all(TRANSFORMS.build(step) for step in steps)
    assert type(models[0]) is type(models[1]) and repr(models[0]) == repr(models[1])


MIXED = """
_base_ = ['mmdet::_base_/default_runtime.py', 'mgca_mm::_base_/models/yolov3_resnet50.py',
          'mgca_mm::_base_/datasets/detection.py']
anchors = {{_base_.model.bbox_head.anchor_generator.strides}}
steps = _base_.train_pipeline
train_dataloader = dict(dataset=dict(pipeline=steps))
"""


def test_bases_of_several_packages(tmp_path):
    (tmp_path / "own.py").write_text(MIXED)
    cfg = Config.fromfile(tmp_path / "own.py")
    assert cfg.anchors == [32, 16, 8] and cfg.default_scope == "mmdet"
    with DefaultScope.overwrite_default_scope("mmdet"):
        assert type(MODELS.build(cfg.model)).__name__ == "YOLOV3"
        assert all(TRANSFORMS.build(step) for step in cfg.train_dataloader.dataset.pipeline)


@pytest.mark.parametrize(
    ("base", "kind"),
    [
        ("mmseg::_base_/models/fcn_r50-d8.py", "EncoderDecoder"),
        ("mmpretrain::_base_/models/resnet18.py", "ImageClassifier"),
        ("mmdet::_base_/models/retinanet_r50_fpn.py", "RetinaNet"),
    ],
)
def test_a_base_keeps_the_scope_of_its_package(base, kind, tmp_path):
    own = tmp_path / "own.py"
    own.write_text(f"_base_ = ['mgca_mm::_base_/default_runtime.py', '{base}']\n")
    cfg = load_config(own)
    validate(cfg)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        assert type(MODELS.build(cfg.model)).__name__ == kind
    with pytest.raises(UserError, match=r"'ResNe' is not registered; did you mean 'ResNe"):
        validate(load_config(own, {"model.backbone.type": "ResNe"}))


def test_a_base_without_its_ending(tmp_path):
    (tmp_path / "own.py").write_text("_base_ = 'mgca_mm::mgca/pretrain_vit'\n")
    with pytest.raises(UserError, match=r"(?s)FileNotFoundError.*mgca/pretrain_vit.py"):
        load_config(tmp_path / "own.py")


@pytest.mark.parametrize(
    "config", ["pretrain_clip_resnet18", pytest.param("classification_rsna", marks=pytest.mark.slow)]
)
def test_a_base_is_trained_by_the_runner_of_others(config, labeled, prepared, tmp_path):
    (tmp_path / "own.py").write_text(f"_base_ = 'mgca_mm::quickstart/{config}.py'\n")
    cfg = Config.fromfile(tmp_path / "own.py")
    path = ROOT / f"configs/quickstart/{config}.py"
    data_root = prepared / "data" if "pretrain" in config else labeled(path)
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
        loader.dataset.data_root = str(data_root)
    if "classification" in config:
        cfg.model.backbone.pop("init_cfg")
    cfg.work_dir, cfg.param_scheduler = str(tmp_path), None
    cfg.train_cfg = dict(type="IterBasedTrainLoop", max_iters=1, val_interval=1)
    cfg.default_hooks.checkpoint.update(by_epoch=False, save_best=None)
    runner = Runner.from_cfg(cfg)
    runner.train()
    assert list(tmp_path.glob("iter_1.pth"))
