"""All that a run decides by is in its checkpoints: whatever interrupts it, it ends as it would have."""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest
import torch

from mgca_mm.checkpoints.writing import is_intact

from . import runs
from .conftest import cases

pytestmark = pytest.mark.slow  # ten minutes of small trainings; test_resume.py has a share

# Of a line of the log.
UNREPEATABLE = {"time", "data_time", "images_per_s", "memory"}
# Of the message hub.
OF_A_PROCESS = {"eta", "experiment_name", "mmengine_version", "epoch", "iter"}
TASKS = {
    "pretraining": (dict(epochs=4), 20),
    "classification": (dict(task="classification", epochs=20, test=True), 20),
    "accumulation": (
        dict(
            epochs=4,
            optim_wrapper=dict(accumulative_counts=4),
            custom_hooks=[dict(type="EMAHook", momentum=0.1)],
        ),
        10,
    ),
    "iterations": (
        dict(
            train_cfg=dict(_delete_=True, type="IterBasedTrainLoop", max_iters=20, val_interval=4),
            train_dataloader=dict(sampler=dict(_delete_=True, type="InfiniteSampler")),
            default_hooks=dict(checkpoint=dict(by_epoch=False, interval=4), logger=dict(interval=2)),
            log_processor=dict(by_epoch=False),
        ),
        10,
    ),
}
RESNET = dict(_delete_=True, type="mmpretrain.ResNet", depth=18, stem_channels=8, base_channels=8, out_indices=(2, 3))
CASES = [(task, case) for task, (_, number) in TASKS.items() for case in range(cases(1, number))]


@pytest.fixture(scope="module")
def uninterrupted(server, data, tmp_path_factory):
    """Folder and seconds of a run of a task that nothing happened to."""
    found = {}

    def run(task):
        if task not in found:
            work_dir, start = tmp_path_factory.mktemp(task), time.monotonic()
            assert server.run(data, work_dir, **TASKS[task][0]) == 0, output(work_dir)
            found[task] = work_dir, time.monotonic() - start
        return found[task]

    return run


def output(work_dir):
    return (work_dir / "output.txt").read_text()[-3000:]


def checkpoints(work_dir):
    """Name → all that must be equal in it."""
    found = {}
    for path in sorted(work_dir.glob("*.pth")):
        content = torch.load(path, weights_only=True)
        hub = content.pop("message_hub")
        found[path.name] = {name: value for name, value in content.items() if name != "meta"}
        found[path.name]["position"] = (content["meta"]["epoch"], content["meta"]["iter"])
        found[path.name]["info"] = {
            name: value for name, value in hub["runtime_info"].items() if name not in OF_A_PROCESS
        }
        found[path.name]["logged"] = {
            name: value for name, value in hub["log_scalars"].items() if name.split("/")[1] not in UNREPEATABLE
        }
    return found


def logged(work_dir):
    """(Training or validation, step) → its line, which is the same wherever it was written twice."""
    lines = {}
    for path in sorted(work_dir.glob("*/vis_data/scalars.json")):
        for line in path.read_text().splitlines():
            values = json.loads(line)
            key = ("train" if "lr" in values else "val", values["step"])
            values = {name: value for name, value in values.items() if name not in UNREPEATABLE}
            assert lines.setdefault(key, values) == values, key
    return lines


def assert_same_run(work_dir, expected):
    runs.assert_equal(checkpoints(work_dir), checkpoints(expected))
    assert logged(work_dir) == logged(expected)
    scores = [folder / "test.json" for folder in (work_dir, expected)]
    assert scores[0].exists() == scores[1].exists()
    if scores[0].exists():
        assert scores[0].read_text() == scores[1].read_text()


@pytest.mark.parametrize(("task", "case"), CASES)
def test_interrupted_at_any_moment(task, case, server, data, uninterrupted, tmp_path):
    """Killed or asked to end, alternately; the best file, the stop, the scores, tensors and lines are the same."""
    expected, seconds = uninterrupted(task)
    (pid,) = server.start(data, tmp_path, **TASKS[task][0])
    time.sleep(random.Random(f"{task}{case}").uniform(0.1, 1) * seconds)
    os.kill(pid, (signal.SIGKILL, signal.SIGTERM)[case % 2])
    server.wait()
    assert server.run(data, tmp_path, resume=True, **TASKS[task][0]) == 0, output(tmp_path)
    assert_same_run(tmp_path, expected)


def test_a_finished_run_trains_nothing_and_tests_the_best(server, data, uninterrupted, tmp_path):
    expected, _ = uninterrupted("classification")
    assert len(logged(expected)) < 2 * 20  # it has stopped early
    options = TASKS["classification"][0]
    assert server.run(data, tmp_path, **options) == 0, output(tmp_path)
    (tmp_path / "test.json").unlink()
    assert server.run(data, tmp_path, resume=True, **options) == 0, output(tmp_path)
    assert_same_run(tmp_path, expected)
    (best,) = tmp_path.glob("best_*.pth")
    (tmp_path / "test.json").unlink()
    assert server.run(data, tmp_path, resume=True, **options | dict(epochs=40)) == 0, output(tmp_path)
    assert [path.name for path in tmp_path.glob("best_*.pth")] == [best.name]  # longer, but stopped is stopped
    assert (tmp_path / "test.json").read_text() == (expected / "test.json").read_text()


@pytest.mark.parametrize("moment", ["after_val_epoch", "before_val_epoch"])
def test_a_validation_is_done_and_kept_once(moment, server, data, uninterrupted, tmp_path):
    """Killed right before and right after the validation of an epoch."""
    expected, _ = uninterrupted("pretraining")
    kill = dict(type="tests.test_faults.faults.KillInValidation", epoch=2, moment=moment, priority="LOWEST")
    assert server.run(data, tmp_path, faults=[kill], **TASKS["pretraining"][0]) == -signal.SIGKILL
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=14)
    assert server.run(data, tmp_path, faults=[stop], resume=True, **TASKS["pretraining"][0]) == 143, output(tmp_path)
    assert server.run(data, tmp_path, resume=True, **TASKS["pretraining"][0]) == 0, output(tmp_path)
    found, wanted = checkpoints(tmp_path), checkpoints(expected)
    for content in (*found.values(), *wanted.values()):
        del content["info"]["run_settings"]  # the kill is one of them
    runs.assert_equal(found, wanted)
    lines = [
        line
        for path in tmp_path.glob("*/vis_data/scalars.json")
        for line in path.read_text().splitlines()
        if "lr" not in json.loads(line)
    ]
    assert len(lines) == 4


def test_a_best_checkpoint_that_is_gone(server, data, tmp_path):
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=14)
    assert server.run(data, tmp_path, faults=[stop]) == 143
    (best,) = tmp_path.glob("best_*.pth")
    best.unlink()
    assert server.run(data, tmp_path, resume=True) == 0, output(tmp_path)
    assert f"{best.name}, the best checkpoint so far, is not there any more" in (tmp_path / "output.txt").read_text()
    assert len(list(tmp_path.glob("best_*.pth"))) == 1


@pytest.mark.parametrize("ranks", [1, 2])
def test_sigterm_twice_ends_a_save_that_hangs(ranks, server, data, tmp_path):
    marker = tmp_path / "waits"
    hang = dict(type="tests.test_faults.faults.HangingDisk", epoch=2, marker=str(marker))
    pids = server.start(data, tmp_path, ranks=ranks, faults=[hang])
    try:
        while not marker.exists():
            time.sleep(0.1)
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
            time.sleep(0.1)
            os.kill(pid, signal.SIGTERM)  # as a launcher hands on what all processes of a job have got
        time.sleep(1.5)
        assert all(" Z " not in Path(f"/proc/{pid}/stat").read_text() for pid in pids)  # none has ended by the first
        for pid in pids:
            os.kill(pid, signal.SIGTERM)
        codes = server.wait(limit=300)
    except BaseException:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        server.wait()
        raise
    assert codes[0] == -signal.SIGTERM and 0 not in codes  # 143 to a shell
    assert (tmp_path / "epoch_1.pth").exists() and all(map(is_intact, tmp_path.glob("*.pth")))
    assert server.run(data, tmp_path, resume=True) == 0, output(tmp_path)
    assert not list(tmp_path.glob("*.partial"))


def test_two_trainings_in_one_work_dir(server, data, tmp_path):
    (pid,) = server.start(data, tmp_path, epochs=200)
    other = runs.Server()
    try:
        while not (tmp_path / "last_checkpoint").exists():
            time.sleep(0.1)
        (config,) = tmp_path.glob("*.py")
        before = config.read_text()
        assert other.run(data, tmp_path, epochs=7) == 1
        assert config.read_text() == before
        assert "Another training writes into the work dir" in (tmp_path / "output.txt").read_text()
    finally:
        other.close()
        os.kill(pid, signal.SIGKILL)
        server.wait()
    assert server.run(data, tmp_path, epochs=1) == 0  # the lock has ended with its process


@pytest.mark.parametrize(
    "options",
    [
        dict(optim_wrapper=dict(accumulative_counts=4), train_dataloader=dict(batch_size=2), ranks=2),
        dict(model=dict(image_encoder=dict(backbone=RESNET)), train_dataloader=dict(batch_size=2), ranks=2),
        dict(
            param_scheduler=[
                dict(type="StepLR", step_size=1, by_epoch=True),
                dict(type="CosineAnnealingMomentum", T_max=3, by_epoch=True),
            ]
        ),
        dict(default_hooks=dict(checkpoint=dict(save_best=["loss", "loss_ita"], rule="less"))),
    ],
    ids=["gradients of two ranks wait", "statistics of two ranks differ", "momentum has a schedule", "two are best"],
)
def test_stopped_and_resumed(options, server, data, tmp_path):
    assert server.run(data, tmp_path / "quiet", **options) == 0, output(tmp_path / "quiet")
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=14)
    stopped = server.run(data, tmp_path / "stopped", faults=[stop], **options)
    assert stopped == 143, output(tmp_path / "stopped")
    assert server.run(data, tmp_path / "stopped", resume=True, **options) == 0, output(tmp_path / "stopped")
    found, wanted = checkpoints(tmp_path / "stopped"), checkpoints(tmp_path / "quiet")
    for content in (*found.values(), *wanted.values()):
        del content["info"]["run_settings"]  # the fault is one of them
    runs.assert_equal(found, wanted)


def test_an_epoch_that_is_begun_anew_has_its_rates(server, data, tmp_path):
    """The sampler of other libraries' configs always starts at the beginning of an epoch."""
    options = dict(train_dataloader=dict(sampler=dict(_delete_=True, type="DefaultSampler", shuffle=True)))
    assert server.run(data, tmp_path / "quiet", **options) == 0
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=9)
    assert server.run(data, tmp_path / "stopped", faults=[stop], **options) == 143
    assert server.run(data, tmp_path / "stopped", resume=True, **options) == 0, output(tmp_path / "stopped")
    assert "3 iterations of this epoch are done again" in (tmp_path / "stopped" / "output.txt").read_text()
    schedulers = [runs.final_state(tmp_path / name)["schedulers"] for name in ("stopped", "quiet")]
    runs.assert_equal(*schedulers)


def test_endless_samplers_of_all_libraries_can_be_resumed():
    import mmseg.registry

    from mgca_mm.datasets.samplers import SampleIndex

    sampler = mmseg.registry.DATA_SAMPLERS.build(dict(type="InfiniteSampler", dataset=range(5), seed=1))
    indices = [index for index, _ in zip(sampler, range(7), strict=False)]
    assert all(isinstance(index, SampleIndex) for index in indices) and indices[6].key[1] == 1
