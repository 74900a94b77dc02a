"""Whatever ends a run, it goes on to the result that it would have had."""

import os
import random
import shutil
import signal
import time

import pytest

from . import runs
from .conftest import cases

EPOCHS, STEPS = 3, 18


@pytest.fixture(scope="module")
def server():
    server = runs.Server()
    yield server
    server.close()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return runs.make_data(tmp_path_factory.mktemp("data"))


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
