"""``mgca-mm``: every command by its name, none of the others imported, and the tools in front of them."""

import argparse
import ast
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from mgca_mm.cli import COMMANDS, main, train
from mgca_mm.cli.arguments import add_cfg_options
from mgca_mm.cli.prepare import CONFIGS, next_step
from mgca_mm.engine.config import find_config
from mgca_mm.errors import UserError
from mgca_mm.prepared import DATA_SETS
from tests.conftest import ROOT

TOOLS = sorted((ROOT / "tools").glob("*.py"))


def run(monkeypatch, *words):
    """Exit code of the command line in this process."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/mgca-mm", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    return exit_.value.code


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("my data (1)", "my data (1)"),
        ("'my models/bert [old]'", "my models/bert [old]"),
        ("3", 3),
        ("(1, 2)", (1, 2)),
        ("[1,2]", [1, 2]),
        ("1,2", [1, 2]),
    ],
)
def test_values_of_options(text, value):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    assert parser.parse_args(["--cfg-options", f"data_root={text}"]).cfg_options == {"data_root": value}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["data_root=my", "data"], "'data' is not KEY=VALUE; quote a value with spaces"),
        (["=5"], "'=5' is not KEY=VALUE"),
        (["a=[1,2"], "a=[1,2: a bracket is not closed"),
    ],
)
def test_options_that_are_none_are_named(words, message, capsys):
    parser = argparse.ArgumentParser()
    add_cfg_options(parser)
    with pytest.raises(SystemExit, match="2"):
        parser.parse_args(["--cfg-options", *words])
    assert message in capsys.readouterr().err


def test_every_command_is_listed_with_a_line(monkeypatch, capsys):
    files = {path.stem for path in (ROOT / "mgca_mm/cli").glob("*.py")} - {"__init__", "__main__", "arguments"}
    assert files == {command.replace("-", "_") for command in COMMANDS}
    assert run(monkeypatch, "--help") == 0
    listed = capsys.readouterr().out.partition("commands:\n")[2].splitlines()
    assert [line.split(maxsplit=1) for line in listed] == [[name, purpose] for name, purpose in COMMANDS.items()]


@pytest.mark.parametrize("command", COMMANDS)
def test_usage(command, monkeypatch, capsys):
    assert run(monkeypatch, command, "--help") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"usage: mgca-mm {command} [-h]")


@pytest.mark.parametrize("words", [[], ["trian"], ["train", "--no-such-option"]])
def test_what_is_no_command_line(words, monkeypatch, capsys):
    assert run(monkeypatch, *words) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("usage: mgca-mm") and "Traceback" not in errors


@pytest.mark.parametrize("path", TOOLS, ids=lambda path: path.stem)
def test_tools_are_a_few_lines_over_the_commands(path):
    tree = ast.parse(path.read_text())
    (module,) = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert module.removeprefix("mgca_mm.cli.").replace("_", "-") in COMMANDS and len(path.read_text().splitlines()) < 10
    returns = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text()).body
    (returns,) = [ast.unparse(node.returns) for node in returns if getattr(node, "name", None) == "main"]
    assert ("sys.exit(main())" in path.read_text()) == (returns == "int"), "the exit code would be lost"


def call(monkeypatch, *words):
    """Run a command line in this process, to its end."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/mgca-mm", *words])
    assert main() == 0


def test_what_comes_after_a_preparation_and_a_phantom(tmp_path, monkeypatch, capsys):
    """The command that is named can be copied; a config for each data set, whose data root is the folder."""
    monkeypatch.chdir(tmp_path)
    assert set(CONFIGS) == set(DATA_SETS)
    for config in CONFIGS.values():
        assert find_config(config).is_file()
    call(monkeypatch, "phantom", "--layout", "mimic_cxr", "--patients", "6", "--size", "64", "--out", "a raw")
    command = capsys.readouterr().out.splitlines()[-1]
    assert command == "  mgca-mm prepare mimic_cxr --raw 'a raw' --out data/mimic_cxr"
    words = [*shlex.split(command)[1:], "--vocab-size", "300", "--image-size", "64", "--workers", "1"]
    for more in ([], ["--check"]):
        call(monkeypatch, *words, *more)
        lines = capsys.readouterr().out.splitlines()
        assert lines[-2:] == [
            "data/mimic_cxr is prepared. Next:",
            "  mgca-mm train quickstart/pretrain_resnet18 --cfg-options data_root=data/mimic_cxr",
        ]
    monkeypatch.setattr(sys, "argv", ["tools/prepare_data.py"])
    assert next_step("mimic_cxr", Path("data/mimic_cxr")).splitlines()[1].split()[:2] == ["python", "tools/train.py"]
    (tmp_path / "data/mimic_cxr/images.npy").unlink()
    assert "tables alone" in next_step("mimic_cxr", Path("data/mimic_cxr"))


def test_every_command_has_a_tool():
    assert (
        len(TOOLS) == len(COMMANDS) == len({path.read_text().partition("mgca-mm ")[2].split("`")[0] for path in TOOLS})
    )


@pytest.mark.parametrize("package", ["mgca_mm", "mgca_mm.cli"])
def test_only_the_chosen_command_is_imported(package):
    """From the shell, and the exit code arrives there; the phantom is drawn without torch."""
    program = (
        "import runpy, sys\n"
        f"try: runpy.run_module('{package}', run_name='__main__', alter_sys=True)\n"
        "finally: print(*(name for name in sys.modules if name == 'torch' or name.startswith('mgca_mm.cli.')))"
    )
    command = [sys.executable, "-c", program, "phantom", "--patients", "0", "--out", "nowhere"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("error: --patients"), done.stderr
    assert done.stdout.split() == ["mgca_mm.cli.phantom"]


def test_the_front_door_is_lazy():
    program = (
        "import sys, mgca_mm\n"
        "assert 'torch' not in sys.modules and set(mgca_mm.__all__) <= set(dir(mgca_mm))\n"
        "assert not hasattr(mgca_mm, 'get_modal')\n"
        "from mgca_mm import *\n"
        "import mgca_mm.apis\n"
        "assert (get_model, list_models) == (mgca_mm.apis.get_model, mgca_mm.apis.list_models)\n"
        "assert RadiographInferencer is mgca_mm.apis.RadiographInferencer and load_config('mgca/pretrain_vit').model"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_run_without_a_checkpoint_is_not_tested():
    """No metric of ``save_best`` was a number, and none was saved by epochs."""
    runner = SimpleNamespace(message_hub=SimpleNamespace(runtime_info={"iter": 3}), work_dir="work_dirs/x")
    with pytest.raises(UserError, match=r"no checkpoint in 'work_dirs/x'.*\nSave"):
        train.test_best_checkpoint(runner)


@pytest.mark.parametrize(("options", "splits"), [([], ["train", "val"]), (["--test"], ["train", "val", "test"])])
def test_a_training_needs_no_test_split(monkeypatch, capsys, options, splits):
    """Own data may have none, and benchmarks keep the annotations of theirs."""

    def configure(*_, splits, **__):
        raise UserError(" ".join(splits))

    monkeypatch.setattr(train, "configure_run", configure)
    monkeypatch.setattr(sys, "argv", ["train", "mgca/pretrain_vit", *options])
    with pytest.raises(SystemExit):
        train.main()
    assert capsys.readouterr().err == f"error: {' '.join(splits)}\n"
