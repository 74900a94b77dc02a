"""Spoilt checkpoints of a real training at every way into the package: it goes on, or an error for the user."""

import copy
import gc
import itertools
import math
import os
import runpy
import sys

import pytest
import torch
from hypothesis import event, given
from hypothesis import strategies as st
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from mgca_mm.engine import install
from mgca_mm.engine.pretrained import CompletePretrainedInit, load_complete_model, require_complete_parts
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError
from tests.conftest import ROOT
from tests.test_faults import poisons, runs
from tests.test_fuzz.cases import at, bounded, cases, few, in_time, places

install()

TENSORS = [
    *(
        torch.zeros(()),
        torch.zeros(1),
        torch.full((), math.nan),
        torch.zeros(0),
        torch.zeros(2, 3),
        torch.zeros(1, 1, 1),
    ),
    *(torch.zeros(3, dtype=torch.int64), torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.complex64)),
    torch.zeros(1).expand(1000),
]
values = st.sampled_from(
    [
        *(None, True, False, 0, 1, -1, -3, 7, 2**31, 10**15, 10**400, 0.0, 1.5, -1e-3, 1e15, math.nan, math.inf, 1e308),
        *("", "abc", "zz", "x" * 1000, "../../victim.pth", "victim.pth", "/etc/passwd", "a\nb", "\udcff", b"bytes"),
        *([], {}, (), [[]], [None], ["x"], {"x": 1}, {0: 1}, {"params": [0]}, set(), poisons.shared_list()),
        *TENSORS,
    ]
)
names = st.sampled_from(
    ["", "x", "lr", "step", "params", "state_dict", "_metadata", 0, -1, 10**9, None, True, 1.5, (1, 2)]
)


def spoil_checkpoint(data, content) -> None:
    """Change some values of a checkpoint in place, as likely near its root as among its tensors."""
    for _ in range(data.draw(few)):
        node = content
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = keys[at(keys, data.draw(places))]
            if not (isinstance(node[key], dict | list) and node[key] and data.draw(st.integers(0, 3))):
                break
            node = node[key]
        kind = data.draw(st.sampled_from(("set", "set", "delete", "rename", "copy", "like")))
        if kind == "set":
            node[key] = copy.deepcopy(data.draw(values))
        elif kind == "like" and isinstance(node[key], torch.Tensor):
            like = node[key]
            changed = (
                like.long(),
                like.double(),
                like.bool(),
                like + math.nan,
                like[None],
                like.flatten()[:-1],
                like.numpy(),
            )
            node[key] = data.draw(st.sampled_from(changed))
        elif kind == "like" and isinstance(node[key], int | float):
            number = node[key]
            node[key] = data.draw(st.sampled_from((-number, 10**9 * number, f"{number}", [number], -number - 1)))
        elif kind == "copy":
            other = keys[at(keys, data.draw(places))]
            node[key] = copy.deepcopy(node[other])
        elif kind == "rename" and isinstance(node, dict):
            node[data.draw(names)] = node.pop(key)
        else:
            del node[key]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A prepared data set, and the checkpoint of the first of two epochs."""
    init_default_scope("mgca_mm")
    gc.freeze()  # MMEngine collects garbage for every data set, of all that pytest holds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "pretty_text", "")  # formatted four times a run, in a second
        yield _train_once(tmp_path_factory)
    gc.unfreeze()


def _train_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    folder = folder, runs.make_data(folder), folder / "c.pth"
    train(folder, "first", epochs=1)
    content = torch.load(folder[0] / "first" / "epoch_1.pth", weights_only=True)
    assert content["optimizer"]["state"] and content["param_schedulers"] and content["ema_state_dict"]
    return folder, content


counter = itertools.count()


def train(folder, name, **changes):
    work_dir = folder[0] / name
    changes = dict(epochs=2, custom_hooks=[dict(type="EMAHook", momentum=0.1)]) | changes
    changes["default_hooks"] = dict(checkpoint=dict(save_best="loss", rule="less"))
    cfg = runs.make_config(folder[1], work_dir, batch_size=8, experiment_name=f"fuzz{next(counter)}", **changes)
    return PrivateRunner.from_cfg(cfg).train()


@pytest.fixture
def spoilt(trained, monkeypatch):
    """Writes a spoilt checkpoint; nothing but the work dir is written to, and no file of another name removed."""
    folder, content = trained
    victim = folder[0] / "again" / "victim.pth"
    victim.parent.mkdir(exist_ok=True)
    victim.write_bytes(b"")

    def spoil(data):
        changed = copy.deepcopy(content)
        spoil_checkpoint(data, changed)
        torch.save(changed, folder[2])
        return folder, str(folder[2])

    yield spoil
    assert victim.exists() and not (folder[0] / "victim.pth").exists()


def allowed(path):
    return bounded(10 * os.path.getsize(path) + 200 * 2**20)


def succeeds_or_is_refused(function, *arguments) -> None:
    try:
        with in_time():
            function(*arguments)
    except UserError as error:
        event("refused")
        message = str(error)
        message.encode()
        assert len(message.splitlines()) <= 4 and len(message) < 1500, message
    else:
        event("taken")


@given(data=st.data())
@cases(12, 2000)
def test_resume(data, spoilt):
    folder, path = spoilt(data)
    with allowed(path):
        succeeds_or_is_refused(lambda: train(folder, "again", resume=True, load_from=path))


def model_of(trained):
    cfg = runs.make_config(trained[0][1], "unused")
    return MODELS.build(cfg.model)


@given(data=st.data())
@cases(15, 2000)
def test_weights(data, spoilt, trained):
    """``load_from``, ``init_cfg``, and a test or inference."""
    _, path = spoilt(data)
    model = model_of(trained)
    for function in (require_complete_parts, load_complete_model):
        with allowed(path):
            succeeds_or_is_refused(function, model, path)
    with allowed(path):
        succeeds_or_is_refused(CompletePretrainedInit(path), model.image_encoder.backbone)


def run_tool(name, *arguments) -> int:
    """Exit code of a command line, in this process."""
    before, sys.argv = sys.argv, [name, *map(str, arguments)]
    try:
        runpy.run_path(str(ROOT / "tools" / name), run_name="__main__")
    except SystemExit as exit_:
        return exit_.code or 0
    finally:
        sys.argv = before
    return 0


@given(data=st.data())
@cases(8, 2000)
def test_verify(data, spoilt, capsys):
    _, path = spoilt(data)
    with in_time(), allowed(path):
        assert run_tool("verify_checkpoint.py", path) in (0, 1)
    assert "Traceback" not in capsys.readouterr().err
