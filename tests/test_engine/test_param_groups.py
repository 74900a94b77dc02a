"""One parameter group for each set of settings, and checkpoints with one for each parameter."""

import gc

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import nn

from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL
from tests.test_faults import runs

ONE_EACH, MERGED = "DefaultOptimWrapperConstructor", "mgca_mm.MergedGroupsOptimWrapperConstructor"
KEYS = {"prototypes": dict(lr_mult=0.5, decay_mult=0.0), "projector.norm": dict(decay_mult=0.0)}
# Settings and the number of groups.
PARAMWISE = [
    (dict(norm_decay_mult=0.0, bias_decay_mult=0.0, custom_keys=KEYS), 4),
    (dict(bias_lr_mult=2.0, flat_decay_mult=0.5, bypass_duplicate=True), 3),
    (dict(dwconv_decay_mult=0.0), 1),  # no parameter is one of those
]


def make_groups(model, paramwise_cfg, constructor):
    cfg = dict(optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.1), paramwise_cfg=paramwise_cfg)
    return build_optim_wrapper(model, dict(**cfg, constructor=constructor)).optimizer.param_groups


def settings_of(groups):
    return {
        p: {key: value for key, value in group.items() if key != "params"} for group in groups for p in group["params"]
    }


@pytest.mark.parametrize(("paramwise_cfg", "count"), [*PARAMWISE, (None, 1)])
def test_each_parameter_has_the_settings_that_mmengine_gives_it(paramwise_cfg, count):
    model = MODELS.build(SMALL_MODEL)
    model.image_encoder.backbone.patch_embed.requires_grad_(False)
    groups = make_groups(model, paramwise_cfg, MERGED)
    assert settings_of(groups) == settings_of(make_groups(model, paramwise_cfg, ONE_EACH))
    assert len(groups) == count
    assert sum(len(group["params"]) for group in groups) == len(settings_of(groups)) > 50


def test_shared_parameters():
    """Twice in one group, torch would only warn and step them twice."""
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    with pytest.raises(UserError, match="bypass_duplicate=True"):
        make_groups(model, dict(flat_decay_mult=0.0), MERGED)
    groups = make_groups(model, dict(flat_decay_mult=0.0, bypass_duplicate=True), MERGED)
    assert [len(group["params"]) for group in groups] == [1, 2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A prepared data set."""
    init_default_scope("mgca_mm")
    gc.freeze()  # MMEngine collects garbage for every data set, of all that pytest holds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "pretty_text", "")  # formatted four times a run, in a second
        yield runs.make_data(tmp_path_factory.mktemp("groups"))
    gc.unfreeze()


def train(work_dir, data, constructor, paramwise_cfg, epochs=2, resume=None, runner=PrivateRunner):
    """A run of two epochs, or the first of them; its last checkpoint."""
    cfg = runs.make_config(
        data,
        work_dir,
        epochs=2,
        batch_size=8,
        experiment_name="-".join(work_dir.parts[-2:]),
        optim_wrapper=dict(optimizer=dict(weight_decay=0.1), constructor=constructor, paramwise_cfg=paramwise_cfg),
    )
    cfg.train_cfg.max_epochs = epochs
    cfg.resume, cfg.load_from = resume is not None, resume and str(resume)
    runner.from_cfg(cfg).train()
    return torch.load(work_dir / f"epoch_{epochs}.pth", weights_only=True)


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    """Checkpoint of the first epoch as MMEngine's constructor has it, which is as it was before there was ours."""
    work_dir = tmp_path_factory.mktemp("first")
    assert len(train(work_dir, data, ONE_EACH, PARAMWISE[0][0], epochs=1)["optimizer"]["param_groups"]) > 50
    return work_dir / "epoch_1.pth"


def test_resumed_from_one_group_a_parameter(first, data, tmp_path):
    """Bit for bit what an unbroken run ends with, and the same log."""
    paramwise_cfg, count = PARAMWISE[0]
    unbroken = train(tmp_path / "unbroken", data, MERGED, paramwise_cfg)
    resumed = train(tmp_path / "resumed", data, MERGED, paramwise_cfg, resume=first)
    assert len(resumed["optimizer"]["param_groups"]) == count
    for part in ("state_dict", "optimizer", "param_schedulers"):
        runs.assert_equal(resumed[part], unbroken[part], part)
    for name in ("train/lr", "train/base_lr", "train/loss"):
        runs.assert_equal(*(found["message_hub"]["log_scalars"][name] for found in (resumed, unbroken)), name)


def test_resumed_into_a_single_group(data, tmp_path):
    """Which has no settings of its own beside the optimiser's."""
    paramwise_cfg, _ = PARAMWISE[2]
    train(tmp_path / "first", data, ONE_EACH, paramwise_cfg, epochs=1)
    unbroken = train(tmp_path / "unbroken", data, MERGED, paramwise_cfg)
    resumed = train(tmp_path / "resumed", data, MERGED, paramwise_cfg, resume=tmp_path / "first/epoch_1.pth")
    for part in ("state_dict", "optimizer", "param_schedulers"):
        runs.assert_equal(resumed[part], unbroken[part], part)


def test_resumed_by_a_stock_runner(first, data, tmp_path):
    """Which draws augmentations anew: as it resumes with groups that need no translation."""
    one_each, merged = (
        train(tmp_path / constructor, data, constructor, PARAMWISE[0][0], resume=first, runner=Runner)
        for constructor in (ONE_EACH, MERGED)
    )
    assert len(merged["optimizer"]["param_groups"]) < len(one_each["optimizer"]["param_groups"])
    runs.assert_equal(merged["state_dict"], one_each["state_dict"])


def test_settings_that_differ_within_a_group_are_refused(first, data, tmp_path):
    content = torch.load(first, weights_only=True)
    content["optimizer"]["param_groups"][-1]["lr"] *= 2
    torch.save(content, tmp_path / "c.pth")
    with pytest.raises(UserError, match="other parameter groups"):
        train(tmp_path / "run", data, MERGED, PARAMWISE[0][0], resume=tmp_path / "c.pth")
