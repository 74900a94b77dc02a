"""MMEngine's ways to a checkpoint (a file, a URL, a model zoo's name), all read by :func:`read_checkpoint`.

MMEngine's own loaders fall back to unpickling the whole file where ``weights_only=True`` fails, and its allowlist
holds ``getattr``. What we load goes through :func:`load_checkpoint`; what MMEngine and its libraries load goes the same
way once :func:`mgca_mm.engine.install` has given :data:`LOADERS` to its ``CheckpointLoader``.
"""

import os
import re
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine import dist
from mmengine.fileio import get_local_path
from mmengine.runner import checkpoint as mmengine_checkpoint
from mmengine.runner.checkpoint import CheckpointLoader

from mgca_mm.errors import UserError

from .reading import read_checkpoint
from .selection import select_checkpoint

_trusted = False


def trust_checkpoints() -> None:
    """Let this process unpickle whatever a checkpoint holds: the command lines' ``--trust-checkpoint``."""
    global _trusted  # MMEngine calls a loader with a name and a device only
    _trusted = True


def is_trusted() -> bool:
    """Whether :func:`trust_checkpoints` was called."""
    return _trusted


def load_from_local(filename: str, map_location: Any = None) -> dict:
    """Load a file, or the best checkpoint of a run whose folder is named."""
    return read_checkpoint(select_checkpoint(filename), map_location, trust=_trusted)


def load_from_http(url: str, map_location: Any = None) -> dict:
    """Load a URL by way of torch's cache.

    Raises:
        UserError: If it cannot be downloaded.
    """
    folder = Path(torch.hub.get_dir(), "checkpoints")
    file = folder / os.path.basename(urlparse(url).path)

    def download() -> None:
        if not file.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(file), progress=False)  # renamed into place when complete

    try:
        if dist.get_local_rank() == 0:
            download()
        dist.barrier()
        download()  # for a folder that ranks do not share
    except (OSError, HTTPException) as error:  # urllib's errors are of these kinds
        raise UserError(f"Checkpoint '{url}' cannot be downloaded: {error}") from error
    return read_checkpoint(file, map_location, trust=_trusted)


def load_from_storage(url: str, map_location: Any = None) -> dict:
    """Load an object of a storage that MMEngine has a file backend for.

    Raises:
        UserError: The client of the storage is not installed.
    """
    try:
        with get_local_path(url, backend_args={"backend": "petrel"}) as path:
            return read_checkpoint(path, map_location, trust=_trusted)
    except ImportError as error:
        raise UserError(f"Checkpoint '{url}' cannot be had: {error}\nDownload it and give the file.") from error


def load_from_torchvision(name: str, map_location: Any = None) -> dict:
    """Load ``torchvision://resnet50``."""
    return load_from_http(_look_up(name, mmengine_checkpoint.get_torchvision_models()), map_location)


def load_from_openmmlab(name: str, map_location: Any = None) -> dict:
    """Load ``open-mmlab://…``."""
    new_name = mmengine_checkpoint.get_deprecated_model_names().get(name.partition("://")[2])
    if new_name:
        name = f"open-mmlab://{new_name}"
    url = _look_up(name, mmengine_checkpoint.get_external_models())
    if url.startswith(("http://", "https://")):
        return load_from_http(url, map_location)
    return load_from_local(os.path.join(mmengine_checkpoint._get_mmengine_home(), url), map_location)


def load_from_mmcls(name: str, map_location: Any = None) -> dict:
    """Load the backbone of ``mmcls://…``."""
    content = load_from_http(_look_up(name, mmengine_checkpoint.get_mmcls_models()), map_location)
    return mmengine_checkpoint._process_mmcls_checkpoint(content)


def load_from_pavi(name: str, map_location: Any = None) -> dict:
    """Refuse: its files cannot be had without a client that is not public."""
    raise UserError(f"Checkpoint '{name}': pavi:// is not supported; download it and give the file.")


# Pattern of the beginning of a name → loader.
LOADERS: dict[str, Callable[..., dict]] = {
    "": load_from_local,
    "http://": load_from_http,
    "https://": load_from_http,
    r"(\S+\:)?s3://": load_from_storage,
    r"(\S+\:)?petrel://": load_from_storage,
    "modelzoo://": load_from_torchvision,
    "torchvision://": load_from_torchvision,
    "open-mmlab://": load_from_openmmlab,
    "openmmlab://": load_from_openmmlab,
    "mmcls://": load_from_mmcls,
    "pavi://": load_from_pavi,
}


def load_checkpoint(name: str, map_location: Any = None) -> dict:
    """Load a file, the best checkpoint of a run's folder, a URL, or a name of a scheme that MMEngine knows.

    Args:
        name: Which.
        map_location: Where the tensors are read to.

    Returns:
        As :func:`read_checkpoint`.

    Raises:
        UserError: It does not exist, cannot be read, or holds more than tensors and plain data.
    """
    loaders = {**CheckpointLoader._schemes, **LOADERS}  # schemes that others have added are theirs
    pattern = next(pattern for pattern in sorted(loaders, reverse=True) if re.match(pattern, name))
    return loaders[pattern](name, map_location)


def _look_up(name: str, urls: dict[str, str]) -> str:
    scheme, _, model = name.partition("://")
    if model not in urls:
        raise UserError(f"Checkpoint '{name}': {scheme} has no model of this name.")
    return urls[model]
