"""What commands write beside checkpoints: figures, scores, cached features; completely or not at all."""

import contextlib
import io
import os
import resource
import zipfile

import numpy as np
import pytest
from matplotlib.figure import Figure

from mgca_mm.engine.hooks import cached_features
from mgca_mm.engine.hooks.cached_features import CachedFeaturesHook
from mgca_mm.errors import UserError
from mgca_mm.files import write_output
from mgca_mm.preparation.annotations import write_rejected
from mgca_mm.preparation.collection import Rejected
from mgca_mm.visualization.style import save
from tests.test_fuzz.cases import bounded


@contextlib.contextmanager
def full_disk(num_bytes):
    """Files cannot grow beyond a size, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def figure():
    drawn = Figure()
    drawn.subplots().plot([1, 2])
    return drawn


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figures_on_a_full_disk(suffix, tmp_path):
    path = tmp_path / f"figure.{suffix}"
    with full_disk(1000), pytest.raises(UserError, match=rf"figure.{suffix}: cannot be written \(File too large"):
        save(figure(), path)
    assert not list(tmp_path.iterdir())
    save(figure(), path)
    before = path.read_bytes()
    with full_disk(1000), pytest.raises(UserError, match="what was there is untouched"):
        save(figure(), path)
    assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_rejected_images_on_a_full_disk(tmp_path):
    path = tmp_path / "failed.csv"
    path.write_text("old")
    rejected = [Rejected(str(number), "a.jpg", True, "the image is broken") for number in range(100)]
    with full_disk(1000), pytest.raises(OSError, match="File too large"):
        write_rejected(path, rejected, tmp_path)
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
    write_rejected(path, rejected, tmp_path)
    assert len(path.read_text().splitlines()) == 101


def test_outputs_keep_modes_and_links(tmp_path):
    before = os.umask(0o027)
    try:
        write_output(tmp_path / "a.json", "{}")
        (tmp_path / "b.json").write_text("old")
        (tmp_path / "b.json").chmod(0o664)
        (tmp_path / "link.json").symlink_to("b.json")
        write_output(tmp_path / "link.json", "é")
    finally:
        os.umask(before)
    assert (tmp_path / "a.json").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b.json").stat().st_mode & 0o777 == 0o664
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "b.json").read_text(encoding="utf-8") == "é"


FEATURES = {f"{number}.png": np.full(8, number, np.float32) for number in range(100)}


def test_cache_on_a_full_disk(tmp_path, monkeypatch):
    """The run has its features: that they cannot be kept is a warning, and nothing is left."""
    printed = []
    monkeypatch.setattr(cached_features, "print_log", lambda text, **options: printed.append(text))
    folder = tmp_path / "features"
    with full_disk(1000):
        CachedFeaturesHook(folder)._save(folder / "a.npz", FEATURES)
    assert not list(folder.iterdir()) and "cannot be kept" in printed[0]


def test_two_caches_at_once(tmp_path):
    """Whoever reads meets one of the two, whole."""
    path, hook = tmp_path / "a.npz", CachedFeaturesHook(tmp_path)
    hook._save(path, FEATURES)
    child = os.fork()
    if child == 0:
        for _ in range(50):
            hook._save(path, FEATURES)
        os._exit(0)
    for _ in range(50):
        hook._save(path, FEATURES)
        assert len(cached_features._read(path, 8)) == len(FEATURES)
    assert os.waitpid(child, 0)[1] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def npz(ids, features):
    buffer = io.BytesIO()
    np.savez(buffer, image_ids=ids, features=features)
    return buffer.getvalue()


def bomb():
    """A quarter of a gigabyte of zeros in as many kilobytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in (("image_ids", np.array(["0"])), ("features", np.zeros((2**15, 8), np.float32))):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                header = io.BytesIO()
                shape = (2**23, 8) if name == "features" else array.shape
                np.lib.format.write_array_header_1_0(
                    header, {"descr": array.dtype.str, "fortran_order": False, "shape": shape}
                )
                file.write(header.getvalue())
                for _ in range(2**8 if name == "features" else 1):
                    file.write(array.tobytes())
    return buffer.getvalue()


def claims():
    """A header that claims a terabyte."""
    return npz(np.array(["0"]), np.zeros((1, 8), np.float32)).replace(b"(1, 8), ", b"(9**9,8)")


TWO = np.array(["0", "1"])
DAMAGED = {
    "compressed": bomb,
    "claims": claims,
    "NaN": lambda: npz(TWO, np.full((2, 8), np.nan, np.float32)),
    "another width": lambda: npz(TWO, np.zeros((2, 5), np.float32)),
    "another type": lambda: npz(TWO, np.zeros((2, 8))),
    "one dimension": lambda: npz(TWO, np.zeros(2, np.float32)),
    "too few": lambda: npz(TWO, np.zeros((1, 8), np.float32)),
    "an image twice": lambda: npz(np.array(["0", "0"]), np.zeros((2, 8), np.float32)),
    "a number for names": lambda: npz(np.array(7), np.zeros((2, 8), np.float32)),
    "no zip": lambda: b"PK",
    "half": lambda: npz(TWO, np.zeros((2, 8), np.float32))[:300],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_caches_are_made_anew(kind, tmp_path, monkeypatch):
    printed = []
    monkeypatch.setattr(cached_features, "print_log", lambda text, **options: printed.append(text))
    (tmp_path / "a.npz").write_bytes(DAMAGED[kind]())
    with bounded(100 * 1024**2):
        assert cached_features._read(tmp_path / "a.npz", 8) == {}
    assert "the images are encoded again" in printed[0]


def test_cache_that_is_a_pipe(tmp_path, monkeypatch):
    monkeypatch.setattr(cached_features, "print_log", lambda text, **options: None)
    os.mkfifo(tmp_path / "a.npz")
    assert cached_features._read(tmp_path / "a.npz", 8) == {}


def test_an_output_that_is_no_file(tmp_path):
    """A pipe, as /dev/stdout may be, is written to and stays what it is."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    write_output(tmp_path / "pipe", "scores")
    assert os.read(reader, 100) == b"scores" and (tmp_path / "pipe").is_fifo()
    os.close(reader)
