"""The grid of the paper's tables: its cells, their repetition, the report. The runs themselves are small scripts."""

import csv
import json
import re
import shlex
import sys
import threading
import time
from pathlib import Path

import pytest

from mgca_mm.cli.reproduce import read_inits
from mgca_mm.engine.config import find_config
from mgca_mm.errors import UserError
from mgca_mm.reproduction import grid, jobs, settings
from mgca_mm.reproduction.grid import Cell, Profile, cells_of, command_of, run_cell
from mgca_mm.reproduction.paper import paper_number, paper_text
from mgca_mm.reproduction.phantom import PRETRAINING, pretrain
from mgca_mm.reproduction.report import read_cells, summarize, write_report
from mgca_mm.reproduction.settings import ABLATIONS, SETTINGS, TABLES
from tests.command_line import call
from tests.conftest import ROOT

PROFILE = Profile(Path("data"))


def test_every_setting_has_its_configs():
    for setting in SETTINGS.values():
        for encoder in ("vit", "resnet50"):
            config = PROFILE.config.format(task=setting.task, name=setting.name, encoder=encoder)
            assert find_config(config).is_file()
        assert find_config(f"quickstart/{setting.key}").is_file()


def test_cells_are_run_once_though_tables_share_them():
    cells = cells_of(["table1", "table4", "table6"], ["random", "mgca"], [1, 10], [42, 43], PROFILE)
    assert len(set(cells)) == len(cells)
    # table1: 3 settings x 2 encoders x 2 inits; table4 adds SIIM with MGCA's ResNet-50; x 2 shares x 2 seeds
    assert len(cells) == (3 * 2 * 2 + 1) * 2 * 2
    assert [cell.percent for cell in cells] == sorted(cell.percent for cell in cells)


def test_tables_are_numbered_as_in_the_paper():
    chexpert, rsna, covidx = (f"classification_{name}" for name in ("chexpert", "rsna", "covidx"))
    vit, resnet50 = ("vit",), ("resnet50",)
    assert {name: dict(table.encoders) for name, table in TABLES.items()} == {
        "table1": dict.fromkeys((chexpert, rsna, covidx), resnet50 + vit),
        "table2": dict.fromkeys(("detection_rsna", "detection_object_cxr"), resnet50),
        "table3": dict.fromkeys(("segmentation_siim", "segmentation_rsna"), resnet50),
        "table4": {chexpert: vit, rsna: vit, "segmentation_siim": resnet50},
        "table5": dict.fromkeys((chexpert, rsna), vit),
        "table6": dict.fromkeys((chexpert, rsna, covidx), vit),
    }
    assert TABLES["table4"].inits == (*ABLATIONS, "mgca") and TABLES["table5"].inits == ("blip", "mgca")


@pytest.mark.parametrize(("own", "subsets"), [(False, {42}), (True, {42, 43, 44})])
def test_the_subset_stays_the_same_unless_each_run_asks_for_its_own(own, subsets):
    cells = cells_of(["table2"], ["mgca"], [1, 100], [42, 43, 44], PROFILE, own_subsets=own)
    assert {cell.seed for cell in cells} == {42, 43, 44} and len({cell.name for cell in cells}) == len(cells) == 12
    assert {cell.subset_seed for cell in cells if cell.percent == 1} == subsets
    assert {cell.subset_seed for cell in cells if cell.percent == 100} == {42}  # there is no subset: one cell for both


def test_the_ablation_has_rows_of_its_own():
    inits = ["random", *ABLATIONS, "mgca"]
    assert {cell.init for cell in cells_of(["table4"], inits, [1], [42], PROFILE)} == {*ABLATIONS, "mgca"}
    assert {cell.init for cell in cells_of(["table1"], inits, [1], [42], PROFILE)} == {"random", "mgca"}


@pytest.mark.parametrize(
    ("key", "percent", "expected"),
    [
        ("classification_chexpert", 1, "train_dataloader.dataset.subset=subsets/train_1pct_seed43.txt"),
        ("detection_rsna", 10, "train_dataloader.dataset.ann_file=detection/subsets/train_10pct_seed43.json"),
        ("segmentation_siim", 1, "train_dataloader.dataset.ann_file=segmentation/subsets/train_1pct_seed43.txt"),
        ("detection_rsna", 100, None),
    ],
)
def test_command(key, percent, expected, tmp_path):
    words = command_of(Cell(SETTINGS[key], "resnet50", "mgca", percent, 44, 43), tmp_path, "encoder.pth", PROFILE)
    assert (
        words[1].endswith("mgca_mm/cli/__main__.py")
        and words[2] == "train"
        and "--test" in words
        and "randomness.seed=44" in words
    )
    assert "image_init=encoder.pth" in words
    assert (expected in words) if expected else not any("subsets/" in word for word in words)
    small = "optim_wrapper.optimizer.lr=2e-4"  # docs/protocol.md#detection
    one_percent = command_of(Cell(SETTINGS[key], "resnet50", "mgca", 1, 43), tmp_path, "encoder.pth", PROFILE)
    assert (small in one_percent) == key.startswith("detection")


@pytest.fixture
def scripted(monkeypatch):
    """Cells that write a score, or fail; returns the list of those that ran."""
    ran = []

    def command(cell, folder, checkpoint, profile):
        ran.append(cell.name)
        score = 50 + cell.seed - 42 + 10 * (cell.init == "mgca")
        script = f"import json, sys; json.dump({{'{cell.setting.metric}': {score}}}, open('test.json', 'w'))"
        if cell.init == "broken":
            script = "raise SystemExit('no luck')"
        script = f"import os; os.chdir({str(folder / cell.name)!r}); {script}"
        return [sys.executable, "-c", script]

    monkeypatch.setattr(grid, "command_of", command)
    return ran


def cell(init="mgca", percent=1, seed=42, key="classification_rsna"):
    return Cell(SETTINGS[key], "vit", init, percent, seed)


def test_a_cell_with_a_score_is_not_run_again(scripted, tmp_path):
    checkpoint = tmp_path / "encoder.pth"
    checkpoint.write_bytes(b"one")
    first = run_cell(cell(), tmp_path, str(checkpoint), PROFILE)
    assert first["score"] == 60
    marker = tmp_path / cell().name / "test.json"
    marker.unlink()
    assert run_cell(cell(), tmp_path, str(checkpoint), PROFILE) == first and not marker.exists()
    checkpoint.write_bytes(b"another")  # another encoder is another cell
    run_cell(cell(), tmp_path, str(checkpoint), PROFILE)
    assert marker.exists()


def test_a_failed_cell_has_no_score_and_is_tried_again(scripted, tmp_path):
    for _ in range(2):
        result = run_cell(cell("broken"), tmp_path, "random", PROFILE)
        assert result["score"] is None and result["metrics"] == {}
    assert "no luck" in (tmp_path / cell("broken").name / "output.txt").read_text()
    assert not (tmp_path / cell("broken").name / "test.json").exists()


def test_checkpoints_of_a_finished_cell_are_removed(scripted, tmp_path):
    for init, left in (("mgca", []), ("broken", ["epoch_1.pth"])):
        folder = tmp_path / cell(init).name
        folder.mkdir(parents=True)
        (folder / "epoch_1.pth").write_bytes(b"")
        run_cell(cell(init), tmp_path, "random", PROFILE)
        assert [path.name for path in folder.glob("*.pth")] == left


def test_report(scripted, tmp_path):
    cells = [cell(init, percent, seed) for init in ("mgca", "broken") for percent in (1, 10) for seed in (42, 43, 44)]
    results = {each: run_cell(each, tmp_path / "runs", "random", PROFILE) for each in cells}
    summary = summarize(results)
    key = ("classification_rsna", "vit", "mgca", 1)
    assert (summary[key]["mean"], summary[key]["sd"], summary[key]["seeds"]) == (61, 1, 3)
    assert summary[key]["paper"] == 89.1
    text = write_report(tmp_path, ["table1"], results, ["mgca", "broken"], PROFILE, "A heading.")
    row = next(line for line in text.splitlines() if line.startswith("| mgca, vit"))
    not_run = "not run | not run"
    assert row == f"| mgca, vit | {not_run} | 61.0 ± 1.0 [89.1] | 61.0 ± 1.0 [89.9] | {not_run} |"
    assert f"| broken, vit | {not_run} | failed | failed | {not_run} |" in text and "A heading." in text
    assert (tmp_path / "report.md").read_text() == text
    with open(tmp_path / "report.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and rows[0]["mean"] == "61" and rows[2]["failed"] == "3"
    assert read_cells(tmp_path / "report.json")[0]["paper"] == 89.1
    assert (tmp_path / "classification_rsna.png").stat().st_size > 5000


def test_report_of_the_error_bars_has_the_spread_of_the_paper(tmp_path):
    results = {cell(seed=seed): {"score": 80.0 + seed, "seconds": 1.0} for seed in (42, 43)}
    text = write_report(tmp_path, ["table4", "table6"], results, ["mgca"], PROFILE, "")
    rows = [line.split(" | ")[2] for line in text.splitlines() if line.startswith("| mgca, vit")]
    assert rows == ["122.5 ± 0.7 [89.1]", "122.5 ± 0.7 [89.03 ± 0.11]"]
    assert "| mgca, vit | not run | 122.5 ± 0.7 [89.1] | – |" in text  # SIIM is there with the ResNet-50 only


@pytest.mark.parametrize("content", ["[]", "{}", '{"cells": []}', '{"cells": [], "schema": 1}'])
def test_reports_of_other_versions_are_refused(content, tmp_path):
    (tmp_path / "report.json").write_text(content)
    with pytest.raises(UserError, match=r"is not a report\.json|another version.*\n.*--resume"):
        read_cells(tmp_path / "report.json")


def test_every_method_is_a_row():
    """Those of configs/ pretrain on the phantom, and stand in the tables beside those the paper has numbers of."""
    methods = {path.parent.name for path in (ROOT / "configs").glob("*/pretrain_vit.py")} - {"custom"}
    methods -= {"mrm"}  # which needs a ViT; the phantom's tables have a ResNet-18
    methods |= {"mgca_same_labels"}  # of the phantom alone
    assert methods | set(ABLATIONS) == set(PRETRAINING)
    assert all(find_config(config).is_file() for config in PRETRAINING.values())
    rows = {cell.init for cell in cells_of(["table1", "table2", "table3"], list(PRETRAINING), [1], [42], PROFILE)}
    assert rows == methods


def test_numbers_of_the_paper():
    assert paper_number("classification_rsna", "resnet50", "vsepp", 100) == 67.9
    assert paper_number("classification_chexpert", "resnet50", "caption_lstm", 10) == 85.3
    assert paper_number("classification_covidx", "resnet50", "dsve", 10) is None
    assert paper_number("classification_chexpert", "resnet50", "random", 1) == 56.1
    assert paper_number("classification_covidx", "vit", "mgca", 100) == 92.3
    assert paper_number("detection_object_cxr", "resnet50", "mgca", 1) is None
    assert paper_number("detection_object_cxr", "resnet50", "mgca", 10) == 12.1
    assert paper_number("segmentation_siim", "resnet50", "ita_cta", 10) == 54.4
    assert paper_number("segmentation_siim", "vit", "mgca", 10) is None
    assert paper_number("classification_rsna", "resnet50", "gloria_chexpert", 1) == 86.1
    assert paper_text("table6", "classification_covidx", "vit", "mgca", 100) == "92.85 ± 0.50"
    assert paper_text("table1", "classification_covidx", "vit", "mgca", 100) == "92.3"
    assert paper_text("table6", "classification_covidx", "vit", "mine", 100) is None


@pytest.mark.parametrize(
    ("words", "phantom", "message"),
    [
        (["mgca"], False, "name what it starts from"),
        (["mgca=FILE"], False, "expected vit:FILE"),
        (["mgca=vit:absent.pth"], False, "no such file: absent.pth"),
        (["mgca=vit:x"], True, "without files"),
        (["blip"], True, "on the phantom there are"),
    ],
)
def test_malformed_inits(words, phantom, message):
    with pytest.raises(UserError, match=message):
        read_inits(words, phantom)


def test_inits(tmp_path):
    file = tmp_path / "vit.pth"
    file.write_bytes(b"")
    inits = read_inits(["random", f"mgca=vit:{file},resnet50:torchvision://resnet50"], False)
    assert inits == {"random": {}, "mgca": {"vit": str(file), "resnet50": "torchvision://resnet50"}}
    best = tmp_path / "best_loss_epoch_4.pth"  # of a run whose folder is named
    best.write_bytes(b"")
    assert read_inits([f"mgca=vit:{tmp_path}"], False) == {"mgca": {"vit": str(best)}}


def test_encoders_of_the_phantom_are_the_best_in_validation(tmp_path):
    run = tmp_path / "pretraining" / "mgca"
    run.mkdir(parents=True)
    for name in ("best_loss_epoch_4.pth", "epoch_5.pth", "epoch_6.pth"):
        (run / name).write_bytes(b"")
    assert pretrain(tmp_path, "mgca") == str(run / "best_loss_epoch_4.pth")


def test_dry_run_prints_commands_and_writes_nothing(tmp_path):
    words = ("--data", tmp_path, "--seeds", 1, "--dry-run", "--out", tmp_path / "out")
    done = call("reproduce", "table3", *words)
    jobs = [shlex.split(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0 and len(jobs) == 2 * 3
    for _, command, word, config, *options in jobs:
        assert command.endswith("/cli/__main__.py") and word == "train" and "image_init=random" in options
        assert config.startswith("downstream/segmentation/")
    assert not (tmp_path / "out").exists()


def test_own_data(tmp_path):
    for name, exclusive in (("mine", {}), ("classes", {"exclusive": True})):
        metainfo = {"dataset": "labels_csv", "split": "train", "classes": ["a", "b"], **exclusive}
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.json").write_text(json.dumps({"metainfo": metainfo, "data_list": []}))
    (tmp_path / "mine" / "segmentation").mkdir()
    (tmp_path / "mine" / "segmentation" / "classes.txt").write_text("background\nlung\n")
    words = [f"classification={tmp_path / 'mine'}", f"segmentation={tmp_path / 'mine'}"]
    done = call("reproduce", *words, "--seeds", 1, "--dry-run", "--out", tmp_path / "out")
    lines = done.stdout.splitlines()
    assert done.returncode == 0 and len(lines) == 2 * 2 * 3
    for line in lines:
        assert re.search(r"train downstream/(classification|segmentation)/custom_(vit|resnet50) ", line)
        assert f"data_root={tmp_path / 'mine'} image_init=random" in line
    for wrong, message in (
        ([f"detection={tmp_path / 'mine'}"], "has nothing for the detection: there is no detection/train.json"),
        ([f"classification={tmp_path / 'none'}"], "train.json' does not exist"),
        (["table7"], "'table7' is no table\nThere are table1, "),
        ([f"sorting={tmp_path}"], "TASK is one of classification, detection, segmentation"),
        ([words[0], "--data", "phantom"], "the phantom has small encoders for its own data"),
    ):
        done = call("reproduce", *wrong, "--dry-run")
        assert done.returncode == 2 and message in done.stderr, done.stderr


def test_metrics_of_own_data(tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "SETTINGS", dict(SETTINGS))
    monkeypatch.setattr(settings, "TABLES", dict(TABLES))
    for name, exclusive, metric in (("many", {}, "cls/macro"), ("one", {"exclusive": True}, "cls/top1")):
        (tmp_path / name).mkdir()
        metainfo = {"dataset": "labels_csv", "split": "train", "classes": ["a", "b"], **exclusive}
        (tmp_path / name / "train.json").write_text(json.dumps({"metainfo": metainfo, "data_list": []}))
        key = settings.add_own_data(f"classification={tmp_path / name}")
        assert key == f"classification_{name}" and settings.SETTINGS[key].metric == metric
        assert settings.TABLES[key].encoders == {key: ("resnet50", "vit")}
    other = tmp_path / "elsewhere" / "one"
    other.parent.mkdir()
    (tmp_path / "one").rename(other)
    with pytest.raises(UserError, match="there is a setting classification_one already"):
        settings.add_own_data(f"classification={other}")


def test_the_command_says_that_two_tables_have_changed_places(tmp_path):
    options = ("--data", tmp_path, "--out", tmp_path / "out", "--dry-run", "--seeds", 1)
    (tmp_path / "mgca.pth").write_bytes(b"")
    done = call("reproduce", "table6", *options, "--inits", f"mgca=vit:{tmp_path / 'mgca.pth'}")
    assert done.returncode == 0 and "table5 is BLIP" in done.stderr and len(done.stdout.splitlines()) == 3 * 3
    done = call("reproduce", "table1", *options)
    assert done.returncode == 0 and "BLIP" not in done.stderr
    done = call("reproduce", "table6", *options, "--inits", f"blip=vit:{tmp_path / 'mgca.pth'}")
    assert done.returncode == 2
    assert "blip: no row of table6; it is one of table1, table2, table3, table5" in done.stderr


def test_results_are_not_overwritten_without_resume(tmp_path):
    (tmp_path / "out" / "runs" / "a").mkdir(parents=True)
    (tmp_path / "out" / "runs" / "a" / "cell.json").write_text("{}")
    done = call("reproduce", "table3", "--data", tmp_path, "--out", tmp_path / "out")
    assert done.returncode == 2 and "--resume" in done.stderr


def test_runs_side_by_side_share_the_machine(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    monkeypatch.setattr(jobs.os, "sched_getaffinity", lambda pid: set(range(8)))
    meet = threading.Barrier(2)  # broken unless two run at the same time

    def run(item, environment):
        meet.wait(timeout=30)
        return environment["CUDA_VISIBLE_DEVICES"], environment["OMP_NUM_THREADS"]

    results = dict(jobs.run_side_by_side(run, [1, 2], 2))
    assert set(results.values()) == {("4", "4"), ("6", "4")}


def test_one_run_at_a_time_has_the_whole_machine(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,6")
    ((_, environment),) = jobs.run_side_by_side(lambda item, environment: environment, [1], 1)
    assert environment == dict(jobs.os.environ)


def test_after_a_failure_nothing_new_begins():
    begun = []

    def run(item, environment):
        begun.append(item)
        if item == 1:
            raise RuntimeError("no luck")
        time.sleep(0.05)

    with pytest.raises(RuntimeError, match="no luck"):
        list(jobs.run_side_by_side(run, list(range(100)), 2))
    assert len(begun) < 100
