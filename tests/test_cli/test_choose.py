"""``mgca-mm choose``: what is far from every prototype, a random list as long, and a training set of either."""

import subprocess

import numpy as np
import pytest
import torch

from mgca_mm.cli.choose import farthest, training_pairs
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.engine.config import load_config
from mgca_mm.errors import UserError
from mgca_mm.prepared import load_prepared, read_names
from mgca_mm.registry import MODELS
from mgca_mm.reproduction.jobs import command_line
from tests.command_line import call

CONFIG = "quickstart/pretrain_resnet18"


def test_what_is_rare_comes_first():
    """Three crowds of 50 and 6 that stand apart from them, the second 3 of these twice as far."""
    rng = np.random.default_rng(0)
    centers = 10 * np.eye(3)
    crowds = np.concatenate([center + rng.normal(0, 0.1, (50, 3)) for center in centers])
    apart = centers[[0, 1, 2, 0, 1, 2]] + np.array([[1], [1], [1], [2], [2], [2]])
    order = rng.permutation(156)
    embeddings = np.concatenate([crowds, apart])[order]
    assert set(order[farthest(embeddings, 3, 6, seed=0)]) == set(range(150, 156))
    assert set(order[farthest(embeddings, 3, 3, seed=0)]) == set(range(153, 156))
    mean = [sum(column) / 156 for column in embeddings.T]  # the center of all, where there is one
    distances = [sum((a - b) ** 2 for a, b in zip(x, mean, strict=True)) for x in embeddings]
    expected = sorted(range(156), key=lambda row: -distances[row])[:20]
    assert list(farthest(embeddings, 1, 20, seed=0)) == expected


@pytest.fixture
def words(prepared, tmp_path):
    torch.save({"state_dict": MODELS.build(load_config(CONFIG).model).state_dict()}, tmp_path / "epoch_1.pth")
    options = (f"data_root={prepared / 'data'}", "test_dataloader.num_workers=0")
    options += ("test_dataloader.persistent_workers=False",)
    return (CONFIG, tmp_path / "epoch_1.pth", "--out", tmp_path / "lists", "--cfg-options", *options)


def test_lists(prepared, words, tmp_path):
    done = call("choose", "--percent", 50, "--prototypes", 2, *words)
    assert done.returncode == 0, done.stderr
    pairs = [row["image_id"] for row in load_prepared(str(prepared / "data/train.json"), ("report",))[1]]
    lists = {name: read_names(tmp_path / f"lists/{name}.txt") for name in ("chosen", "random")}
    for name, image_ids in lists.items():
        assert len(image_ids) == round(len(pairs) / 2) and [i for i in pairs if i in image_ids] == image_ids
        subset = str(tmp_path / f"lists/{name}.txt")
        dataset = ImageReportDataset(prepared / "data", "train.json", subset=subset, pipeline=[])
        assert [row["image_id"] for row in dataset] == image_ids
    assert lists["chosen"] != lists["random"]


def test_in_a_process_of_its_own(words, tmp_path):
    """Where nothing has set a scope for registries before."""
    command = command_line("choose", "--percent", 50, "--prototypes", 2, *words)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lists/chosen.txt").is_file()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (("--percent", 0), "--percent: 0 is not above 0"),
        (("--percent", 101), "--percent: 101 is not above 0 and at most 100"),
        (("--percent", "nan"), "--percent: nan is not above 0"),
        (("--percent", 50, "--seed", -1), "--seed: -1 is not in"),
        (("--percent", 50, "--prototypes", 1000), "cannot be chosen"),
        (("--percent", 0.01, "--prototypes", 2), "cannot be chosen"),
    ],
)
def test_what_cannot_be_chosen(words, wrong, message):
    done = call("choose", *wrong, *words)
    assert done.returncode == 2 and message in done.stderr, done.stderr


@pytest.mark.parametrize("dataset", [dict(reports="elsewhere"), dict(type="ConcatDataset")])
def test_pairs_of_several_folders(prepared, dataset):
    cfg = load_config(CONFIG, {"data_root": str(prepared / "data")})
    cfg.train_dataloader.dataset.update(dataset)
    with pytest.raises(UserError, match="of one prepared folder"):
        training_pairs(cfg)
