"""Whatever ends a run, it goes on to the result that it would have had."""

import json
import os
import random
import shutil
import signal
import time

import pytest
import torch

from . import runs
from .conftest import cases

EPOCHS, STEPS = 3, 18


@pytest.fixture(scope="module")
def uninterrupted(server, data, tmp_path_factory):
    """Folder and seconds of a run that nothing happened to."""
    work_dir = tmp_path_factory.mktemp("uninterrupted")
    start = time.monotonic()
    assert server.run(data, work_dir) == 0, (work_dir / "output.txt").read_text()
    return work_dir, time.monotonic() - start


def test_two_runs_are_equal(server, data, uninterrupted, tmp_path):
    assert server.run(data, tmp_path) == 0
    runs.assert_equal(runs.final_state(tmp_path), runs.final_state(uninterrupted[0]))


def test_the_number_of_workers_does_not_matter(server, data, uninterrupted, tmp_path):
    assert server.run(data, tmp_path, workers=2) == 0
    runs.assert_equal(runs.final_state(tmp_path), runs.final_state(uninterrupted[0]))


@pytest.mark.parametrize("case", range(cases(4, 200)))
def test_killed_at_any_moment(case, server, data, uninterrupted, tmp_path):
    expected, seconds = uninterrupted
    (pid,) = server.start(data, tmp_path)
    time.sleep(random.Random(case).uniform(0, seconds))
    os.kill(pid, signal.SIGKILL)
    server.wait()
    done = [int(path.stem.split("_")[1]) for path in tmp_path.glob("epoch_*.pth")]
    assert server.run(data, tmp_path, resume=True) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    runs.assert_equal(runs.final_state(tmp_path), runs.final_state(expected))
    log = "".join(path.read_text() for path in tmp_path.rglob("*.log"))
    if done and max(done) < EPOCHS:
        assert f"Resuming from epoch_{max(done)}.pth" in log  # at most one save interval is lost
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize("step", range(1, STEPS, 1 if cases(0, 1) else 5))
def test_stopped_after_any_step(step, server, data, uninterrupted, tmp_path):
    """SIGTERM: saved in the middle of an epoch, exit code 143, exactly resumed."""
    faults = [dict(type="tests.test_faults.faults.SignalAfterStep", step=step)]
    assert server.run(data, tmp_path, faults=faults) == 143, (tmp_path / "output.txt").read_text()[-3000:]
    assert (tmp_path / f"iter_{step}.pth").exists()
    assert server.run(data, tmp_path, resume=True) == 0, (tmp_path / "output.txt").read_text()[-3000:]
    runs.assert_equal(runs.final_state(tmp_path), runs.final_state(uninterrupted[0]))
    assert not list(tmp_path.glob("iter_*"))  # the next checkpoint has taken its place


def test_a_failed_run_leaves_no_signal_handler(data, tmp_path):
    former = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RuntimeError, match="a fault of the test"):
        runs.train(runs.make_config(data, tmp_path, faults=[dict(type="tests.test_faults.faults.Fail")]))
    assert signal.getsignal(signal.SIGTERM) == former


def test_resume_with_nothing_to_resume_from(server, data, uninterrupted, tmp_path):
    assert server.run(data, tmp_path, resume=True) == 0
    runs.assert_equal(runs.final_state(tmp_path), runs.final_state(uninterrupted[0]))


def test_old_checkpoints_are_removed_last(uninterrupted):
    names = {path.name for path in uninterrupted[0].glob("*.pth")}
    assert {"epoch_2.pth", "epoch_3.pth"} <= names and "epoch_1.pth" not in names
    assert len([name for name in names if name.startswith("best_")]) == 1
    digests = {path.name.removesuffix(".sha256") for path in uninterrupted[0].glob("*.sha256")}
    assert digests == names
    assert all(path.stat().st_mode & 0o077 == 0 for path in uninterrupted[0].glob("*.pth"))


def test_a_folder_that_was_moved(server, data, uninterrupted, tmp_path):
    shutil.copytree(uninterrupted[0], tmp_path / "moved")
    for path in (tmp_path / "moved").glob("*3.pth*"):
        path.unlink()
    assert server.run(data, tmp_path / "moved", resume=True) == 0
    runs.assert_equal(runs.final_state(tmp_path / "moved"), runs.final_state(uninterrupted[0]))


def test_stopped_in_a_validation(server, data, tmp_path):
    """Saved though no checkpoint was due; the validation is made up for."""
    options = dict(validate=4, default_hooks=dict(checkpoint=dict(interval=5)))
    assert server.run(data, tmp_path / "quiet", **options) == 0
    fault = [dict(type="tests.test_faults.faults.TerminateInValidation", epoch=2)]
    assert server.run(data, tmp_path / "stopped", faults=fault, **options) == 143
    assert "SIGTERM: the run ends after iteration 12;" in (tmp_path / "stopped/output.txt").read_text()
    assert {path.name for path in (tmp_path / "stopped").glob("*.pth")} == {"iter_12.pth", *best(tmp_path / "stopped")}
    assert server.run(data, tmp_path / "stopped", resume=True, **options) == 0
    runs.assert_equal(runs.final_state(tmp_path / "stopped"), runs.final_state(tmp_path / "quiet"))


def best(work_dir):
    return {path.name for path in work_dir.glob("best_*.pth")}


@pytest.mark.parametrize(
    "options",
    [
        dict(param_scheduler=None),
        dict(default_hooks=dict(checkpoint=dict(filename_tmpl="model-{}.pth"))),
        dict(default_hooks=dict(checkpoint=dict(out_dir="OUT"))),
        dict(randomness=dict(seed=None)),
        dict(train_dataloader=dict(sampler=dict(type="mgca_mm.StudySampler"))),
    ],
    ids=["no scheduler", "other names", "other folder", "a seed that is drawn", "by study"],
)
def test_resume_of_an_unusual_run(options, server, data, tmp_path):
    """Its checkpoints are found, and the rest of the epochs has the order of the run that was stopped."""
    options = json.loads(json.dumps(options).replace("OUT", str(tmp_path / "elsewhere")))
    record = dict(type="tests.test_faults.faults.Record")
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=9)
    work_dir = tmp_path / "run"
    assert server.run(data, work_dir, faults=[record, stop], **options) == 143
    assert server.run(data, work_dir, faults=[record], resume=True, **options) == 0, output(work_dir)[-3000:]
    assert "Resuming from iter_9.pth" in output(work_dir)
    steps = [json.loads(line) for line in (work_dir / "record_0.jsonl").read_text().splitlines()]
    assert [step["iteration"] for step in steps] == list(range(STEPS))
    for epoch in range(EPOCHS):  # each sample once, across the interruption
        assert len({sample for step in steps[6 * epoch : 6 * epoch + 6] for sample in step["samples"]}) == 24


def output(work_dir):
    return (work_dir / "output.txt").read_text()


def test_other_batches_in_the_middle_of_an_epoch(server, data, tmp_path):
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=9)
    assert server.run(data, tmp_path, faults=[stop]) == 143
    assert server.run(data, tmp_path, resume=True, batch_size=6) == 1
    assert "batches an epoch 6 before, 4 now, samples an iteration 4 before, 6 now" in output(tmp_path)
    resume = dict(resume=True, load_from=str(tmp_path / "epoch_1.pth"))
    assert server.run(data, tmp_path, batch_size=6, **resume) == 0
    assert runs.final_state(tmp_path)["position"] == (EPOCHS, 12)


def test_samples_within_wrappers_draw_by_their_number(data):
    """MMEngine's wrappers hand plain numbers on."""
    from mmengine.runner import Runner

    from mgca_mm.datasets.seeding import seed_samples

    cfg = runs.make_config(data, "unused").train_dataloader

    def crops(workers):
        dataset = dict(type="ConcatDataset", datasets=[cfg.dataset, cfg.dataset])
        loader = Runner.build_dataloader({**cfg, "dataset": dataset, "num_workers": workers}, seed=3)
        seed_samples(loader.dataset)
        return torch.cat([batch["inputs"]["image"] for batch in loader])

    first = crops(0)
    torch.manual_seed(5)
    assert torch.equal(first, crops(0)) and torch.equal(first, crops(2))


def test_gradients_that_wait_are_not_lost(server, data, tmp_path):
    """SIGTERM between two iterations that make one step: it is taken before the checkpoint."""
    options = dict(optim_wrapper=dict(accumulative_counts=2))
    assert server.run(data, tmp_path / "quiet", **options) == 0
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=9)
    assert server.run(data, tmp_path / "stopped", faults=[stop], **options) == 143
    assert (tmp_path / "stopped/iter_10.pth").exists()
    assert server.run(data, tmp_path / "stopped", resume=True, **options) == 0
    runs.assert_equal(runs.final_state(tmp_path / "stopped"), runs.final_state(tmp_path / "quiet"))
