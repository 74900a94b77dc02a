"""One parameter group for each set of settings, and checkpoints with one for each parameter."""

import gc
from pathlib import Path

import numpy as np
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
    """A run of two epochs, or the first of them."""
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
    run = runner.from_cfg(cfg)
    run.train()
    return run


def last_checkpoint(run):
    return Path(run.work_dir, f"epoch_{run.max_epochs}.pth")


def assert_equal(found, expected):
    """Bit for bit, in what two runs have saved."""
    found, expected = (torch.load(last_checkpoint(run), weights_only=True) for run in (found, expected))
    for part in ("state_dict", "optimizer", "param_schedulers"):
        runs.assert_equal(found[part], expected[part], part)


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    """Runs of the first epoch, by constructor; that of MMEngine's is as it was before there was ours."""
    work_dir = tmp_path_factory.mktemp("first")
    return {each: train(work_dir / each, data, each, PARAMWISE[0][0], epochs=1) for each in (ONE_EACH, MERGED)}


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    return train(tmp_path_factory.mktemp("unbroken"), data, MERGED, PARAMWISE[0][0])


def test_saved_is_one_group_a_parameter(first):
    """What MMEngine's constructor would have saved, to the bit."""
    assert_equal(first[MERGED], first[ONE_EACH])
    assert len(first[MERGED].optim_wrapper.optimizer.param_groups) == PARAMWISE[0][1]


@pytest.mark.parametrize(("former", "now"), [(ONE_EACH, MERGED), (MERGED, ONE_EACH), (MERGED, MERGED)])
def test_resumed_by_another_constructor(former, now, first, unbroken, data, tmp_path):
    """Bit for bit what an unbroken run ends with, and the same log."""
    resumed = train(tmp_path, data, now, PARAMWISE[0][0], resume=last_checkpoint(first[former]))
    assert (len(resumed.optim_wrapper.optimizer.param_groups) == PARAMWISE[0][1]) == (now == MERGED)
    assert_equal(resumed, unbroken)
    for name in ("train/lr", "train/base_lr", "train/loss"):
        found, expected = (run.message_hub.get_scalar(name).data for run in (resumed, unbroken))
        np.testing.assert_array_equal(found, expected, name)


@pytest.mark.parametrize(("former", "now"), [(ONE_EACH, MERGED), (MERGED, ONE_EACH)])
def test_a_single_group(former, now, data, tmp_path):
    """Which has no settings of its own beside the optimizer's; several groups have."""
    paramwise_cfg, _ = PARAMWISE[2]
    start = train(tmp_path / "first", data, former, paramwise_cfg, epochs=1)
    resumed = train(tmp_path / "resumed", data, now, paramwise_cfg, resume=last_checkpoint(start))
    assert_equal(resumed, train(tmp_path / "unbroken", data, now, paramwise_cfg))


def by_name(run):
    """Settings and state of each parameter."""
    optimizer, names = run.optim_wrapper.optimizer, {p: name for name, p in run.model.named_parameters()}
    settings = {names[p]: kept for p, kept in settings_of(optimizer.param_groups).items()}
    return settings, {names[p]: kept for p, kept in optimizer.state.items()}


def with_key(name):
    return {**PARAMWISE[0][0], "custom_keys": {**KEYS, name: dict(lr_mult=0.1)}}


FORMER = with_key("layers.0.attn.proj.weight")
CHANGES = {
    "another decay of biases": {**FORMER, "bias_decay_mult": 0.5},
    "a key at another parameter": with_key("layers.1.attn.proj.weight"),
    "fewer groups": dict(norm_decay_mult=0.0),
    "one group": None,
}


@pytest.fixture(scope="module")
def former(data, tmp_path_factory):
    return train(tmp_path_factory.mktemp("former"), data, MERGED, FORMER, epochs=1)


@pytest.mark.parametrize("change", CHANGES)
def test_changed_groups(change, former, data, tmp_path):
    """The settings, the schedule among them, are the config's; each moment stays with its parameter."""
    resumed = train(tmp_path / "resumed", data, MERGED, CHANGES[change], epochs=1, resume=last_checkpoint(former))
    expected = train(tmp_path / "expected", data, MERGED, CHANGES[change], epochs=1)
    assert by_name(resumed)[0] == by_name(expected)[0] != by_name(former)[0]
    runs.assert_equal(by_name(resumed)[1], by_name(former)[1])
    schedules = ([scheduler.state_dict() for scheduler in run.param_schedulers] for run in (resumed, expected))
    runs.assert_equal(*schedules)


def test_resumed_by_a_stock_runner(first, data, tmp_path):
    """Which draws augmentations anew: as it resumes with groups that need no translation."""
    one_each, merged = (
        train(tmp_path / each, data, each, PARAMWISE[0][0], resume=last_checkpoint(first[ONE_EACH]), runner=Runner)
        for each in (ONE_EACH, MERGED)
    )
    assert len(merged.optim_wrapper.param_groups) < len(one_each.optim_wrapper.param_groups)
    assert_equal(merged, one_each)
