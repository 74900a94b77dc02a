"""Poisoned checkpoints at every way into the package: a typed error, and nothing executed."""

import json
import runpy
import shutil
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS as ROOT_MODELS
from mmengine.registry import init_default_scope
from mmengine.runner import CheckpointLoader, Runner

from mgca_mm.checkpoints.schemes import is_trusted
from mgca_mm.engine import install
from mgca_mm.engine.launch import configure_run
from mgca_mm.errors import UserError
from tests.command_line import call
from tests.conftest import ROOT

from . import poisons
from .conftest import cases

install()

QUICKSTART = "configs/quickstart/pretrain_resnet18.py"
# Of the files that fill the memory a few: all ways lead to one reader, whose tests have them all.
FILLING = (poisons.compressed, poisons.allocating, poisons.expanded, poisons.doubling)
POISONS = {poison.__name__: poison for poison in (*poisons.EXECUTING, *FILLING)}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every poisoned file, and where each would leave its mark."""
    folder = tmp_path_factory.mktemp("poisons")
    for name, poison in POISONS.items():
        marks = [] if poison in FILLING else [folder / f"{name}.mark"]
        poison(folder / f"{name}.pth", *marks)
    return folder


def assert_nothing_happened(files):
    assert not [*files.glob("*mark"), *files.parent.glob("*mark")]


BACKBONES = {
    "mgca_mm": dict(type="mmpretrain.ResNet", depth=18),
    "mmpretrain": dict(type="mmpretrain.ResNet", depth=18),
    "mmdet": dict(type="mmdet.ResNet", depth=18),
    "mmseg": dict(type="mmseg.ResNetV1c", depth=18),
}


@pytest.mark.parametrize("scope", BACKBONES)
@pytest.mark.parametrize("poison", POISONS)
def test_init_cfg(poison, scope, files):
    init_default_scope(scope)
    init_cfg = dict(type="Pretrained", checkpoint=str(files / f"{poison}.pth"))
    model = ROOT_MODELS.build({**BACKBONES[scope], "init_cfg": init_cfg})
    with pytest.raises(UserError):
        model.init_weights()
    assert_nothing_happened(files)


@pytest.mark.parametrize("poison", POISONS)
def test_timm(poison, files):
    """Its models read ``checkpoint_path`` without MMEngine."""
    backbone = dict(type="mmpretrain.TIMMBackbone", model_name="resnet18", checkpoint_path=str(files / f"{poison}.pth"))
    plain = poison == "config_text"  # timm finds that the weights are of another model
    with pytest.raises(UserError, match="cannot be read as weights of this backbone" if plain else None):
        ROOT_MODELS.build(dict(type="mgca_mm.ImageEncoder", backbone=backbone, input_size=32))
    assert_nothing_happened(files)


@pytest.mark.parametrize("poison", POISONS)
def test_a_text_model(poison, files, tmp_path):
    """Folders of transformers: weights as a pickle."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    shutil.copy(files / f"{poison}.pth", tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError):
        ROOT_MODELS.build(dict(type="mgca_mm.TextEncoder", pretrained=str(tmp_path)))
    assert_nothing_happened(files)


def test_a_text_model_with_code_of_its_own(tmp_path):
    mark = tmp_path / "mark"
    auto_map = {"AutoConfig": "code.C", "AutoModel": "code.M"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "unheard-of", "auto_map": auto_map}))
    (tmp_path / "code.py").write_text(f"open({str(mark)!r}, 'w')\n")
    with pytest.raises(UserError):
        ROOT_MODELS.build(dict(type="mgca_mm.TextEncoder", pretrained=str(tmp_path)))
    assert not mark.exists()


@pytest.mark.parametrize("poison", POISONS)
def test_a_backbone_that_loads_by_itself(poison, files):
    """Some backbones of mmdet and mmseg call MMEngine's loader in their own ``init_weights``."""
    if poison == "config_text":
        CheckpointLoader.load_checkpoint(str(files / f"{poison}.pth"))
    else:
        with pytest.raises(UserError):
            CheckpointLoader.load_checkpoint(str(files / f"{poison}.pth"))
    assert_nothing_happened(files)


@pytest.fixture(scope="module")
def options(prepared):
    loaders = [f"{split}_dataloader" for split in ("train", "val", "test")]
    small = {"num_workers": 0, "persistent_workers": False, "batch_size": 4}
    changes = {f"{loader}.{key}": value for loader in loaders for key, value in small.items()}
    return changes | {"data_root": str(prepared / "data")}


@pytest.fixture(scope="module")
def runner(options, tmp_path_factory):
    init_default_scope("mgca_mm")
    return Runner.from_cfg(configure_run(QUICKSTART, options, work_dir=str(tmp_path_factory.mktemp("run"))))


@pytest.mark.parametrize("method", ["resume", "load_checkpoint"])
@pytest.mark.parametrize("poison", POISONS)
def test_the_runner(poison, method, runner, files):
    file = str(files / f"{poison}.pth")
    if poison == "config_text":
        getattr(runner, method)(file)
    else:
        with pytest.raises(UserError):
            getattr(runner, method)(file)
    assert_nothing_happened(files)


COMMANDS = {
    "resume": ["train.py", QUICKSTART, "--work-dir", "OUT", "--resume", "FILE", "--cfg-options", "OPTIONS"],
    "load_from": ["train.py", QUICKSTART, "--work-dir", "OUT", "--cfg-options", "load_from=FILE", "OPTIONS"],
    "init_cfg": ["train.py", "OUT/init.py", "--work-dir", "OUT", "--cfg-options", "OPTIONS"],
    "test": ["test.py", QUICKSTART, "FILE", "--work-dir", "OUT", "--cfg-options", "OPTIONS"],
    "linear_probe": ["linear_probe.py", QUICKSTART, "FILE", "--out", "OUT", "--cfg-options", "OPTIONS"],
    "choose": ["choose_pairs.py", QUICKSTART, "FILE", "--percent", "50", "--out", "OUT", "--cfg-options", "OPTIONS"],
    "from-released-mgca": ["convert_checkpoint.py", "from-released-mgca", "FILE", "OUT/c.pth"],
    "publish": ["convert_checkpoint.py", "publish", "FILE", "OUT/c.safetensors"],
}
INIT = """_base_ = {base!r}
model = dict(image_encoder=dict(backbone=dict(init_cfg=dict(_delete_=True, type='Pretrained', checkpoint={file!r}))))
"""


def pairs():
    """A share: every command with one poison, every poison with some command."""
    everything = [(command, poison) for command in COMMANDS for poison in POISONS]
    few = [(command, list(POISONS)[number]) for number, command in enumerate(COMMANDS)]
    return everything if cases(len(few), len(everything)) == len(everything) else few


@pytest.mark.parametrize(("command", "poison"), pairs())
def test_the_command_lines(command, poison, options, files, tmp_path, monkeypatch, capsys):
    (tmp_path / "init.py").write_text(INIT.format(base=str(ROOT / QUICKSTART), file=str(files / f"{poison}.pth")))
    words = {"FILE": str(files / f"{poison}.pth"), "OUT": str(tmp_path)}
    # MMEngine keeps its visualizers by name and second: two runs in one process need names.
    changes = options | {"experiment_name": f"{command}-{poison}", "train_cfg.max_epochs": 1}
    arguments = []
    for argument in COMMANDS[command]:
        for word, value in words.items():
            argument = argument.replace(word, value)
        arguments += [f"{key}={value}" for key, value in changes.items()] if argument == "OPTIONS" else [argument]
    monkeypatch.setattr(sys, "argv", arguments)
    monkeypatch.chdir(ROOT)
    try:
        runpy.run_path(str(ROOT / "tools" / arguments[0]), run_name="__main__")
    except SystemExit as exit_:
        assert exit_.code == 2
        message = capsys.readouterr().err.rpartition("error: ")[2].strip()
        assert len(message.splitlines()) <= 3, message
    else:
        assert poison == "config_text"  # plain data: it is read, and its text is not executed
    assert_nothing_happened(files)


def test_a_yaml_config(tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "c.yaml").write_text(f"model: !!python/object/apply:os.system ['touch {mark}']\n")
    with pytest.raises(UserError, match="not plain"):
        Config.fromfile(tmp_path / "c.yaml")
    assert not mark.exists()


@pytest.mark.parametrize("text", ["a0: &a0 [x]\n", "[" * 10_000])
def test_a_yaml_config_without_end(text, tmp_path):
    """Each alias is two of the one before: 2^40 to whoever copies it."""
    for number in range(40 if text.startswith("a0") else 0):
        text += f"a{number + 1}: &a{number + 1} [*a{number}, *a{number}]\n"
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(UserError, match="refused"):
        Config.fromfile(tmp_path / "c.yaml")


def test_anchors_in_a_yaml_config(tmp_path):
    """A short file may name what it has once many times."""
    text = "numbers: &n [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" + "".join(f"a{i}: *n\n" for i in range(20))
    (tmp_path / "c.yaml").write_text(text)
    assert Config.fromfile(tmp_path / "c.yaml").a19 == list(range(1, 11))


def test_a_pickled_annotation_file(tmp_path):
    from mmengine.dataset import BaseDataset

    mark = tmp_path / "mark"
    poisons.bare_pickle(tmp_path / "train.pkl", mark)
    with pytest.raises(UserError, match="--trust-checkpoint"):
        BaseDataset(ann_file=str(tmp_path / "train.pkl"))
    assert not mark.exists() and not is_trusted()


def test_published_weights(runner, files, tmp_path):
    """A training checkpoint → safetensors and a card, which the one line of a transfer takes."""
    runner.train_loop  # noqa: B018  built by the runner at its first use
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    runner.save_checkpoint(str(tmp_path), "epoch_1.pth")
    assert call("convert", "publish", tmp_path / "epoch_1.pth", tmp_path / "weights.safetensors").returncode == 0
    published = (tmp_path / "weights.safetensors").read_bytes()
    assert b"optimizer" not in published and str(tmp_path).encode() not in published
    card = (tmp_path / "weights.md").read_text()
    assert "image_encoder.backbone" in card and str(tmp_path) not in card
    init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "weights.safetensors"))
    backbone = ROOT_MODELS.build(dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3), init_cfg=init_cfg))
    backbone.init_weights()
    expected = runner.model.image_encoder.backbone.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in backbone.state_dict().items())
