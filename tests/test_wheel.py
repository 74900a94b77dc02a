"""What works in the clone works from the wheel, in an environment of its own and another folder."""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.slow  # a minute: five processes import torch
SOURCE = ("mgca_mm", "configs", "tools", "requirements", "README.md", "LICENSE", "CHANGELOG.md", "model-index.yml")
SOURCE += ("pyproject.toml", "setup.py", "MANIFEST.in")


def call(*command, cwd=None, codes=(0,)):
    """What a command prints; nothing of this clone is on its path."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(word) for word in command]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode in codes, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout if codes == (0,) else done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy: a build leaves files of its own in the tree."""
    folder = tmp_path_factory.mktemp("source")
    for name in SOURCE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        ignore = {"ignore": shutil.ignore_patterns("__pycache__", ".mim")} if (ROOT / name).is_dir() else {}
        copy(ROOT / name, folder / name, **ignore)
    offline = ("--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check")
    call(sys.executable, "-m", "pip", "wheel", *offline, "--wheel-dir", folder / "dist", folder)
    (file,) = (folder / "dist").glob("*.whl")
    return file


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """``bin`` of an environment that has the wheel, and of our own one the libraries, but no mgca_mm."""
    folder = tmp_path_factory.mktemp("environment")
    call(sys.executable, "-m", "venv", "--without-pip", folder)
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python", "--disable-pip-version-check")
    call(*pip, "install", "--no-deps", "--no-index", wheel)
    (packages,) = folder.glob("lib/python*/site-packages")
    # Links of editable installations, which files of this kind hold as well, are not followed from here.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin"


def test_everything_is_in_the_wheel(wheel):
    names = call(sys.executable, "-m", "zipfile", "--list", wheel).split()
    for folder, prefix in (("mgca_mm", ""), ("configs", "mgca_mm/.mim/"), ("tools", "mgca_mm/.mim/")):
        for path in (ROOT / folder).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            assert ".mim" in name or f"{prefix}{name}" in names, name
    for path in (ROOT / "configs").glob("[!_]*/**/*.py"):
        assert f"mgca_mm/.mim/by_name/{'_'.join(path.relative_to(ROOT / 'configs').parts)}" in names
    assert "mgca_mm/visualization/html_report.html" in names
    assert "mgca_mm/.mim/model-index.yml" in names and not any(name.startswith("tests") for name in names)


def test_training_an_iteration(installed, prepared, tmp_path):
    options = [f"data_root={prepared / 'data'}", "max_epochs=1", "train_dataloader.dataset.indices=4"]
    options += ["train_dataloader.batch_size=4", "val_dataloader.batch_size=4"]
    options += [f"{split}_dataloader.num_workers=0" for split in ("train", "val")]
    call(installed / "mgca-mm", "train", "quickstart/pretrain_resnet18", "--cfg-options", *options, cwd=tmp_path)
    assert (tmp_path / "work_dirs/pretrain_resnet18/epoch_1.pth").is_file()


def test_the_demo(installed, tmp_path):
    """The whole job, on few patients and for an epoch, in a folder with a space in its name."""
    (tmp_path / "small.py").write_text(
        "import sys\n"
        "from mgca_mm.cli import demo\n"
        "demo.PATIENTS, demo.EPOCHS, sys.argv = 70, 1, ['demo', '--out', 'a demo']\n"
        "sys.exit(demo.main())\n"
    )
    printed = call(installed / "python", "small.py", cwd=tmp_path)
    assert printed.count("\n== ") == 5 and "| gain |" in printed
    page = (tmp_path / "a demo/report.html").read_text()
    assert "Made data" in page and "mgca-mm train quickstart/pretrain_resnet18" in page and "in all" in page
    assert str(tmp_path) not in page
    assert call(installed / "python", "small.py", cwd=tmp_path).count("nothing to do") == 5


def test_jobs_of_the_grid_find_command_and_config(installed, tmp_path):
    """A command of a dry run, which misses nothing but its data; and the first job of the comparison."""
    lines = call(installed / "mgca-mm", "reproduce", "table2", "--dry-run", cwd=tmp_path).splitlines()
    jobs = [line for line in lines if " train " in line]
    assert jobs and all(" train downstream/detection/" in line for line in jobs), "Table 2 has detection only"
    command = shlex.split(next(line for line in jobs if " downstream/detection/rsna_resnet50 " in line))
    assert command[0].startswith(str(installed))
    errors = call(*command, cwd=tmp_path, codes=(2,))
    assert f"error: '{tmp_path}/data/rsna_pneumonia' has nothing for the detection" in errors
    words = ("--data", "absent", "--methods", "clip", "--seeds", "42")
    errors = call(installed / "mgca-mm", "compare", *words, cwd=tmp_path, codes=(2,))
    assert "train quickstart/pretrain_clip_resnet18 failed: " in errors


def test_python(installed, tmp_path):
    """The front door, and configs on ours in a program that has imported nothing else."""
    (tmp_path / "mine.py").write_text("_base_ = 'mgca_mm::mgca/pretrain_vit.py'\n")
    (tmp_path / "program.py").write_text(
        "import mgca_mm, numpy, sys\n"
        "from mmengine.config import Config\n"
        "assert mgca_mm.__file__.startswith(sys.prefix)\n"
        "assert Config.fromfile('mine.py').model.type == 'ImageReportPretrainer'\n"
        "assert 'mgca/pretrain_vit' in mgca_mm.list_models()\n"
        "model = mgca_mm.get_model('quickstart/pretrain_resnet18', device='cpu')\n"
        "from mmengine.hub import get_model\n"
        "assert type(get_model('mgca_mm::quickstart/pretrain_resnet18.py')) is type(model)\n"
        "by_name = Config.fromfile(f'{mgca_mm.__path__[0]}/.mim/by_name/quickstart_pretrain_resnet18.py')\n"
        "assert by_name.model == model.cfg.model\n"
        "print(*model.encode_images(numpy.zeros((2, 112, 112), numpy.uint8)).shape)\n"
    )
    assert call(installed / "python", "program.py", cwd=tmp_path).splitlines()[-1] == "2 128"
