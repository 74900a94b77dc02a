"""The command lines on odd prepared folders and indices: they end well or with one message, without a traceback."""

import itertools
import json
import logging
import os
import runpy
import shutil
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mgca_mm.apis import RadiographInferencer
from mgca_mm.apis.prepared import load_pairs
from tests.conftest import ROOT
from tests.test_apis.conftest import CONFIG, save_weights
from tests.test_fuzz.common import cases, in_time, spoil_bytes, spoil_json

gr = pytest.importorskip("gradio")
_NUMBERS = itertools.count()  # MMEngine keeps its visualizers by name: several runs in one process need names.


@pytest.fixture(scope="module")
def sound(prepared, tmp_path_factory):
    """A folder with a prepared one, the index of its test pairs, and a run."""
    root = tmp_path_factory.mktemp("sound")
    shutil.copytree(prepared / "data", root / "data")
    content = json.loads((root / "data/test.json").read_text())
    content["data_list"] = content["data_list"][:3]
    (root / "data/test.json").write_text(json.dumps(content))
    (root / "run").mkdir()
    options = {"data_root": str(root / "data")}
    weights = save_weights(CONFIG, root / "run/epoch_1.pth", options)
    pairs = load_pairs(root / "data")
    inferencer = RadiographInferencer(CONFIG, weights, "cpu", options, show_progress=False)
    inferencer.build_index([pair.image for pair in pairs], [pair.report for pair in pairs]).save(root / "index")
    return root


def run(capsys, *arguments):
    """Exit code of a command line in this process, where it takes a second instead of ten; the page is not served."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    environment = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(argument) for argument in arguments])
        patch.setattr(gr.Blocks, "launch", lambda *_, **__: sys.exit(0))
        patch.setattr(logging, "raiseExceptions", False)  # loggers of an earlier run write to what pytest has closed
        patch.chdir(ROOT)
        try:
            with in_time():
                runpy.run_path(str(ROOT / "tools" / arguments[0]), run_name="__main__")
            code = 0
        except SystemExit as exit_:
            code = exit_.code
        finally:
            os.environ.clear()
            os.environ.update(environment)
            for number, handler in handlers.items():
                signal.signal(number, handler)
    printed = capsys.readouterr()
    assert "Traceback" not in printed.out + printed.err
    message = printed.err.rpartition("error: ")[2].strip()
    assert code == 0 or (code == 2 and len(message.splitlines()) <= 3), printed.err
    return code


def evaluate(capsys, sound, folder):
    options = [f"data_root={folder}", f"experiment_name=odd{next(_NUMBERS)}"]
    options += ["test_dataloader.num_workers=0", "test_dataloader.persistent_workers=False"]
    out = ["--work-dir", folder.parent / "out", "--cfg-options", *options]
    return run(capsys, "test.py", CONFIG, sound / "run/epoch_1.pth", *out)


def start_page(capsys, sound, folder, index):
    run_of = ["--config", CONFIG, "--checkpoint", sound / "run/epoch_1.pth"]
    return run(capsys, "app.py", *run_of, "--data", folder, "--index", index)


def test_sound_ones(sound, capsys):
    assert evaluate(capsys, sound, sound / "data") == 0
    assert start_page(capsys, sound, sound / "data", sound / "index") == 0


@pytest.mark.parametrize("command", ["test.py", "app.py"])
@given(data=st.data())
@cases(3, 20)
def test_odd_prepared_folders(command, sound, capsys, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd") / "data"
    shutil.copytree(sound / "data", folder)
    if data.draw(st.booleans()):
        content = json.loads((folder / "test.json").read_text())
        spoil_json(data, content)
        (folder / "test.json").write_text(json.dumps(content))
    else:
        store = (folder / "images.npy").read_bytes()
        (folder / "images.npy").write_bytes(spoil_bytes(data, store[:200]) + store[200:])
    if command == "test.py":
        evaluate(capsys, sound, folder)
    else:
        start_page(capsys, sound, folder, folder.parent / "index")


@given(data=st.data())
@cases(3, 20)
def test_odd_indices(sound, capsys, tmp_path_factory, data):
    index = tmp_path_factory.mktemp("odd") / "index"
    shutil.copytree(sound / "index", index)
    if data.draw(st.booleans()):
        names = json.loads((index / "names.json").read_text())
        spoil_json(data, names)
        (index / "names.json").write_text(json.dumps(names))
    else:
        path = Path(index, data.draw(st.sampled_from(("names.json", "embeddings.safetensors"))))
        path.write_bytes(spoil_bytes(data, path.read_bytes()))
    start_page(capsys, sound, sound / "data", index)


def test_what_is_spoilt_is_read(sound, capsys, tmp_path):
    """The command lines reach the files that are spoilt above."""
    shutil.copytree(sound / "data", tmp_path / "data")
    (tmp_path / "data/test.json").write_text("{}")
    assert evaluate(capsys, sound, tmp_path / "data") == 2
    assert start_page(capsys, sound, tmp_path / "data", tmp_path / "index") == 2
    shutil.copytree(sound / "index", tmp_path / "index")
    (tmp_path / "index/names.json").write_text("[]")
    assert start_page(capsys, sound, sound / "data", tmp_path / "index") == 2
