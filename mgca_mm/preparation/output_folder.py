"""The folder a preparation makes: one writer at a time, finished or not, never in between."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError

from .annotations import FAILED
from .image_store import PROGRESS, STORE
from .manifest import MANIFEST

_PARTIAL = ".partial"


def is_finished(out: Path, key: dict) -> bool:
    """Whether a folder has a manifest with these entries, and the files it lists in their sizes."""
    try:
        manifest = read_json(out / MANIFEST)
        return all(manifest[name] == value for name, value in key.items()) and all(
            (out / name).stat().st_size == entry["bytes"] for name, entry in manifest["files"].items()
        )
    except (UserError, FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False  # No manifest, one of another making, or a file was removed.


@contextlib.contextmanager
def open_folder(out: Path) -> Iterator[Path]:
    """Make the output folder, keep others out of it, and give a folder inside it to work in.

    The working folder is empty but for the image store of a run that was interrupted.

    Raises:
        UserError: It is no folder, or another preparation is writing to it.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file of this name exists; --out takes a folder")
    out.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in out.iterdir()}
    # A folder that holds other things (--out /tmp) keeps its permissions: its files are private in any case.
    if not names - {FAILED} or names & {MANIFEST, _PARTIAL}:
        out.chmod(0o700)
    descriptor = os.open(out, os.O_RDONLY)
    partial = out / _PARTIAL
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{out}: another preparation is writing to this folder") from error
        partial.mkdir(exist_ok=True)
        _keep_store_only(partial)
        try:
            yield partial
        finally:
            _keep_store_only(partial)
            if not any(partial.iterdir()):
                partial.rmdir()
    finally:
        os.close(descriptor)


def publish(partial: Path, out: Path) -> None:
    """Move the files into place, the manifest last, so that a manifest always describes the files beside it.

    Files of the preparation that was there before are removed, those that the new one has no successor of included.
    """
    (partial / PROGRESS).unlink(missing_ok=True)
    (out / FAILED).unlink(missing_ok=True)
    for path in partial.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    before = _listed_files(out / MANIFEST)
    (out / MANIFEST).unlink(missing_ok=True)
    for name in before:
        (out / name).unlink(missing_ok=True)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == MANIFEST):
        target = out / path.name
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        os.replace(path, target)


def _listed_files(manifest: Path) -> list[str]:
    """Files of a finished preparation; names that lead elsewhere, in a manifest of unknown making, are passed over."""
    try:
        names = list(read_json(manifest)["files"])
    except (UserError, KeyError, TypeError):
        return []
    return [name for name in names if not Path(name).is_absolute() and ".." not in Path(name).parts]


def _keep_store_only(partial: Path) -> None:
    """Remove everything but an image store that can be continued."""
    resumable = {STORE, PROGRESS} if (partial / PROGRESS).is_file() else set()
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in resumable:
            path.unlink()
