"""The folder a preparation makes: one writer at a time, finished or not, never in between."""

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.files import PARTIAL, is_inside, sync
from mgca_mm.prepared import MANIFEST, STORE

from .image_store import PROGRESS

FAILED = "failed.csv"  # What a preparation left out that left out too much, until one succeeds.


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

    The working folder is empty but for the image store of a run that was interrupted. Whatever is created meanwhile is
    for its owner only, what libraries and worker processes create included.

    Raises:
        UserError: It is no folder, or another preparation is writing to it.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file of this name exists; --out takes a folder")
    partial = out / PARTIAL
    with contextlib.ExitStack() as stack:
        stack.callback(os.umask, os.umask(0o077))
        out.mkdir(parents=True, exist_ok=True)
        names = {path.name for path in out.iterdir()}
        # A folder that holds other things (--out /tmp) keeps its permissions: its files are private in any case.
        if not names - {FAILED} or names & {MANIFEST, PARTIAL}:
            out.chmod(0o700)
        descriptor = os.open(out, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{out}: another preparation is writing to this folder") from error
        partial.mkdir(exist_ok=True)
        _keep_store_only(partial)
        stack.callback(_keep_store_only, partial, or_nothing=True)
        yield partial


def publish(partial: Path, out: Path) -> None:
    """Move the files into place, the manifest last, so that a manifest always describes the files beside it.

    Files of the preparation that was there before are removed, those that the new one has no successor of included.
    """
    (partial / PROGRESS).unlink(missing_ok=True)
    (out / FAILED).unlink(missing_ok=True)
    sync(partial)
    try:
        # Names that lead elsewhere, in a manifest of unknown making, are passed over.
        before = list(filter(is_inside, read_json(out / MANIFEST)["files"]))
    except (UserError, KeyError, TypeError):
        before = []
    (out / MANIFEST).unlink(missing_ok=True)
    for name in before:
        (out / name).unlink(missing_ok=True)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == MANIFEST):
        target = out / path.name
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        os.replace(path, target)
    sync(out, recursive=False)


def _keep_store_only(partial: Path, or_nothing: bool = False) -> None:
    """Remove everything but an image store that can be continued; where there is none, the folder, too, if wanted."""
    resumable = {STORE, PROGRESS} if (partial / PROGRESS).is_file() else set()
    for path in partial.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name not in resumable:
            path.unlink()
    if or_nothing and not resumable:
        partial.rmdir()
