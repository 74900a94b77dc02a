"""The page's data are embedded once; what is kept of other data or another checkpoint gives way."""

import os
import threading

import numpy as np
import pytest
import torch

from mgca_mm.apis import EmbeddingIndex
from mgca_mm.apis.known_data import KnownData, embed_with_places
from mgca_mm.apis.prepared import load_pairs


@pytest.fixture(scope="module")
def pairs(options):
    return load_pairs(options["data_root"])[:6]


def known(inferencer, pairs, folder=None):
    data = KnownData(inferencer, pairs, threading.Lock(), folder)
    data.prepare()
    assert data.failure is None and data.done == len(pairs)
    return data


def count_embedded(inferencer, monkeypatch):
    calls, embed = [], inferencer.embed_images  # a call a batch
    monkeypatch.setattr(inferencer, "embed_images", lambda images: calls.append(1) or embed(images))
    return calls


def test_it_is_kept(inferencer, pairs, tmp_path, monkeypatch):
    first = known(inferencer, pairs, tmp_path / "new" / "index")
    calls = count_embedded(inferencer, monkeypatch)
    second = known(inferencer, pairs, tmp_path / "new" / "index")
    assert len(calls) == 1  # of the first image, to see whether they are the same
    assert second.is_kept and str(tmp_path) in second.outcome
    assert second.index.names("images") == first.index.names("images")
    assert second.bound == pytest.approx(first.bound, abs=1e-3)


@pytest.mark.parametrize("change", ["fewer", "reports", "checkpoint", "names.json", "places.safetensors", "absent"])
def test_another_gives_way(inferencer, pairs, tmp_path, monkeypatch, change):
    known(inferencer, pairs, tmp_path)
    changed = {"fewer": pairs[:5], "reports": [pairs[0]._replace(report="other words"), *pairs[1:]]}.get(change, pairs)
    if change == "checkpoint":
        monkeypatch.setitem(inferencer.__dict__, "fingerprint", "another")
    elif change == "absent":
        (tmp_path / "places.safetensors").unlink()
    elif change not in ("fewer", "reports"):
        (tmp_path / change).write_bytes(b"{")
    data = known(inferencer, changed, tmp_path)
    assert data.index.names("images") == [pair.image.name for pair in changed]
    assert data.index.names("reports") == list(dict.fromkeys(pair.report for pair in changed))
    monkeypatch.setattr(data, "_embed", None)  # it is kept now
    data.prepare()
    assert data.failure is None


def test_an_older_index_than_the_data(inferencer, pairs, tmp_path, monkeypatch):
    """The images may have been prepared again under the same names."""
    known(inferencer, pairs, tmp_path / "index")
    (tmp_path / "test.json").touch()
    later = (tmp_path / "index/names.json").stat().st_mtime + 5
    os.utime(tmp_path / "test.json", (later, later))
    calls = count_embedded(inferencer, monkeypatch)
    KnownData(inferencer, pairs, threading.Lock(), tmp_path / "index", tmp_path / "test.json").prepare()
    assert len(calls) == 1


def test_an_index_of_another_dimension(inferencer, pairs, tmp_path):
    """With the right fingerprint, which anybody can write."""
    known(inferencer, pairs, tmp_path)
    names, reports = [pair.image.name for pair in pairs], list(dict.fromkeys(pair.report for pair in pairs))
    of = [torch.nn.functional.normalize(torch.ones(len(texts), 3), dim=1) for texts in (names, reports)]
    EmbeddingIndex(inferencer.fingerprint, images=(names, of[0]), reports=(reports, of[1])).save(tmp_path)
    assert known(inferencer, pairs, tmp_path).index.embeddings("images").shape[1] > 3


def test_a_folder_that_cannot_be_written(inferencer, pairs, tmp_path):
    (tmp_path / "file").write_text("x")
    data = known(inferencer, pairs, tmp_path / "file" / "index")
    assert data.index is not None and not data.is_kept and "cannot be written" in data.outcome


def test_a_half_written_index_gives_way(inferencer, pairs, tmp_path):
    """A full disk or a kill has left one file."""
    (tmp_path / "places.safetensors").write_bytes(b"half")
    assert known(inferencer, pairs, tmp_path).is_kept


def test_a_folder_that_another_user_keeps(inferencer, pairs, tmp_path, monkeypatch):
    known(inferencer, pairs, tmp_path / "index")

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mgca_mm.apis.known_data.EmbeddingIndex.load", denied)
    monkeypatch.setattr("mgca_mm.apis.known_data.write_atomically", denied)
    assert not known(inferencer, pairs, tmp_path / "index").is_kept


def test_what_goes_wrong_is_told(inferencer, pairs, monkeypatch):
    def fail(*_):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(inferencer, "embed_images", fail)
    data = KnownData(inferencer, pairs, threading.Lock())
    data.prepare()
    assert data.index is None and "out of memory" in data.outcome


def test_nearness_by_loops(inferencer, pairs):
    data = known(inferencer, pairs)
    places = embed_with_places(inferencer, [pair.image for pair in pairs])[1].numpy()
    for number in range(len(pairs)):
        best = [
            max(places[number, place] @ places[other, place] for other in range(len(pairs)) if other != number)
            for place in range(16)
        ]
        assert data.nearness(torch.from_numpy(places[number]), number) == pytest.approx(np.mean(best), abs=1e-4)
        assert data.nearness(torch.from_numpy(places[number])) == pytest.approx(1, abs=1e-4)


def test_a_single_image(inferencer, pairs):
    data = known(inferencer, pairs[:1])
    assert data.bound == -1
