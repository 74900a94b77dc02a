"""What `install()` replaces, what is safe without it, and who calls it."""

import torch
from mmengine.fileio import YamlHandler
from mmengine.fileio.handlers import file_handlers

from mgca_mm.engine.config import load_config
from mgca_mm.models import ImageEncoder
from tests.conftest import ROOT
from tests.test_downstream import configure
from tests.test_faults import poisons
from tests.test_imports import run

REPLACED = [
    "checkpoint loaders",
    "file backends",
    "file backends in use",
    "file handlers",
    "file prefixes",
    "mmengine.DATA_SAMPLERS",
    "mmengine.HOOKS",
    "mmengine.LOG_PROCESSORS",
    "mmengine.VISBACKENDS",
    "mmengine.WEIGHT_INITIALIZERS",
]
STEP_BY_STEP = """
import json, sys
from mmengine.fileio import get_file_backend
from mmengine.registry import HOOKS
from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.checkpoints.weights import read_state_dict
from mgca_mm.errors import UserError
from tests.process_state import differences, process_state

def refuses(read, file):
    try:
        read(file)
    except UserError:
        return True

yaml, pickle = json.load(sys.stdin)
steps = {
    "use": lambda: get_file_backend("a", enable_singleton=True) and None,  # which MMEngine keeps
    "read": lambda: refuses(load_config, yaml) and refuses(read_state_dict, pickle),
    "install": install,
    "use again": lambda: type(get_file_backend("a", enable_singleton=True)).__name__,
    "replace": lambda: HOOKS.register_module(name="CheckpointHook", module=print, force=True) and None,
    "install again": install,
}
process_state()  # which imports libraries
found, before = {}, process_state()
for name, step in steps.items():
    result = step()
    found[name], before = [result, differences(before, now := process_state())], now
print(json.dumps(found))
"""
# As tools/train.py of mmpretrain, mmdet and mmseg.
STOCK = """
import json, sys
from mmengine.config import Config
from mmengine.registry import RUNNERS
found = []
for file in json.load(sys.stdin):
    try:
        RUNNERS.build(Config.fromfile(file)).train()
        found.append("trained")
    except Exception as error:
        found.append(str(error))
print(json.dumps(found))
"""


def test_step_by_step(tmp_path):
    mark = tmp_path / "mark"
    poisons.yaml_tag(tmp_path / "c.yaml", mark)
    poisons.bare_pickle(tmp_path / "c.pth", mark)
    assert run(STEP_BY_STEP, [str(tmp_path / name) for name in ("c.yaml", "c.pth")]) == {
        "use": [None, ["file backends in use"]],
        "read": [True, []],
        "install": [None, REPLACED],
        "use again": ["AtomicLocalBackend", ["file backends in use"]],
        "replace": [None, ["mmengine.HOOKS"]],
        "install again": [None, []],  # what a program has registered since stays
    }
    assert not mark.exists()


def test_what_a_config_registers_stays(tmp_path, monkeypatch):
    """Reading a config puts MMEngine's handlers back, but for one that the config has replaced."""
    former = dict.fromkeys(("yaml", "yml", "pickle", "pkl"), YamlHandler())
    for ending, handler in former.items():
        monkeypatch.setitem(file_handlers, ending, handler)
    (tmp_path / "registering.py").write_text(
        "from mmengine.fileio.handlers import file_handlers\n"
        "assert type(file_handlers['yml']).__name__ == 'SafeYamlHandler'\nfile_handlers['yaml'] = 'ours'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "c.py").write_text("custom_imports = dict(imports=['registering'])\n")
    load_config(str(tmp_path / "c.py"))
    assert {ending: file_handlers[ending] for ending in former} == {**former, "yaml": "ours"}


def test_configs_that_name_our_runner_under_the_programs_of_others(labeled, tmp_path):
    """Ours, and one with MMEngine's hooks and the lines of docs/replace_backbone.md, which is resumed, too."""
    state_dict = ImageEncoder(dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3)), input_size=32).state_dict()
    whole = {f"image_encoder.{name}": value for name, value in state_dict.items()}
    part = {name: value for name, value in whole.items() if name != "image_encoder.backbone.layer4.1.conv2.weight"}
    files = []

    def write(name, weights, **changes):
        torch.save({"state_dict": weights}, tmp_path / f"{name}.pth")
        path, file = ROOT / "configs/quickstart/classification_covidx.py", tmp_path / f"{name}.py"
        cfg = configure(path, labeled, tmp_path / "run", image_init=str(tmp_path / f"{name}.pth"))
        cfg.update(changes)
        cfg.dump(file)
        files.append(str(file))

    hooks = dict(
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1)),
        custom_hooks=[dict(type="mgca_mm.PlainCheckpointHook")],
    )
    write("part", part)
    write("whole", whole, **hooks)
    write("resumed", whole, resume=True, train_cfg=dict(type="IterBasedTrainLoop", max_iters=2), **hooks)
    refused, *others = run(STOCK, files)
    assert "only in part; 1 missing: layer4.1.conv2.weight" in refused
    assert others == ["trained", "trained"]
    assert sorted(path.name for path in (tmp_path / "run").glob("iter_*")) == [
        "iter_1.pth",
        "iter_1.pth.sha256",
        "iter_2.pth",
        "iter_2.pth.sha256",
    ]
    logs = "".join(path.read_text() for path in (tmp_path / "run").rglob("*.log"))
    assert "Resuming from iter_1.pth" in logs
