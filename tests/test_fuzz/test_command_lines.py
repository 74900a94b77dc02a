"""The command lines on odd prepared folders and indices: they end well or with one message, without a traceback."""

import copy
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
import torch
from hypothesis import given
from hypothesis import strategies as st

from mgca_mm.apis import RadiographInferencer
from mgca_mm.apis.prepared import load_pairs
from tests.conftest import ROOT
from tests.test_apis.conftest import CONFIG, save_weights
from tests.test_faults import runs
from tests.test_fuzz.cases import cases, in_time, spoil_bytes, spoil_json
from tests.test_fuzz.test_checkpoints import spoil_checkpoint
from tests.test_fuzz.test_model_folders import spoil_folder

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


def run(capsys, *arguments, codes=(0, 2)):
    """Exit code of a command line in this process, where it takes a second instead of ten; the page is not served."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    environment = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(argument) for argument in arguments])
        patch.setattr(gr.Blocks, "launch", lambda *_, **__: (None, "nowhere", None))
        patch.setattr(gr.Blocks, "block_thread", lambda _: sys.exit(0))
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
    assert code in codes and (code != 2 or len(message.splitlines()) <= 3), printed.err
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


@given(data=st.data())
@cases(3, 20)
def test_odd_tokenizers(sound, capsys, tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("odd") / "data"
    shutil.copytree(sound / "data", folder)
    spoil_folder(data, folder / "tokenizer")
    evaluate(capsys, sound, folder)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """Config file of a small training of two epochs, and the checkpoint of the first."""
    root = tmp_path_factory.mktemp("training")
    cfg = runs.make_config(runs.make_data(root), root / "run", epochs=1, batch_size=8, experiment_name="training")
    runs.train(cfg.copy())
    cfg.train_cfg.max_epochs = 2
    cfg.dump(root / "config.py")
    return root / "config.py", torch.load(root / "run" / "epoch_1.pth", weights_only=True)


CHECKPOINT_COMMANDS = {
    "resume": ["train.py", "CONFIG", "--work-dir", "OUT", "--resume", "FILE", "--cfg-options", "NAME"],
    "load_from": ["train.py", "CONFIG", "--work-dir", "OUT", "--cfg-options", "load_from=FILE", "NAME"],
    "publish": ["convert_checkpoint.py", "publish", "FILE", "OUT/c.safetensors"],
    "extract": ["convert_checkpoint.py", "extract-backbone", "FILE", "OUT/c.pth"],
    "verify": ["verify_checkpoint.py", "FILE"],
}


@pytest.mark.parametrize("command", CHECKPOINT_COMMANDS)
@given(data=st.data())
@cases(2, 20)
def test_odd_checkpoints(command, training, capsys, tmp_path_factory, data):
    config, content = training
    folder = tmp_path_factory.mktemp("odd")
    content = copy.deepcopy(content)
    spoil_checkpoint(data, content)
    torch.save(content, folder / "c.pth")
    words = {"CONFIG": str(config), "FILE": str(folder / "c.pth"), "OUT": str(folder)}
    words["NAME"] = f"experiment_name=odd{next(_NUMBERS)}"
    arguments = CHECKPOINT_COMMANDS[command]
    for word, value in words.items():
        arguments = [argument.replace(word, value) for argument in arguments]
    run(capsys, *arguments, codes=(0, 1) if command == "verify" else (0, 2))


def test_what_is_spoilt_is_read(sound, capsys, tmp_path):
    """The command lines reach the files that are spoilt above."""
    shutil.copytree(sound / "data", tmp_path / "data")
    (tmp_path / "data/test.json").write_text("{}")
    assert evaluate(capsys, sound, tmp_path / "data") == 2
    assert start_page(capsys, sound, tmp_path / "data", tmp_path / "index") == 2
    shutil.copytree(sound / "index", tmp_path / "index")
    names = (tmp_path / "index/names.json").read_text()
    (tmp_path / "index/names.json").write_text("[]")
    assert start_page(capsys, sound, sound / "data", tmp_path / "index") == 0
    assert (tmp_path / "index/names.json").read_text() == names  # made again
