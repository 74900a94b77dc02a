"""Several ranks: another number of them on resume, NaN in one, one that dies."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import ROOT

from . import runs
from .conftest import cases

pytestmark = pytest.mark.slow  # minutes of small trainings on several ranks

RECORD = dict(type="tests.test_faults.faults.Record")


def records(work_dir):
    """Iteration → what each rank has recorded of it."""
    found = {}
    for path in Path(work_dir).glob("record_*.jsonl"):
        for line in path.read_text().splitlines():
            step = json.loads(line)
            found.setdefault(step["iteration"], {})[step["rank"]] = step
    return found


def global_batches(work_dir):
    return {
        iteration: sorted(index for step in ranks.values() for index in step["samples"])
        for iteration, ranks in records(work_dir).items()
    }


def losses(work_dir):
    return {
        iteration: sum(step["loss"] for step in ranks.values()) / len(ranks)
        for iteration, ranks in records(work_dir).items()
    }


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2), pytest.param(2, 4, marks=pytest.mark.slow)])
def test_another_number_of_ranks_on_resume(before, after, server, data, tmp_path):
    """Stopped in the second epoch; the samples and losses that follow are those of an uninterrupted run."""
    options = dict(faults=[RECORD], dropout=0.0, double=True)
    assert server.run(data, tmp_path / "whole", ranks=before, batch_size=8 // before, **options) == 0
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=4)
    options["faults"] = [RECORD, stop]
    assert server.run(data, tmp_path / "parts", ranks=before, batch_size=8 // before, **options) == 143
    options["faults"] = [RECORD]
    assert server.run(data, tmp_path / "parts", ranks=after, batch_size=8 // after, resume=True, **options) == 0
    assert global_batches(tmp_path / "parts") == global_batches(tmp_path / "whole")
    expected = losses(tmp_path / "whole")
    assert len(expected) == 9
    assert losses(tmp_path / "parts") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", range(cases(2, 50)))
def test_nan_in_one_rank(case, server, data, tmp_path):
    """All ranks skip the step, and nothing in the model or the optimizer changes."""
    chance = random.Random(case)
    ranks = chance.choice([1, 2])
    step = chance.randrange(9)
    nan = dict(type="tests.test_faults.faults.NonFiniteInput", steps=[step], rank=chance.randrange(ranks))
    assert server.run(data, tmp_path, ranks=ranks, batch_size=8 // ranks, faults=[nan, RECORD]) == 0
    for iteration, found in records(tmp_path).items():
        changed = {step["state_before"] != step["state_after"] for step in found.values()}
        assert changed == {iteration != step}
        assert len({step["state_after"] for step in found.values()}) == 1  # the same on all ranks
    output = (tmp_path / "output.txt").read_text()
    assert output.count("was skipped: a loss or gradient is not finite") >= 1
    assert "(1 in a row, 1 in all). Samples of this rank: sample-" in output


def test_three_in_a_row_end_the_run_with_a_state_that_reproduces_it(server, data, tmp_path):
    nan = dict(type="tests.test_faults.faults.NonFiniteInput", steps=[4, 5, 6], rank=0)
    assert server.run(data, tmp_path, faults=[nan, RECORD]) == 1
    assert "3 steps in a row had a loss or gradient that is not finite" in (tmp_path / "output.txt").read_text()
    first = records(tmp_path)[4][0]
    for path in tmp_path.glob("record_*"):
        path.unlink()
    resume = dict(resume=True, load_from=str(tmp_path / "nonfinite_iter_4.pth"))
    assert server.run(data, tmp_path, faults=[nan, RECORD], **resume) == 1
    saved = torch.load(tmp_path / "nonfinite_iter_4.pth", weights_only=True)
    assert [scheduler["last_step"] for scheduler in saved["param_schedulers"]] == [4]
    again = records(tmp_path)[4][0]
    assert again["samples"] == first["samples"] and again["state_before"] == first["state_before"]


def test_nan_in_one_of_the_iterations_that_make_a_step(server, data, tmp_path):
    """Also the running statistics are those from before the first of them."""
    nan = dict(type="tests.test_faults.faults.NonFiniteInput", steps=[4], rank=0)
    options = dict(optim_wrapper=dict(accumulative_counts=2))
    assert server.run(data, tmp_path, faults=[nan, RECORD], **options) == 0
    found = {iteration: ranks[0] for iteration, ranks in records(tmp_path).items()}
    assert found[4]["state_before"] == found[5]["state_after"] != found[7]["state_after"]


def test_ranks_resume_from_the_same_checkpoint(server, data, tmp_path):
    """The newest one is damaged for one of two ranks that do not share a work dir: both take the one before."""
    assert server.run(data, tmp_path, ranks=2, batch_size=2) == 0
    damage = dict(resume=True, faults=[RECORD], hide_from_rank=(1, "epoch_3.pth"))
    assert server.run(data, tmp_path, ranks=2, batch_size=2, **damage) == 0
    assert "Resuming from epoch_2.pth" in (tmp_path / "output.txt").read_text()
    assert {iteration: len(ranks) for iteration, ranks in records(tmp_path).items()} == dict.fromkeys(range(12, 18), 2)


def test_ranks_resume_from_one_group_a_parameter(server, data, tmp_path):
    """Stopped in an epoch with the groups of MMEngine's constructor, and resumed with those of ours."""
    wrapper = dict(optimizer=dict(weight_decay=0.1), paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0))
    merged = dict(wrapper, constructor="mgca_mm.MergedGroupsOptimWrapperConstructor")
    options = dict(ranks=2, batch_size=2)
    assert server.run(data, tmp_path / "whole", optim_wrapper=merged, **options) == 0
    stop = dict(type="tests.test_faults.faults.SignalAfterStep", step=9)
    assert server.run(data, tmp_path / "parts", optim_wrapper=wrapper, faults=[stop], **options) == 143
    assert server.run(data, tmp_path / "parts", optim_wrapper=merged, resume=True, **options) == 0
    found, expected = (runs.final_state(tmp_path / name) for name in ("parts", "whole"))
    runs.assert_equal(found, expected)


@pytest.mark.parametrize("case", range(cases(2, 10)))
def test_a_rank_that_dies_ends_the_job(case, server, data, tmp_path):
    pids = server.start(data, tmp_path, ranks=2, epochs=100)
    time.sleep(random.Random(case).uniform(3, 6))
    os.kill(pids[case % 2], signal.SIGKILL)
    codes = server.wait(limit=300)  # the other one would wait half an hour for its messages
    assert all(code != 0 for code in codes)


@pytest.mark.slow
def test_torchrun_starts_again_where_it_stopped(data, tmp_path):
    """A rank is killed in the second epoch; torchrun starts both again, and the result is that of a quiet run."""
    for name in ("quiet", "killed"):
        kill = dict(type="tests.test_faults.faults.KillOnce", step=4, marker=str(tmp_path / "was_killed"))
        cfg = runs.make_config(data, tmp_path / name, faults=[kill] if name == "killed" else [])
        cfg.dump(tmp_path / f"{name}.py")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {**os.environ, "MAX_RESTARTS": "1", "PORT": str(port), "PYTHON": sys.executable}
        command = ["bash", str(ROOT / "tools/dist_train.sh"), str(tmp_path / f"{name}.py"), "2", "--resume"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT)
        assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "was_killed").exists()
    log = "".join(path.read_text() for path in (tmp_path / "killed").rglob("*.log"))
    assert "Resuming from epoch_1.pth" in log
    runs.assert_equal(runs.final_state(tmp_path / "killed"), runs.final_state(tmp_path / "quiet"))


@pytest.mark.parametrize("case", range(cases(2, 10)))
def test_a_worker_that_dies_ends_the_run(case, server, data, tmp_path):
    kill = dict(type="tests.test_faults.faults.KillWorker", step=case % 9 + 4)
    server.start(data, tmp_path, workers=2, faults=[kill], epochs=50)
    codes = server.wait(limit=300)
    assert codes[0] not in (0, -signal.SIGKILL)
    assert server.run(data, tmp_path, workers=2, resume=True) == 0
    assert (tmp_path / "epoch_3.pth").exists()


@pytest.mark.parametrize("ranks", [1, 2, pytest.param(4, marks=pytest.mark.slow)])
def test_evaluation_counts_each_sample_once(ranks, server, data, tmp_path):
    """Whatever is left for the last batch."""
    for size in range(1, 9) if cases(0, 1) else (1, 5, 8):
        work_dir = tmp_path / str(size)
        changes = dict(epochs=1, ranks=ranks, batch_size=8 // ranks, validate=size)
        assert server.run(data, work_dir, **changes) == 0, (work_dir / "output.txt").read_text()[-2000:]
        counts = json.loads((work_dir / "counts.json").read_text())
        assert counts == dict(samples=size, distinct=size)
