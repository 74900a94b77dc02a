"""Checkpoints of a run: written so that a complete one always exists and the newest is found.

A checkpoint has its SHA-256 beside it, in the format of ``sha256sum``: ``epoch_5.pth`` and ``epoch_5.pth.sha256``.
"""

import contextlib
import glob
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Sequence
from pathlib import Path

from mgca_mm.files import PARTIAL, sha256_of, write_atomically

POINTER = "last_checkpoint"
CHECKPOINTS = (".pth", ".pt", ".safetensors")  # endings of files that get a digest
_TEMPLATES = ("epoch_{}.pth", "iter_{}.pth")
_MAX_SMALL = 1 << 16


def write_checkpoint(path: str | os.PathLike, content: bytes | memoryview) -> None:
    """Write a checkpoint and its digest.

    Where one of this name exists, the digest file names both until the new checkpoint has taken the old one's place:
    whichever of the two stands there after a crash, it is known to be complete.

    Args:
        path: Checkpoint file.
        content: All of it.

    Raises:
        OSError: As in :func:`mgca_mm.files.replacing`.
    """
    path = Path(path)
    digest = hashlib.sha256(content).hexdigest()
    known = digests(path) if path.exists() else []
    try:
        _write_digests(path, [digest, *known])
        write_atomically(path, content)
    except BaseException:
        if not path.exists():
            digest_file(path).unlink(missing_ok=True)
        raise
    if known:
        _write_digests(path, [digest])


def digests(path: str | os.PathLike) -> list[str]:
    """SHA-256 digests that stand beside a checkpoint: one, two while it is being replaced, none if there is no file."""
    return re.findall(r"^[0-9a-f]{64}", _read_small(digest_file(path)), flags=re.MULTILINE)


def digest_file(path: str | os.PathLike) -> Path:
    """The file with a checkpoint's digest."""
    return Path(f"{os.fspath(path)}.sha256")


def is_intact(path: str | os.PathLike) -> bool:
    """Whether a checkpoint is the one that was written.

    By the digest beside it; where none stands, by the checksums of torch's archive. A file of another kind without a
    digest passes: only reading it would show a fault.

    Args:
        path: Checkpoint file.
    """
    known = digests(path)
    if known:
        return sha256_of(path) in known
    if not zipfile.is_zipfile(path):
        return True
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError):  # whichever a damaged header leads to
        return False


def remove_checkpoint(path: str | os.PathLike) -> None:
    """Remove a checkpoint, then its digest."""
    Path(path).unlink(missing_ok=True)
    digest_file(path).unlink(missing_ok=True)


def remove_partial_files(folder: str | os.PathLike) -> None:
    """Remove what killed processes have left in a folder of checkpoints: files half written, digests of none.

    Only of processes that are gone: another run may be writing into the same folder.
    """
    for path in Path(folder).glob(f"*{PARTIAL}"):
        pid = path.name.removesuffix(PARTIAL).rpartition(".")[2]
        if pid.isdigit() and not _is_running(int(pid)):
            path.unlink(missing_ok=True)
    for path in Path(folder).glob("*.sha256"):
        checkpoint = path.with_name(path.name.removesuffix(".sha256"))
        # It is written before its checkpoint, which may be about to come.
        being_written = any(path.parent.glob(f"{glob.escape(checkpoint.name)}.*{PARTIAL}"))
        if path.is_file() and checkpoint.suffix in CHECKPOINTS and not checkpoint.exists() and not being_written:
            path.unlink(missing_ok=True)


def newest_first(work_dir: str | os.PathLike, templates: Sequence[str] = ()) -> list[Path]:
    """Training checkpoints of a run (``epoch_N.pth``, ``iter_N.pth``), the one of the pointer first, then by age.

    Args:
        work_dir: Folder of the run. Where it holds no checkpoint, they are in the folder that its pointer names.
        templates: Other names that checkpoints have, with ``{}`` for the number.
    """
    folder, named = Path(work_dir), None
    names = "|".join(numbered(template) for template in (*_TEMPLATES, *templates))
    found = _by_age(folder, names)
    pointer = _read_small(folder / POINTER).strip()
    if pointer.isprintable() and pointer:
        named = Path(pointer)
        with contextlib.suppress(OSError):  # too long for a name
            if not found and named.is_file():
                found = _by_age(named.parent, names)
        # Only the name: the folder may have been moved since.
        named = next((path for path in found if path.name == named.name), None)
    if named is not None:
        found.remove(named)
        found.insert(0, named)
    return found


def numbered(template: str) -> str:
    """Pattern of the names that a template such as ``epoch_{}.pth`` or ``epoch_{:03d}.pth`` gives."""
    return re.sub(r"\\{.*?\\}", r"\\d+", re.escape(template))


def _by_age(folder: Path, names: str) -> list[Path]:
    ages = {}
    for path in folder.glob("*.pth"):
        if re.fullmatch(names, path.name):
            with contextlib.suppress(FileNotFoundError):  # removed meanwhile by the training
                ages[path] = path.stat().st_mtime_ns
    return sorted(ages, key=ages.get, reverse=True)


def _read_small(path: Path) -> str:
    """Text of a file of a few lines; none where there is no such file, or one that cannot be what we wrote."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        found = path.stat()
        if stat.S_ISREG(found.st_mode) and found.st_size <= _MAX_SMALL:  # a pipe would be waited for
            return path.read_text(encoding="utf-8")
    return ""


def _write_digests(path: Path, found: list[str]) -> None:
    write_atomically(digest_file(path), "".join(f"{digest}  {path.name}\n" for digest in found).encode("ascii"))


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
