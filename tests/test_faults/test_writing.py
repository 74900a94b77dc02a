"""Kills inside the writer, damaged files, full disks: a whole checkpoint is always there, and found."""

import io
import json
import os
import random
import shutil
import signal
import subprocess
from types import SimpleNamespace

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger

from mgca_mm import files
from mgca_mm.checkpoints import writing
from mgca_mm.engine import AtomicLocalBackend, SafeCheckpointHook
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.engine.runner import PrivateRunner
from mgca_mm.errors import UserError
from tests.command_line import call

from . import runs
from .conftest import cases

EPOCHS = 6
POINTS = ("opened", "half written", "written", "synced", "renamed", "before a removal")


class Killer:
    """Ends the process at the n-th time that the writer passes a point."""

    def __init__(self, point, number):
        self.point, self.left = point, number
        self.real = SimpleNamespace(fsync=os.fsync, replace=os.replace, unlink=os.unlink, open=open)

    def passes(self, point):
        if point == self.point:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self):
        files.open = self.open
        os.fsync, os.replace, os.unlink = self.fsync, self.replace, self.unlink

    def open(self, *args, **kwargs):
        file = self.real.open(*args, **kwargs)
        if "w" not in args[1]:
            return file
        self.passes("opened")
        write = file.write
        return SimpleFile(file, lambda content: self.write(file, write, content))

    def write(self, file, write, content):
        write(content[: len(content) // 2])
        file.flush()
        self.passes("half written")
        write(content[len(content) // 2 :])
        file.flush()
        self.passes("written")

    def fsync(self, descriptor):
        self.real.fsync(descriptor)
        self.passes("synced")

    def replace(self, source, target):
        self.real.replace(source, target)
        self.passes("renamed")

    def unlink(self, path, **kwargs):
        self.passes("before a removal")
        self.real.unlink(path, **kwargs)


class SimpleFile:
    def __init__(self, file, write):
        self.file, self.write = file, write

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()

    def flush(self):
        self.file.flush()

    def fileno(self):
        return self.file.fileno()


def content(epoch):
    buffer = io.BytesIO()
    torch.save({"state_dict": {}, "epoch": torch.full((100,), epoch)}, buffer)
    return buffer.getvalue()


def save_epochs(work_dir, killer=None):
    """Six epochs of checkpoints, of which every second is the best so far, by the hook."""
    hub = MessageHub.get_instance(f"writer {work_dir}")
    runner = SimpleNamespace(
        message_hub=hub, work_dir=str(work_dir), logger=MMLogger.get_instance("writer"), epoch=0, iter=0
    )
    backend = AtomicLocalBackend()
    runner.save_checkpoint = lambda out_dir, filename, meta, **kwargs: backend.put(
        content(meta["epoch"]), os.path.join(out_dir, filename)
    )
    hook = SafeCheckpointHook(interval=1, max_keep_ckpts=2, save_best="loss", rule="less")
    hook.before_train(runner)
    if killer:
        killer.install()
    for epoch in range(EPOCHS):
        hook._save_checkpoint(runner)
        runner.epoch += 1
        hook.after_val_epoch(runner, {"loss": 10.0 - epoch if epoch % 2 else 20.0 + epoch})


def killed(work_dir, killer):
    """Save in a process of its own; whether it was killed."""
    child = os.fork()
    if child == 0:
        try:
            save_epochs(work_dir, killer)
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def epoch_of(path):
    return int(torch.load(path, weights_only=True)["epoch"][0])


def check(work_dir):
    """Every checkpoint is whole; the newest one is found, and no older one is passed off as it."""
    found = writing.newest_first(work_dir)
    for path in [*found, *work_dir.glob("best_*.pth")]:
        assert writing.is_intact(path) and writing.digests(path), path
        assert epoch_of(path) == int(path.stem.split("_")[-1])
    return found


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_the_writer(point, tmp_path):
    happened = 0
    for case in range(1, cases(12, 100) + 1):
        work_dir = tmp_path / str(case)
        work_dir.mkdir()
        first = killed(work_dir, Killer(point, case))
        found = check(work_dir)
        happened += first
        if first and case > 12:
            assert found, "there was a checkpoint, and now there is none"
        # Another run writes the same names over what is there, and is killed, too.
        killed(work_dir, Killer(point, case + 3))
        again = check(work_dir)
        assert len(again) >= min(len(found), 1)
        killed(work_dir, None)
        assert check(work_dir)[0].name == f"epoch_{EPOCHS}.pth"
        assert len(check(work_dir)) == 2 and len(list(work_dir.glob("best_*.pth"))) >= 1
        assert not list(work_dir.glob("*.partial"))
        shutil.rmtree(work_dir)
    assert happened >= 8


def test_digests_are_those_of_sha256sum(tmp_path):
    writing.write_checkpoint(tmp_path / "epoch_1.pth", content(1))
    done = subprocess.run(["sha256sum", "--check", "epoch_1.pth.sha256"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder of a finished run, a runner of its model, and its data."""
    data = runs.make_data(tmp_path_factory.mktemp("data"))
    work_dir = tmp_path_factory.mktemp("finished")
    server = runs.Server()
    assert server.run(data, work_dir) == 0
    server.close()
    return work_dir, PrivateRunner.from_cfg(runs.make_config(data, work_dir / "other")), data


def truncated(blob, random):
    return blob[: random.randrange(len(blob))]


def flipped(blob, random):
    position = random.randrange(len(blob))
    return blob[:position] + bytes([blob[position] ^ (1 << random.randrange(8))]) + blob[position + 1 :]


def emptied(blob, random):
    return b""


def zeroed(blob, random):
    start = random.randrange(len(blob))
    return blob[:start] + bytes(len(blob) - start)


DAMAGES = (truncated, flipped, emptied, zeroed)


@pytest.mark.parametrize("with_digest", [True, False], ids=["digest", "no digest"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_checkpoints_are_passed_over(damage, with_digest, finished, tmp_path):
    source, runner, _ = finished
    runner._work_dir = str(tmp_path)
    for path in source.glob("epoch_*"):
        shutil.copy2(path, tmp_path)
    (tmp_path / writing.POINTER).write_text(str(tmp_path / "epoch_3.pth"))
    blob = (source / "epoch_3.pth").read_bytes()
    if not with_digest:
        writing.digest_file(tmp_path / "epoch_3.pth").unlink()
    for case in range(cases(15, 125)):
        broken = damage(blob, random.Random(case))
        (tmp_path / "epoch_3.pth").write_bytes(broken)
        found = runner._named_or_newest()
        if not with_digest and broken != blob and found.name == "epoch_3.pth":
            # A flip in what neither archive checksums nor tensors cover, such as a time stamp, changes nothing.
            expected, read = (torch.load(p, weights_only=True) for p in (source / "epoch_3.pth", found))
            runs.assert_equal(read["state_dict"], expected["state_dict"])
            runs.assert_equal(read["optimizer"], expected["optimizer"])
        else:
            assert found.name == "epoch_2.pth", case


def test_a_checkpoint_of_another_architecture(finished, tmp_path):
    source, runner, _ = finished
    shutil.copy2(source / "epoch_2.pth", tmp_path)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    for change in ("renamed", "reshaped", "missing", "additional"):
        checkpoint = torch.load(source / "epoch_3.pth", weights_only=True)
        weights = checkpoint["state_dict"]
        name = next(iter(weights))
        if change == "renamed":
            weights["other"] = weights.pop(name)
        elif change == "reshaped":
            weights[name] = weights[name][..., :1]
        elif change == "missing":
            del weights[name]
        else:
            weights["more"] = torch.zeros(2)
        torch.save(checkpoint, tmp_path / "epoch_3.pth")
        runner._work_dir = str(tmp_path)
        assert runner._named_or_newest().name == "epoch_2.pth"
        assert "of another model" in runner._fault_on_any_rank(tmp_path / "epoch_3.pth")
    assert all(torch.equal(value, before[name]) for name, value in runner.model.state_dict().items())


def test_a_damaged_checkpoint_is_read_by_nothing(finished, tmp_path):
    """One bit of a weight, which torch would read: by the digest, and by the archive's checksums where none stands."""
    blob = bytearray((finished[0] / "epoch_3.pth").read_bytes())
    blob[len(blob) // 2] ^= 1
    (tmp_path / "epoch_3.pth").write_bytes(blob)
    for _ in range(2):
        with pytest.raises(UserError, match="is damaged"):
            load_complete_model(finished[1].model, str(tmp_path / "epoch_3.pth"))
        shutil.copy2(finished[0] / "epoch_3.pth.sha256", tmp_path)


def test_load_from_never_loads_by_half(finished, tmp_path):
    source, runner, _ = finished
    checkpoint = torch.load(source / "epoch_3.pth", weights_only=True)
    before = {name: value.clone() for name, value in runner.model.state_dict().items()}
    runner._load_from, runner._resume, runner._has_loaded = str(tmp_path / "c.pth"), False, False
    name = next(key for key in checkpoint["state_dict"] if key.startswith("image_encoder."))
    for change, message in (
        ("reshaped", "another architecture than the image_encoder"),
        ("renamed", "another arch"),
        ("missing", "1 tensors differ, such as image_encoder"),
        ("other", "has no part"),
    ):
        weights = dict(checkpoint["state_dict"])
        if change == "reshaped":
            weights[name] = weights[name][..., :1]
        elif change == "renamed":
            weights[f"{name}_other"] = weights.pop(name)
        elif change == "missing":
            del weights[name]
        else:
            weights = {f"backbone.{key}": value for key, value in weights.items()}
        torch.save({"state_dict": weights}, tmp_path / "c.pth")
        with pytest.raises(UserError, match=message):
            runner.load_or_resume()
    assert all(torch.equal(value, before[key]) for key, value in runner.model.state_dict().items())
    # A part that is not there at all starts as it is.
    weights = {key: value for key, value in checkpoint["state_dict"].items() if not key.startswith("text_encoder.")}
    torch.save({"state_dict": weights}, tmp_path / "c.pth")
    runner.load_or_resume()
    for key, value in runner.model.state_dict().items():
        assert torch.equal(value, before[key] if key.startswith("text_encoder.") else weights[key]), key
    runner._load_from = None
    runner.model.load_state_dict(before)


def test_checkpoints_of_which_none_can_be_used(finished, tmp_path):
    runner = finished[1]
    (tmp_path / "epoch_1.pth").write_bytes(b"")
    runner._work_dir = str(tmp_path)
    with pytest.raises(UserError, match=r"None of the 1 checkpoints of this run.*epoch_1.pth.*empty"):
        runner._named_or_newest()


def full_disk(case, begin, end):
    """A limit of the kernel on the size of files ends a write somewhere in a checkpoint, as a full disk does."""
    limit = random.Random(case).randrange(50_000, 150_000)
    return [dict(type="tests.test_faults.faults.FullDisk", begin=begin, end=end, limit=limit)]


@pytest.mark.parametrize("case", range(cases(1, 10)))
def test_disk_full_for_a_while(case, server, finished, tmp_path):
    assert server.run(finished[2], tmp_path, epochs=4, faults=full_disk(case, 2, 2)) == 0
    output = (tmp_path / "output.txt").read_text()
    assert "could not be written (File too large), failure 1 of 3" in output
    names = {path.name for path in tmp_path.glob("epoch_*.pth")}
    assert names == {"epoch_3.pth", "epoch_4.pth"}  # the second one is missing, and was not waited for
    checkpoints = {path.name for path in tmp_path.glob("*.pth")}
    assert {path.name.removesuffix(".sha256") for path in tmp_path.glob("*.sha256")} == checkpoints
    assert all(writing.is_intact(path) for path in tmp_path.glob("*.pth"))
    assert not list(tmp_path.glob("*.partial"))


def test_disk_full_for_every_file(server, finished, tmp_path):
    """Also the log of scalars cannot be written while the third epoch runs."""
    full = [dict(type="tests.test_faults.faults.FullDisk", begin=2, end=2, limit=1)]
    assert server.run(finished[2], tmp_path, epochs=4, faults=full) == 0
    assert {path.name for path in tmp_path.glob("epoch_*.pth")} == {"epoch_3.pth", "epoch_4.pth"}
    rows = [json.loads(line) for path in tmp_path.rglob("scalars.json") for line in path.read_text().splitlines()]
    assert {row["epoch"] for row in rows if "epoch" in row} == {1, 2, 4}


def test_no_space_for_the_pointer(server, finished, tmp_path):
    fault = [dict(type="tests.test_faults.faults.NoSpaceForPointer", epochs=[2])]
    assert server.run(finished[2], tmp_path, epochs=4, faults=fault) == 0
    assert (
        "Checkpoint epoch_2.pth could not be written (No space left on device)" in (tmp_path / "output.txt").read_text()
    )
    assert {path.name for path in tmp_path.glob("epoch_*.pth")} == {"epoch_3.pth", "epoch_4.pth"}
    assert (tmp_path / writing.POINTER).read_text().endswith("epoch_4.pth")


@pytest.mark.parametrize("case", range(cases(1, 10)))
def test_disk_full_for_good(case, server, finished, tmp_path):
    assert server.run(finished[2], tmp_path, epochs=8, faults=full_disk(case, 2, 9)) not in (0, None)
    assert "3 checkpoints in a row could not be written" in (tmp_path / "output.txt").read_text()
    names = {path.name for path in tmp_path.glob("epoch_*.pth")}
    assert names == {"epoch_1.pth"} and writing.is_intact(tmp_path / "epoch_1.pth")
    assert server.run(finished[2], tmp_path, epochs=8, resume=True) == 0


def test_verify_checkpoint(finished, tmp_path):
    for path in finished[0].glob("epoch_*"):
        shutil.copy2(path, tmp_path)
    done = call("verify", tmp_path)
    assert done.returncode == 0 and done.stdout.count("intact by the digest") == 2, done.stdout + done.stderr
    with open(tmp_path / "epoch_3.pth", "r+b") as file:
        file.truncate(1000)
    done = call("verify", tmp_path)
    assert done.returncode == 1 and done.stdout.count("is damaged") == 1 and "Traceback" not in done.stderr


def test_verify_checkpoint_beside_a_training(tmp_path, monkeypatch):
    """A checkpoint that is removed between listing and reading is no fault."""
    from mgca_mm.checkpoints import reading

    for number in (1, 2):
        torch.save({"state_dict": {"weight": torch.ones(2)}}, tmp_path / f"epoch_{number}.pth")
    read = reading.read_checkpoint

    def remove_then_read(path):
        if path.name == "epoch_1.pth":
            path.unlink()
        return read(path)

    monkeypatch.setattr(reading, "read_checkpoint", remove_then_read)
    done = call("verify", tmp_path)
    assert done.returncode == 0 and "epoch_1.pth: removed meanwhile" in done.stdout
    assert call("verify", tmp_path / "epoch_1.pth").returncode == 1


def test_digests_without_a_checkpoint_are_cleared(tmp_path):
    others = ["epoch_2.pth", "epoch_2.pth.sha256", "images.zip.sha256", "epoch_3.pth.sha256"]
    others.append(f"epoch_3.pth.{os.getpid()}.partial")  # a digest stands before its checkpoint
    for name in [*others, "epoch_1.pth.sha256", "epoch_4.pth.sha256"]:
        (tmp_path / name).touch()
    writing.remove_partial_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(others)


def _sparse(path):
    path.touch()
    os.truncate(path, 2**30)


@pytest.mark.parametrize(
    "make",
    [
        os.mkfifo,
        os.mkdir,
        _sparse,
        lambda path: path.write_bytes(bytes(range(256))),
        lambda path: path.write_text("x" * 5000),
        lambda path: path.symlink_to(path),
    ],
    ids=["pipe", "folder", "a gigabyte", "binary", "a long name", "circle"],
)
def test_odd_digests_and_pointers(make, tmp_path):
    (tmp_path / "epoch_1.pth").write_bytes(content(1))
    make(writing.digest_file(tmp_path / "epoch_1.pth"))
    make(tmp_path / writing.POINTER)
    assert writing.digests(tmp_path / "epoch_1.pth") == [] and writing.is_intact(tmp_path / "epoch_1.pth")
    assert writing.newest_first(tmp_path) == [tmp_path / "epoch_1.pth"]
    (tmp_path / "epoch_1.pth").unlink()
    assert writing.newest_first(tmp_path) == []
