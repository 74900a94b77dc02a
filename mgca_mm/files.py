"""Atomic writing of files and folders: after a crash or on a full disk there is the old or the new one; digests."""

import contextlib
import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from mgca_mm.errors import UserError

PARTIAL = ".partial"  # ending of what is not complete yet
_CHUNK = 1 << 22


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Another name beside a file or a folder to write it under, which takes its place once all of it is on the disk.

    Args:
        path: File, which may exist, or folder, which must not unless it is empty.

    Raises:
        OSError: If it cannot be written; whatever goes wrong, what was there stays, and nothing partial is left.
    """
    path = Path(path)
    partial = path.with_name(f"{path.name[:200]}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        sync(partial)
        os.replace(partial, path)
    except BaseException:
        if partial.is_dir():
            shutil.rmtree(partial)
        partial.unlink(missing_ok=True)
        raise
    sync(path.parent, recursive=False)


@contextlib.contextmanager
def open_atomically(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A file to write to, by way of :func:`replacing`, with its errors; only its owner may read it."""
    with replacing(path) as partial, open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        yield file


def write_atomically(path: str | os.PathLike, content: bytes | memoryview) -> None:
    """Write a file by way of :func:`open_atomically`, with its errors."""
    with open_atomically(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing_output(path: str | os.PathLike) -> Iterator[Path]:
    """As :func:`replacing`, for what a user has asked for: with the usual permissions, and errors for the user.

    Args:
        path: File, which may exist: its permissions stay, and a link to it stays a link; or folder, which must not.

    Raises:
        UserError: If it cannot be written, or a folder, a pipe or a device has the name.
    """
    target = Path(os.path.realpath(path))
    with _errors_for_users(path):
        if target.exists() and not target.is_file():
            kind = "a folder" if target.is_dir() else "a device or a pipe"
            raise UserError(f"'{path}' exists already and is {kind}.\nGive a new name; no folder is written into.")
        with replacing(target) as partial:
            yield partial
            if target.exists():
                partial.chmod(stat.S_IMODE(target.stat().st_mode))


def write_output(path: str | os.PathLike, content: str | bytes | memoryview) -> None:
    """Write a figure or a table by way of :func:`replacing_output`, with its errors; text becomes UTF-8.

    A pipe or a device (/dev/stdout) is written to.
    """
    content = content.encode("utf-8") if isinstance(content, str) else content
    path = Path(path)
    with _errors_for_users(path):
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(content)
            return
        with replacing_output(path) as partial:
            partial.write_bytes(content)


@contextlib.contextmanager
def _errors_for_users(path: str | os.PathLike) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written ({error.strerror or error}); what was there is untouched\n"
            "Make space or choose another place"
        ) from error


def sync(path: Path, recursive: bool = True) -> None:
    """Let a file, or a folder with all that is in it, reach the disk.

    Raises:
        OSError: If it cannot.
    """
    if recursive and path.is_dir():
        for part in path.iterdir():
            sync(part)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_inside(path: str | os.PathLike) -> bool:
    """Whether a path, taken from a folder, names something within it: by its words, for links see what opens it."""
    parts = PurePosixPath(path)
    return not parts.is_absolute() and ".." not in parts.parts and "\0" not in str(parts)


def sha256_of(*paths: str | os.PathLike) -> str:
    """SHA-256 digest of a file, or of several one after the other."""
    found = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                found.update(chunk)
    return found.hexdigest()
