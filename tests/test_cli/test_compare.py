"""The table of methods, from results that are there already; nothing is trained."""

import json
import shutil

import pytest

from tests.command_line import call
from tests.test_apis.conftest import save_weights


def write_results(out, method, seeds, scores, recall):
    for seed, score in zip(seeds, scores, strict=True):
        folder = out / f"{method}_seed{seed}" / "probe"
        folder.mkdir(parents=True)
        probe = {
            name: {percent: {"macro": value} for percent in ("1", "10", "100")}
            for name, value in (("random", 50.0), ("pretrained", score))
        }
        retrieval = {} if recall is None else {"i2t_R@5": recall}
        (folder / "probe.json").write_text(json.dumps({"probe": probe, "retrieval": retrieval}))
        if recall is not None:
            grounding = folder.parent / "grounding"
            grounding.mkdir()
            (grounding / "grounding.json").write_text(json.dumps({"ground/pointing": score / 2}))
    (out / f"{method}_step.json").write_text(json.dumps({"ours": {"ms": 123.4, "peak_mb": 567.8}}))


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_table(tmp_path, jobs):
    write_results(tmp_path, "mgca", (42, 43), (80.0, 84.0), 30.0)
    write_results(tmp_path, "caption_lstm", (42, 43), (70.0, 70.0), None)
    words = ("--phrases", tmp_path / "none", "--methods", "mgca", "caption_lstm", "--seeds", 42, 43, "--jobs", jobs)
    done = call("compare", "--data", tmp_path, "--out", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in (tmp_path / "methods.md").read_text().split("\n")
    ]
    assert rows[2] == ["random", *["50.0 ± 0.0"] * 3, "–", "–", "–", "–"]
    assert rows[3] == ["mgca", *["82.0 ± 2.8"] * 3, "30.0 ± 0.0", "41.0 ± 1.4", "123", "568"]
    assert rows[4] == ["caption_lstm", *["70.0 ± 0.0"] * 3, "–", "–", "123", "568"]


def test_grounding_of_another_method(prepared, tmp_path):
    """By its own encoders and projections, from its best checkpoint."""
    write_results(tmp_path, "siglip", [42], [80.0], 30.0)
    folder = tmp_path / "siglip_seed42"
    shutil.rmtree(folder / "grounding")
    save_weights(
        "quickstart/pretrain_siglip_resnet18", folder / "best_loss_epoch_1.pth", {"data_root": str(prepared / "data")}
    )
    words = ("--phrases", prepared / "raw/phantom-phrases.csv", "--methods", "siglip", "--seeds", 42)
    done = call("compare", "--data", prepared / "data", "--out", tmp_path, *words)
    assert done.returncode == 0, done.stderr
    assert not list(folder.glob("*.py")), "the config of the pretraining would not be the only one"
    found = json.loads((folder / "grounding/grounding.json").read_text())
    assert 0 <= found["ground/pointing"] <= 100 and found["ground/chance_pointing"] > 0
    assert f"| {found['ground/pointing']:.1f} |" in (tmp_path / "methods.md").read_text()


def test_a_failed_run_is_told(tmp_path):
    done = call("compare", "--data", tmp_path, "--out", tmp_path / "o", "--methods", "clip", "--seeds", 42)
    assert done.returncode == 2
    assert "train quickstart/pretrain_clip_resnet18 failed: " in done.stderr and "Traceback" not in done.stderr
