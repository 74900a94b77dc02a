"""The length of a training, the samples of a step, and what a run's start refuses in one line."""

import json
import os
import shutil
import subprocess
import sys

import pytest
from mmengine.config import Config

from mgca_mm.cli import train as cli_train
from mgca_mm.engine.config import load_config
from mgca_mm.engine.launch import configure_run
from mgca_mm.errors import UserError
from tests.conftest import ROOT

VIT = str(ROOT / "configs/mgca/pretrain_vit.py")
QUICKSTART = str(ROOT / "configs/quickstart/pretrain_resnet18.py")
SLOW = pytest.mark.slow
RECIPES = [
    path
    for folder in ("mgca", "downstream/classification", "downstream/detection", "downstream/segmentation", "quickstart")
    for path in sorted((ROOT / "configs" / folder).glob("*.py"))
    if "train_cfg" in load_config(str(path))
]


def ends(cfg):
    return [(each.get("begin", 0), each.end, each.get("T_max")) for each in cfg.param_scheduler]


@pytest.mark.parametrize("key", ["max_epochs", "train_cfg.max_epochs"])
@pytest.mark.parametrize(
    ("epochs", "expected"),
    [
        (50, [(0, 20, None), (20, 50, 30)]),
        (100, [(0, 40, None), (40, 100, 60)]),
        (10, [(0, 4, None), (4, 10, 6)]),
        (2, [(0, 1, None), (1, 2, 1)]),
        (1, [(0, 1, 1)]),
    ],
)
def test_the_schedule_follows(key, epochs, expected):
    cfg = load_config(VIT, {key: epochs})
    assert cfg.train_cfg.max_epochs == cfg.max_epochs == epochs and ends(cfg) == expected


@pytest.mark.parametrize("line", ["max_epochs = 10", "train_cfg = dict(max_epochs=10)"])
def test_a_config_of_ones_own_sets_the_length(line, tmp_path):
    path = tmp_path / "own.py"
    path.write_text(f"_base_ = ['{VIT}']\n{line}\n")
    cfg = load_config(str(path))
    assert cfg.train_cfg.max_epochs == 10 and ends(cfg) == [(0, 4, None), (4, 10, 6)]


def test_a_schedule_of_ones_own_stays(tmp_path):
    path = tmp_path / "own.py"
    own = "param_scheduler = [dict(type='LinearLR', begin=0, end=7), dict(type='CosineAnnealingLR', T_max=23, begin=7, "
    path.write_text(f"_base_ = ['{VIT}']\n{own}end=30)]\ntrain_cfg = dict(max_epochs=30)\n")
    assert ends(load_config(str(path))) == [(0, 7, None), (7, 30, 23)]
    warm_up = "param_scheduler = [dict(type='LinearLR', begin=0, end=5)]"
    path.write_text(f"_base_ = ['{VIT}']\n{warm_up}\ntrain_cfg = dict(max_epochs=30)\n")
    assert ends(load_config(str(path), {"max_epochs": 60})) == [(0, 5, None)]


def test_a_loop_that_counts_iterations():
    with pytest.raises(UserError, match="this training counts iterations"):
        load_config(str(ROOT / "configs/quickstart/classification_rsna.py"), {"max_epochs": 3})


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_every_recipe_has_its_batch(path):
    cfg = load_config(str(path))
    processes = 2 if path.stem.startswith("released") else 1  # the authors' two GPUs
    assert cfg.auto_scale_lr == dict(base_batch_size=cfg.train_dataloader.batch_size * processes, enable=False)


def test_without_workers_no_option_of_theirs_is_left():
    options = {f"{split}_dataloader.num_workers": 0 for split in ("train", "val", "test")}
    cfg = load_config(VIT, options | {"train_dataloader.prefetch_factor": 4})
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        assert loader.persistent_workers is False and loader.get("prefetch_factor") is None


def test_total_batch(prepared, tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_NTASKS", "4")
    options = {"data_root": str(prepared / "data"), "optim_wrapper.accumulative_counts": 3}
    monkeypatch.setattr("mgca_mm.engine.launch.prepare_ranks", lambda cfg: None)

    def configure(total):
        return configure_run(QUICKSTART, options, str(tmp_path), "slurm", total_batch=total)

    cfg = configure(144)
    assert (cfg.train_dataloader.batch_size, cfg.val_dataloader.batch_size) == (12, 16)
    with pytest.raises(UserError, match="100 cannot be divided by 12"):
        configure(100)


def train(work_dir, prepared, *arguments, ranks=1, **options):
    """A training of two epochs by the command line; what it says, and the rates of its log."""
    options = {
        "data_root": prepared / "data",
        "text_model": prepared / "text_model",
        "model.image_encoder.input_size": 64,
        "model.text_encoder.config.num_hidden_layers": 1,
        "model.text_encoder.config.hidden_size": 32,
        "model.text_encoder.config.intermediate_size": 32,
        "model.projector.hidden_channels": 16,
        "train_dataloader.batch_size": 4,
        "train_dataloader.num_workers": 0,
        "val_dataloader.num_workers": 0,
        "default_hooks.logger.interval": 1,
        **options,
    }
    command = [sys.executable, "tools/train.py"]
    if ranks > 1:
        command = ["bash", "tools/dist_train.sh"]
    changes = [f"{key}={value}" for key, value in options.items()]
    size = [str(ranks)] if ranks > 1 else []
    done = subprocess.run(
        [*command, QUICKSTART, *size, "--work-dir", str(work_dir), *arguments, "--cfg-options", *changes],
        cwd=ROOT,
        env={**os.environ, "PYTHON": sys.executable, "OMP_NUM_THREADS": "1", "PORT": "29641"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    rates = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in map(json.loads, path.read_text().splitlines()):
            if "lr" in line:
                rates[line["step"]] = line["lr"]
    return done, rates


@pytest.fixture(scope="module")
def trained(prepared, tmp_path_factory):
    """A run of two epochs of the three that its schedule is for, stopped there."""
    work_dir = tmp_path_factory.mktemp("trained")
    done, rates = train(work_dir, prepared, max_epochs=2, **{"auto_scale_lr.base_batch_size": 12})
    assert done.returncode == 0, done.stderr[-3000:]
    return work_dir, done, rates


def test_the_log_says_what_a_step_is(trained):
    said = trained[1].stdout + trained[1].stderr
    assert "4 pairs a step = 1 rank × 4" in said
    assert "The recipe has 12 pairs a step, this run 4, at the same learning rate" in said


def train_here(monkeypatch, work_dir, prepared, *arguments, **options):
    """``mgca-mm train`` of the quickstart, made small, in this process; its exit code."""
    options = {"data_root": prepared / "data", "max_epochs": 1, "model.image_encoder.input_size": 64, **options}
    options |= {f"{split}_dataloader.num_workers": 0 for split in ("train", "val")}
    changes = [f"{key}={value}" for key, value in options.items()]
    words = ["train.py", "custom/pretrain_resnet18", "--work-dir", str(work_dir), *arguments, "--cfg-options", *changes]
    monkeypatch.setattr(sys, "argv", words)
    monkeypatch.setattr("mgca_mm.cli.train.keep_files_private", lambda: None)
    try:
        cli_train.main()
    except SystemExit as exit_:
        return exit_.code
    return 0


@pytest.mark.parametrize("arguments", [(), pytest.param(("--auto-scale-lr",), marks=SLOW)])
def test_fewer_pairs_than_the_batch(arguments, prepared, tmp_path, monkeypatch):
    """All of them make a step; the log says so, and what is written down has the batch that was."""
    count = len(json.loads((prepared / "data/train.json").read_text())["data_list"])
    assert 2 < count < 64
    assert train_here(monkeypatch, tmp_path, prepared, *arguments) == 0
    (log,) = tmp_path.glob("*/*.log")
    said = log.read_text()
    assert f"{count} pairs a step = 1 rank × {count}" in said
    expected = f"but there are {count}: its rate stays", f"rate is multiplied by {count / 64:.4g}"
    assert expected[len(arguments)] in said and "WARNING - The recipe has" not in said
    cfg = Config.fromfile(tmp_path / "pretrain_resnet18.py")
    assert cfg.train_dataloader.batch_size == count and (tmp_path / "best_loss_epoch_1.pth").is_file()


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        (("--total-batch", "64"), {}, "training samples do not fill the batch of 64 on each rank that is asked for"),
        ((), {"train_dataloader.batch_size": 60}, "training samples do not fill the batch of 60"),
        ((), {"train_dataloader.dataset.indices": 1}, "1 training samples are too few for 1 rank(s): each needs two"),
    ],
)
def test_a_batch_that_cannot_be(arguments, options, told, prepared, tmp_path, monkeypatch, capsys):
    assert train_here(monkeypatch, tmp_path, prepared, *arguments, **options) == 2
    error = capsys.readouterr().err.partition("error: ")[2].splitlines()
    assert told in error[0] and len(error) == 2


@pytest.mark.parametrize(
    ("options", "ranks", "told"),
    [
        (dict(max_epochs=4), 1, "train_cfg.max_epochs was 2, is 4"),
        pytest.param({"max_epochs": 4, "train_dataloader.batch_size": 2}, 1, "samples a step was 4, is 2", marks=SLOW),
        pytest.param({"max_epochs": 4, "train_dataloader.batch_size": 2}, 2, "ranks was 1, is 2", marks=SLOW),
        pytest.param(
            {"max_epochs": 4, "optim_wrapper.optimizer.lr": 1e-4},
            1,
            "optim_wrapper.optimizer.lr was 0.001, is 0.0001",
            marks=SLOW,
        ),
        pytest.param(
            {"max_epochs": 4, "param_scheduler.1.eta_min": 1e-4},
            1,
            "param_scheduler.1.eta_min was not there, is 0.0001",
            marks=SLOW,
        ),
    ],
    ids=["longer", "half the batch", "twice the ranks", "another rate", "another schedule"],
)
def test_a_resumed_run_has_the_rates_of_its_config(options, ranks, told, trained, prepared, tmp_path):
    """Those of a run that has had this config from its beginning."""
    shutil.copytree(trained[0], tmp_path / "resumed")
    done, rates = train(tmp_path / "resumed", prepared, "--resume", ranks=ranks, **options)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"Changed since the checkpoint: {told}" in done.stdout + done.stderr
    whole, expected = train(tmp_path / "whole", prepared, ranks=ranks, **options)
    assert whole.returncode == 0, whole.stderr[-3000:]
    half = len(expected) // 2
    assert max(expected) == max(rates)
    for step in list(expected)[half:]:
        assert rates[step] == pytest.approx(expected[step], rel=1e-9), step


def test_start_up_errors_are_one_line(prepared, tmp_path):
    (tmp_path / "file").write_text("")
    for work_dir, words in ((tmp_path / "file", "cannot be used"), ("/proc/x", "cannot be used")):
        with pytest.raises(UserError, match=words):
            configure_run(QUICKSTART, {"data_root": str(prepared / "data")}, str(work_dir))
    options = {"data_root": str(prepared / "data"), "visualizer.vis_backends": [dict(type="ClearMLVisBackend")]}
    with pytest.raises(UserError, match="ClearMLVisBackend needs the package clearml, which is not installed"):
        configure_run(QUICKSTART, options, str(tmp_path / "work"))
    options["visualizer.vis_backends"] = [dict(type="Visualizer")]  # no backend, and no package either
    assert configure_run(QUICKSTART, options, str(tmp_path / "work"))


def test_lines_of_the_log_hold_one_kind_of_value():
    """Means over the window in training, the validation's own values in validation."""
    from types import SimpleNamespace

    from mmengine.logging import MessageHub
    from mmengine.registry import LOG_PROCESSORS

    hub = MessageHub.get_instance("one_kind_of_value")
    for value in (1.0, 3.0):
        for name in ("train/loss", "train/acc", "train/lr", "val/loss", "val/R@1"):
            hub.update_scalar(name, value)
    processor = LOG_PROCESSORS.build(dict(type="LogProcessor", window_size=2))
    runner = SimpleNamespace(message_hub=hub, iter=1)
    assert processor._collect_scalars([], runner, "train") == dict(loss=2.0, acc=2.0, lr=3.0)
    assert processor._collect_scalars([], runner, "val") == {"loss": 3.0, "R@1": 3.0}
