"""A checkpoint that is none of this run is refused before anything of it is taken, in one line that says why."""

import copy
import gc
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mgca_mm.engine import install
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError
from tests.test_faults import poisons, runs

install()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A prepared data set, and the checkpoint of the first of two epochs."""
    init_default_scope("mgca_mm")
    root = tmp_path_factory.mktemp("resumable")
    data = runs.make_data(root)
    cfg = runs.make_config(data, root / "run", epochs=1, batch_size=8, experiment_name="resumable")
    gc.freeze()  # MMEngine collects garbage for every data set, of all that pytest holds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "pretty_text", "")  # formatted four times a run, in a second
        PrivateRunner.from_cfg(cfg).train()
        yield data, torch.load(root / "run" / "epoch_1.pth", weights_only=True)
    gc.unfreeze()


def resume(trained, change, tmp_path):
    data, content = trained
    content = copy.deepcopy(content)
    change(content)
    torch.save(content, tmp_path / "c.pth")
    changes = dict(default_hooks=dict(checkpoint=dict(save_best="loss", rule="less")), experiment_name=tmp_path.name)
    cfg = runs.make_config(data, tmp_path / "run", epochs=2, batch_size=8, **changes)
    cfg.resume, cfg.load_from = True, str(tmp_path / "c.pth")
    PrivateRunner.from_cfg(cfg).train()


def changed(path, value):
    """Set what stands at a dotted path; ``del`` takes it away."""

    def change(content):
        *parents, last = [int(name) if name.isdigit() else name for name in path.split(".")]
        for name in parents:
            content = content[name]
        if value is del_:
            del content[last]
        else:
            content[last] = value

    return change


del_ = object()
WEIGHT = "image_encoder.backbone.cls_token"


def rename_weights(content):
    content["state_dict"] = dict(enumerate(content["state_dict"].values()))


def take_whole_weights(content):
    content["state_dict"][WEIGHT] = content["state_dict"][WEIGHT].long()


def take_attributes(content):
    """Attributes could hide a dict's methods."""
    content["state_dict"].own = 5


def take_versions(content):
    content["state_dict"]._metadata[""] = {"version": "x"}


REFUSED = {
    "epoch of text": (changed("meta.epoch", "abc"), "no number of its epoch: 'abc'"),
    "negative epoch": (changed("meta.epoch", -3), "no number of its epoch"),
    "iteration as a float": (changed("meta.iter", 1e15), "no number of its iter"),
    "iteration beyond all": (changed("meta.iter", 10**15), "no number of its iter"),
    "iteration of another epoch": (changed("meta.iter", 30), "30 iterations are 1 epochs, each of which has 3"),
    "no iteration": (changed("meta.iter", del_), "no number of its iter"),
    "seed of text": (changed("meta.seed", "x"), "no whole number as its seed"),
    "seed too large": (changed("meta.seed", 2**40), "no whole number as its seed"),
    "numbers as names": (rename_weights, "another model"),
    "whole weights": (take_whole_weights, "another model"),
    "attributes": (take_attributes, "attributes that torch does not write"),
    "versions": (take_versions, "attributes that torch does not write"),
    "moment of another shape": (changed("optimizer.state.0.exp_avg", torch.zeros(3)), "no exp_avg"),
    "moment of one number": (changed("optimizer.state.0.exp_avg", torch.zeros(())), "no exp_avg"),
    "no moment": (changed("optimizer.state.0.exp_avg_sq", del_), "no exp_avg_sq"),
    "a step that is none": (changed("optimizer.state.0.step", torch.tensor(math.nan)), "no step"),
    "moments of no parameter": (changed("optimizer.state.9999", {}), "state of no parameter"),
    "optimizer without state": (changed("optimizer.state", {}), "optimizer without its state"),
    "betas of text": (changed("optimizer.param_groups.0.betas", "zz"), "optimizer's betas"),
    "a rate that is none": (changed("optimizer.param_groups.0.lr", math.nan), "optimizer's lr"),
    "no rate": (changed("optimizer.param_groups.0.lr", del_), "other parameter groups"),
    "group of numbers": (changed("optimizer.param_groups.0", 5), "other parameter groups"),
    "no schedule": (changed("param_schedulers", []), "no 'param_schedulers'"),
    "schedule of numbers": (changed("param_schedulers", [5]), "schedule without its place"),
    "place of text": (changed("param_schedulers.0.last_step", "x"), "schedule without its place"),
    "rate of the schedule": (changed("param_schedulers.0._last_value", [math.nan]), "schedule without its place"),
    "history of lists": (changed("message_hub.log_scalars", {"train/loss": {"log_history": [1.0]}}), "no history"),
    "history of text": (changed("message_hub.log_scalars", {"train/loss": "x"}), "no history"),
    "hub of lists": (changed("message_hub.runtime_info", []), "message_hub.runtime_info"),
    "settings of text": (changed("message_hub.runtime_info.run_settings", "x"), "odd 'run_settings'"),
    "no batches": (changed("message_hub.runtime_info.run_settings.batches an epoch", 0), "odd 'run_settings'"),
    "best score of text": (changed("message_hub.runtime_info.best_score", "x"), "odd 'best_score'"),
    "best file of lists": (changed("message_hub.runtime_info.best_ckpt", [1]), "odd 'best_ckpt'"),
    "early stopping": (changed("message_hub.runtime_info.early_stopping_loss", 5), "odd 'early_stopping_loss'"),
    "waiting gradients": (changed("waiting_gradients", {"gradients": {WEIGHT: 5}, "place": [1, 2]}), "another model"),
    "shared lists": (changed("message_hub.runtime_info.x", poisons.shared_list()), "parts contain one another"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name, trained, tmp_path):
    change, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as caught:
        resume(trained, change, tmp_path)
    assert len(str(caught.value).splitlines()) <= 3


def nothing(content):
    """As it was written."""


@pytest.mark.parametrize(
    "change",
    [
        nothing,
        changed("param_schedulers.0.T_max", "zz"),  # the config's schedule holds, whatever the checkpoint's was
        changed("optimizer.param_groups.0.weight_decay", 7),  # and so do its settings of the optimizer
        changed("optimizer.param_groups.0.eps", del_),
        changed("message_hub.runtime_info.someone's", {"own": [1, "x"]}),
        changed("message_hub.runtime_info.best_score", torch.tensor(5.0)),
        changed("param_schedulers.0", {"last_step": -1, "_global_step": 0, "_last_value": [1e-3]}),  # of another kind
    ],
)
def test_taken(change, trained, tmp_path):
    resume(trained, change, tmp_path)
    assert (tmp_path / "run" / "epoch_2.pth").is_file()


@pytest.mark.parametrize("name", ["best_ckpt", "interrupted_ckpt", "last_ckpt"])
def test_no_file_of_another_name_is_removed(name, trained, tmp_path):
    """MMEngine removes the file that a checkpoint calls the best so far, or that of an interrupted epoch."""
    (tmp_path / "run").mkdir()
    victim = tmp_path / "run" / "victim.pth"
    victim.write_bytes(b"of somebody else")

    def change(content):
        content["message_hub"]["runtime_info"] |= {name: str(victim), "best_score": 1e9}
        content["message_hub"]["runtime_info"]["former_best_ckpts"] = [str(victim)]

    resume(trained, change, tmp_path)
    assert victim.read_bytes() == b"of somebody else"
    assert len([*(tmp_path / "run").glob("best_loss_*.pth")]) == 1


def test_momentum(trained, tmp_path):
    """SGD begins its momentum where there was none; one of another shape is refused."""
    data, _ = trained
    sgd = [dict(type="SGD", momentum=momentum, _delete_=True, lr=1e-3) for momentum in (0, 0.9)]

    def run(epochs, optimizer, **options):
        options |= dict(
            batch_size=8, experiment_name=f"{tmp_path.name}-{epochs}", optim_wrapper=dict(optimizer=optimizer)
        )
        cfg = runs.make_config(data, tmp_path, epochs=epochs, **options)
        cfg.resume = epochs > 1
        PrivateRunner.from_cfg(cfg).train()

    run(1, sgd[0])
    run(2, sgd[1])
    content = torch.load(tmp_path / "epoch_2.pth", weights_only=True)
    content["optimizer"]["state"][0]["momentum_buffer"] = torch.zeros(3)
    (tmp_path / "epoch_1.pth").unlink()
    (tmp_path / "epoch_2.pth.sha256").unlink()
    torch.save(content, tmp_path / "epoch_2.pth")
    with pytest.raises(UserError, match="no momentum_buffer in its optimizer's state that fits parameter 0"):
        run(3, sgd[1])


PLATEAU = dict(type="ReduceOnPlateauParamScheduler", param_name="lr", monitor="loss", by_epoch=True)


@pytest.mark.parametrize("first", [[PLATEAU], [], None])
def test_a_run_before_its_first_validation(first, trained, tmp_path):
    """Such a schedule has no place yet; a run that had no schedule at all takes one up."""
    data, _ = trained
    options = dict(batch_size=8, param_scheduler=first, experiment_name=tmp_path.name)
    cfg = runs.make_config(data, tmp_path / "run", epochs=1, **options)
    cfg.train_cfg.val_begin = 2
    PrivateRunner.from_cfg(cfg).train()
    options |= dict(param_scheduler=[PLATEAU], experiment_name=f"{tmp_path.name}-again")
    cfg = runs.make_config(data, tmp_path / "run", epochs=2, **options)
    cfg.resume = True
    PrivateRunner.from_cfg(cfg).train()
    assert (tmp_path / "run" / "epoch_2.pth").is_file()


def test_groups_of_an_older_torch(trained, tmp_path):
    """Which had fewer settings; the config has them."""
    data, _ = trained
    wrapper = dict(optimizer=dict(weight_decay=0.1), paramwise_cfg=dict(norm_decay_mult=0.0))
    groups = dict(optim_wrapper=wrapper, batch_size=8)
    PrivateRunner.from_cfg(runs.make_config(data, tmp_path, epochs=1, experiment_name="groups", **groups)).train()
    content = torch.load(tmp_path / "epoch_1.pth", weights_only=True)
    for settings in (*content["optimizer"]["param_groups"], content["optimizer"]["base_param_settings"]):
        del settings["decoupled_weight_decay"]
    torch.save(content, tmp_path / "c.pth")
    cfg = runs.make_config(data, tmp_path / "again", epochs=2, experiment_name="groups-again", **groups)
    cfg.resume, cfg.load_from = True, str(tmp_path / "c.pth")
    PrivateRunner.from_cfg(cfg).train()
    assert (tmp_path / "again" / "epoch_2.pth").is_file()
