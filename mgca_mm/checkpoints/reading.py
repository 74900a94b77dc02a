"""Reading a checkpoint file without running anything that it contains.

Every entry point reads by this module: ``--resume``, ``load_from``, ``init_cfg=dict(type='Pretrained', …)`` in configs
of any library (through :mod:`mgca_mm.checkpoints.schemes`), ``mgca-mm test``, the probe and the converters.
"""

import contextlib
import io
import logging
import os
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import safetensors
import safetensors.torch
import torch
from mmengine.logging import print_log

from mgca_mm.bounds import allowed_bytes, parts_of
from mgca_mm.checkpoints.writing import digests, is_intact
from mgca_mm.errors import UserError, first_line

from .pickled import TooLargeError, UnsafeError, follow

# Code that MMEngine's Runner.resume and its inferencers would execute: the config as text.
_CONFIG_TEXTS = ("config", "cfg")


class CheckpointError(UserError):
    """A checkpoint file is absent, damaged or not a checkpoint."""


class UntrustedCheckpointError(CheckpointError):
    """A checkpoint file holds more than tensors and plain data, so that reading it could run code."""


def read_checkpoint(
    path: str | os.PathLike, map_location: str | torch.device | Callable | dict | None = "cpu", trust: bool = False
) -> dict[str, Any]:
    """Read a checkpoint file: torch's (``.pth``, ``.ckpt``, old or new format) or ``.safetensors``.

    Only tensors and plain data are read, and there is no fallback; torch does not look at the checksums in its own
    archives, :func:`is_intact` does. Memory is bounded by the size of the file. The
    config text that MMEngine puts into checkpoints, and executes when it resumes, is dropped; of the paths of earlier
    checkpoints, which it deletes when it finds a better one, only the file names are kept.

    Args:
        path: Local file.
        map_location: Where the tensors are read to, as in :func:`torch.load`.
        trust: Unpickle whatever the file holds, which can run any code in it; says so in the log.

    Returns:
        The content of a torch file; ``state_dict`` and ``meta`` of a safetensors file.

    Raises:
        UntrustedCheckpointError: If the file names anything but tensors and plain data.
        CheckpointError: If it does not exist, is damaged, or holds no dict.
    """
    path = os.path.expanduser(path)
    with _typed_errors(path):
        is_safetensors, has_digest = path.endswith(".safetensors"), bool(digests(path))
        if has_digest:
            _require_whole(path)
        if not is_safetensors and not trust:
            require_plain(path)
        if not has_digest:
            _require_whole(path)  # by checksums in the archive, which may be read now that its records are plain
        if is_safetensors:
            content = _read_safetensors(path, map_location)
        elif trust:
            warning = f"TRUSTED: '{path}' is unpickled without restriction; whatever code it holds runs now"
            print_log(warning, logger="current", level=logging.WARNING)
            content = torch.load(path, map_location=map_location, weights_only=False)
        else:
            content = torch.load(path, map_location=map_location, weights_only=True)
            _require_tree(content, path)
    if not isinstance(content, dict):
        raise CheckpointError(f"Checkpoint '{path}' holds no dict but {type(content).__name__}.")
    _disarm(content)
    return content


def _require_whole(path: str) -> None:
    if not is_intact(path):
        raise CheckpointError(
            f"Checkpoint '{path}' is damaged: its checksum is another than when it was written. Take another one."
        )


def _read_safetensors(path: str, map_location: Any) -> dict[str, Any]:
    device = map_location if isinstance(map_location, str | torch.device) else "cpu"
    with safetensors.safe_open(path, framework="pt") as file:
        meta = file.metadata() or {}
    return {"state_dict": safetensors.torch.load_file(path, device=str(device)), "meta": meta}


def require_plain(path: str | os.PathLike) -> None:
    """Refuse a torch file that holds more than tensors and plain data, by looking at it without reading it.

    For files that another library reads by itself: timm's ``checkpoint_path``, the weights of a text model.

    Args:
        path: Local file.

    Raises:
        UntrustedCheckpointError: If it names or calls anything else than torch writes, see :mod:`.pickled`.
        CheckpointError: If it does not exist or is damaged.
    """
    path = os.fspath(path)
    with _typed_errors(path), open(path, "rb") as file:
        try:
            if file.read(2) == b"PK":
                _follow_archive(path)
            else:
                file.seek(0)
                for _ in range(5):  # magic number, version, system, content, keys of the storages
                    follow(file, allowed_bytes(path), None, os.path.getsize(path))
        except UnsafeError as error:
            raise UntrustedCheckpointError(
                f"Checkpoint '{path}' is refused: it holds {error} besides tensors and plain data, and reading that "
                "could run code.\nIf you made it, add --trust-checkpoint or convert it once:\n"
                "mgca-mm convert publish IN OUT.safetensors --trust-checkpoint"
            ) from error
        except TooLargeError as error:
            raise CheckpointError(
                f"Checkpoint '{path}' is refused: {error} is larger than what is stored of it."
            ) from error


@contextlib.contextmanager
def _typed_errors(path: str) -> Iterator[None]:
    """Turn what goes wrong with a file into an error that names it."""
    if not os.path.isfile(path):
        raise CheckpointError(f"Checkpoint '{path}' does not exist.")
    if os.path.getsize(path) == 0:
        raise CheckpointError(f"Checkpoint '{path}' cannot be read: it is empty.")
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # torch, zipfile, pickletools and safetensors raise a dozen kinds for a damaged file
        raise CheckpointError(f"Checkpoint '{path}' cannot be read: {first_line(error)}") from error


def _follow_archive(path: str) -> None:
    """Follow the pickle of a zip archive, whose records must be as torch writes them."""
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries) or sum(
            entry.file_size for entry in entries
        ) > os.path.getsize(path):
            raise CheckpointError(f"Checkpoint '{path}' is refused: its records are compressed or overlap.")
        names = [entry.filename.lower() for entry in entries]
        if len(set(names)) < len(names):  # of which torch may take another one than zipfile
            raise CheckpointError(f"Checkpoint '{path}' is refused: two of its records have one name.")
        roots = {entry.filename.partition("/")[0] for entry in entries}
        if len(roots) != 1 or any(".." in entry.filename.split("/") for entry in entries):
            raise CheckpointError(f"Checkpoint '{path}' is refused: its records do not stand in one folder.")
        root = roots.pop()
        records = {entry.filename.removeprefix(f"{root}/data/"): entry.file_size for entry in entries}
        pickled = io.BytesIO(archive.read(f"{root}/data.pkl"))
        follow(pickled, allowed_bytes(path), records, os.path.getsize(path))


def _require_tree(content: Any, path: str) -> None:
    """Refuse what would be larger than the file when it is copied or written out, lest that fill the memory."""
    try:
        for value in parts_of(content):
            if isinstance(value, dict):
                _require_attributes(value, path)
    except OverflowError as error:
        raise CheckpointError(f"Checkpoint '{path}' is refused: its {error}.") from error


def _require_attributes(value: dict, path: str) -> None:
    """Refuse attributes of a dict but the versions of the modules in a state dict: they could hide its methods."""
    attributes = getattr(value, "__dict__", {})
    versions = attributes.get("_metadata", {})
    sound = attributes.keys() <= {"_metadata"} and isinstance(versions, dict)
    for module in versions.values() if sound else ():
        sound = sound and isinstance(module, dict) and all(isinstance(version, int) for version in module.values())
    if not sound:
        raise CheckpointError(f"Checkpoint '{path}' is refused: a dict has attributes that torch does not write.")


def _disarm(content: dict) -> None:
    """Take from a checkpoint what MMEngine would execute or delete."""
    runtime_info = _child(content, "message_hub", "runtime_info")
    for info in (_child(content, "meta"), runtime_info):
        for name in _CONFIG_TEXTS:
            info.pop(name, None)
    for name, value in runtime_info.items():
        if isinstance(value, str) and "ckpt" in str(name):  # last_ckpt, best_ckpt, best_ckpt_<metric>
            runtime_info[name] = os.path.basename(value)
        elif name == "keep_ckpt_ids":  # of which MMEngine makes names of files to delete
            runtime_info[name] = [step for step in value if isinstance(step, int)] if isinstance(value, list) else []


def _child(node: Any, *keys: str) -> dict:
    for key in keys:
        node = node.get(key) if isinstance(node, dict) else None
    return node if isinstance(node, dict) else {}
