"""The folder of a run stands for the checkpoint that validation has chosen, at every door."""

import os

import pytest
import torch
from mmengine.runner import load_checkpoint

from mgca_mm.apis import config_beside
from mgca_mm.checkpoints.selection import select_checkpoint
from mgca_mm.engine import install
from mgca_mm.engine.pretrained import CompletePretrainedInit, load_complete_model
from mgca_mm.errors import UserError

install()


@pytest.fixture
def fill(tmp_path):
    """Write files of these names, the oldest first, and the pointer to the last training checkpoint."""

    def fill_folder(*names, folder=tmp_path, pointer=None):
        folder.mkdir(exist_ok=True)
        for age, name in enumerate(names):
            torch.save({"state_dict": {"weight": torch.full((2,), float(age)), "bias": torch.zeros(2)}}, folder / name)
            os.utime(folder / name, (age, age))
        if pointer:
            (folder / "last_checkpoint").write_text(f"/where/it/was/{pointer}")
        return folder

    return fill_folder


@pytest.mark.parametrize(
    ("names", "pointer", "expected"),
    [
        (["epoch_49.pth", "best_loss_epoch_37.pth", "epoch_50.pth"], "epoch_50.pth", "best_loss_epoch_37.pth"),
        (["best_det_mAP_iter_240.pth"], None, "best_det_mAP_iter_240.pth"),  # copied alone
        # The former one stays where a run was killed before it was removed.
        (["best_loss_epoch_9.pth", "best_loss_epoch_10.pth", "epoch_10.pth"], None, "best_loss_epoch_10.pth"),
        (["epoch_2.pth", "epoch_1.pth"], "epoch_2.pth", "epoch_2.pth"),
        (["epoch_1.pth", "iter_7.pth"], None, "iter_7.pth"),
        (["best_of_mine.pth", "epoch_1.pth"], None, "epoch_1.pth"),
    ],
)
def test_best_or_last(fill, names, pointer, expected, monkeypatch):
    told = []
    monkeypatch.setattr("mgca_mm.checkpoints.selection.print_log", lambda message, logger: told.append(message))
    folder = fill(*names, pointer=pointer)
    assert select_checkpoint(folder) == str(folder / expected)
    assert f"{expected} is taken from" in told[0]


@pytest.mark.parametrize(
    "names",
    [
        ["best_loss_epoch_3.pth", "best_i2t_R@5_epoch_4.pth"],  # two metrics
        ["best_loss_epoch_40.pth", "best_loss_epoch_3.pth"],  # another run in the same folder
    ],
)
def test_an_unclear_choice_lists_the_files(fill, names):
    with pytest.raises(UserError, match="several best") as error:
        select_checkpoint(fill(*names))
    assert all(name in str(error.value) for name in names)


def test_a_folder_without_checkpoints(tmp_path):
    with pytest.raises(UserError, match="folder without a checkpoint"):
        select_checkpoint(tmp_path)


def test_checkpoints_that_were_written_elsewhere(fill, tmp_path):
    """``out_dir`` of the hook: the work dir has the pointer alone."""
    elsewhere = fill("epoch_2.pth", "best_loss_epoch_1.pth", folder=tmp_path / "elsewhere")
    (tmp_path / "last_checkpoint").write_text(str(elsewhere / "epoch_2.pth"))
    assert select_checkpoint(tmp_path) == str(elsewhere / "best_loss_epoch_1.pth")


@pytest.mark.parametrize("name", ["absent.pth", "torchvision://resnet50", "https://example.org/epoch_1.pth"])
def test_anything_else_is_left_alone(name):
    assert select_checkpoint(name) == name


def test_every_loading_takes_a_folder(fill):
    """tools/test.py, init_cfg, load_from; the config beside it."""
    folder = fill("best_loss_epoch_1.pth", "epoch_2.pth")
    for load in (load_complete_model, lambda model, path: CompletePretrainedInit(path)(model), load_checkpoint):
        model = torch.nn.LayerNorm(2)
        load(model, str(folder))
        assert torch.equal(model.weight.detach(), torch.zeros(2))  # the best one's
    (folder / "config.py").write_text("a = 1")
    assert config_beside(folder) == config_beside(folder / "epoch_2.pth") == folder / "config.py"
