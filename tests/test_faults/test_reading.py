"""Reading checkpoint files: what is refused, what is taken, and at which cost."""

import logging
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest
import safetensors.torch
import torch
from mmengine.logging import HistoryBuffer

from mgca_mm.checkpoints import reading
from mgca_mm.checkpoints.plain import from_plain, to_plain
from mgca_mm.checkpoints.reading import CheckpointError, UntrustedCheckpointError, read_checkpoint
from tests.test_fuzz.cases import bounded

from . import poisons


@pytest.mark.parametrize("poison", poisons.EXECUTING, ids=lambda p: p.__name__)
def test_nothing_is_executed(poison, tmp_path):
    file, mark = tmp_path / "c.pth", tmp_path / "mark"
    poison(file, mark)
    if poison is poisons.config_text:
        content = read_checkpoint(file)
        assert not {"config", "cfg"} & content["meta"].keys() and not content["message_hub"]["runtime_info"]
    else:
        with pytest.raises(CheckpointError) as caught:
            read_checkpoint(file)
        assert len(str(caught.value).splitlines()) <= 3
    assert not mark.exists() and not (tmp_path.parent / "mark").exists()


@pytest.mark.parametrize(
    "poison", [poisons.os_system, poisons.evaluate, poisons.legacy_format], ids=lambda p: p.__name__
)
def test_the_poisons_are_real(poison, tmp_path):
    """A test that nothing happens says nothing, unless something would."""
    poison(tmp_path / "c.pth", tmp_path / "mark")
    read_checkpoint(tmp_path / "c.pth", trust=True)
    assert (tmp_path / "mark").exists()


def test_trust_is_loud(tmp_path, monkeypatch):
    printed = []
    monkeypatch.setattr(reading, "print_log", lambda text, **kwargs: printed.append((text, kwargs["level"])))
    poisons.os_system(tmp_path / "c.pth", tmp_path / "mark")
    with pytest.raises(UntrustedCheckpointError, match=r"posix\.system.*\n.*--trust-checkpoint"):
        read_checkpoint(tmp_path / "c.pth")
    read_checkpoint(tmp_path / "c.pth", trust=True)
    assert printed[0][0].startswith("TRUSTED") and printed[0][1] == logging.WARNING


@pytest.mark.parametrize("poison", poisons.FILLING, ids=lambda p: p.__name__)
def test_memory_is_bounded(poison, tmp_path):
    """Refused in no more than ten times the file and 200 MB, and not because there was no more."""
    path = tmp_path / "c.pth"
    poison(path)
    with pytest.raises(CheckpointError, match="refused"), bounded(10 * path.stat().st_size + 200 * 2**20):
        read_checkpoint(path)


def test_saving_what_is_shared(tmp_path):
    """A list that others have put into the message hub takes as much memory as before."""
    checkpoint = {"message_hub": {"runtime_info": {"extra": poisons.shared_list()}}}
    to_plain(checkpoint)
    extra = checkpoint["message_hub"]["runtime_info"]["extra"]
    assert extra[0] is extra[1]


def test_what_old_torch_has_written(tmp_path):
    """Python 2 gave an OrderedDict its items in the call, and a set is a call with a list."""
    content = {"state_dict": OrderedDict(weight=torch.arange(3.0)), "seen": {1, "a"}, "counts": Counter("aab")}
    content |= {"bytes": b"abc", "device": torch.device("cuda", 1), "layout": torch.strided, "size": torch.Size([1, 2])}
    torch.save(content, tmp_path / "c.pth", _use_new_zipfile_serialization=False)
    read = read_checkpoint(tmp_path / "c.pth")
    assert {name: value for name, value in read.items() if name != "state_dict"} == {
        name: value for name, value in content.items() if name != "state_dict"
    }
    pairs = poisons.Call(OrderedDict, [["weight", torch.arange(3.0)]])
    torch.save({"state_dict": pairs}, tmp_path / "c.pth")
    assert read_checkpoint(tmp_path / "c.pth")["state_dict"]["weight"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("legacy", [False, True])
def test_damage_is_an_error_of_ours(legacy, tmp_path):
    file = tmp_path / "c.pth"
    content = {"state_dict": {"weight": torch.arange(100.0)}, "meta": {"epoch": 3}}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    whole = file.read_bytes()
    for length in range(0, len(whole) - 1, len(whole) // 50):
        file.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"c\.pth"):
            read_checkpoint(file)


def test_flipped_bits_never_raise_another_error(tmp_path):
    file = tmp_path / "c.pth"
    torch.save({"state_dict": {"weight": torch.arange(100.0)}}, file)
    whole = file.read_bytes()
    random = np.random.default_rng(0)
    for position in random.integers(0, len(whole), 200):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << random.integers(8)
        file.write_bytes(damaged)
        try:
            assert isinstance(read_checkpoint(file), dict)  # a flipped bit of a number: the checksum beside it tells
        except CheckpointError as error:
            assert len(str(error).splitlines()) <= 3


def test_records_that_differ_in_case_alone(tmp_path):
    """torch looks for data.pkl without regard to case, and may find another record than the one that was looked at."""
    file, mark = tmp_path / "c.pth", tmp_path / "mark"
    torch.save({"state_dict": {"weight": torch.ones(2)}}, file)
    poisons.os_system(tmp_path / "bad.pth", mark)
    with zipfile.ZipFile(tmp_path / "bad.pth") as bad, zipfile.ZipFile(file, "a") as archive:
        name = next(name for name in bad.namelist() if name.endswith("data.pkl"))
        root = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{root}/DATA.PKL", bad.read(name))
    with pytest.raises(CheckpointError, match="two of its records have one name"):
        read_checkpoint(file)
    assert not mark.exists()


def test_safetensors(tmp_path):
    safetensors.torch.save_file({"a": torch.arange(3)}, tmp_path / "c.safetensors", metadata={"format": "pt"})
    content = read_checkpoint(tmp_path / "c.safetensors")
    assert content["state_dict"]["a"].tolist() == [0, 1, 2] and content["meta"] == {"format": "pt"}
    (tmp_path / "c.safetensors").write_bytes(b"\xff" * 100)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "c.safetensors")


def test_every_kind_of_tensor_is_read(tmp_path):
    dtypes = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    tensors = {str(dtype): torch.ones(2, 3, dtype=dtype) for dtype in dtypes}
    tensors["parameter"] = torch.nn.Parameter(torch.ones(2))
    tensors["view"] = torch.arange(10)[::3]
    for legacy in (True, False):
        if not legacy:
            tensors["uint32"] = torch.ones(2, dtype=torch.uint32)  # which torch cannot read back from its old format
        torch.save(tensors, tmp_path / "c.pth", _use_new_zipfile_serialization=not legacy)
        content = read_checkpoint(tmp_path / "c.pth")
        assert all(torch.equal(content[name], tensor) for name, tensor in tensors.items())


def test_a_training_checkpoint_needs_no_trust(tmp_path):
    history = HistoryBuffer([1.5, 2.5], [1, 1], max_length=7)
    checkpoint = {
        "meta": {"epoch": 1, "iter": np.int64(3), "cfg": "data_root='/home/someone'"},
        "state_dict": torch.nn.BatchNorm1d(2).state_dict(),
        "message_hub": {
            "log_scalars": {"train/loss": history},
            "runtime_info": {"cfg": "x", "best_ckpt": "/home/someone/run/best.pth", "best_score": np.float64(0.5)},
            "resumed_keys": {"cfg": True, "train/loss": True},
        },
    }
    to_plain(checkpoint)
    torch.save(checkpoint, tmp_path / "c.pth")
    assert b"someone" not in (tmp_path / "c.pth").read_bytes()
    content = read_checkpoint(tmp_path / "c.pth")
    assert content["state_dict"]._metadata[""] == {"version": 2}
    from_plain(content, "elsewhere")
    hub = content["message_hub"]
    assert hub["runtime_info"] == {"best_ckpt": "elsewhere/best.pth", "best_score": 0.5}
    restored = hub["log_scalars"]["train/loss"]
    assert isinstance(restored, HistoryBuffer) and restored.max_length == 7
    assert restored.data[0].tolist() == [1.5, 2.5] and hub["resumed_keys"] == {"train/loss": True}


def test_paths_in_a_checkpoint_lead_nowhere(tmp_path):
    """MMEngine deletes the file or folder that a checkpoint names as the best so far."""
    info = {"best_ckpt": "/home/someone", "best_ckpt_auc": "../../x", "keep_ckpt_ids": [1, "../../x", 2]}
    content = {"message_hub": {"runtime_info": info}}
    torch.save(content, tmp_path / "c.pth")
    assert read_checkpoint(tmp_path / "c.pth")["message_hub"]["runtime_info"] == {
        "best_ckpt": "someone",
        "best_ckpt_auc": "x",
        "keep_ckpt_ids": [1, 2],
    }
