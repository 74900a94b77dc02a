"""A training checkpoint as tensors and plain data, so that :func:`read_checkpoint` needs to trust nothing.

MMEngine's holds objects (the histories of the losses) and the config as text with the user's paths in it.
"""

import logging
import os
from collections import Counter, OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.logging import HistoryBuffer, print_log
from torch import Tensor

_HISTORY = frozenset({"log_history", "count_history", "max_length"})


def to_plain(checkpoint: dict[str, Any]) -> None:
    """Reduce a checkpoint that is about to be written, in place.

    Histories become tensors, numpy values tensors and numbers. The config text is left out, as are the folders of
    earlier checkpoints. What cannot be reduced is left out with a warning.

    Args:
        checkpoint: As :meth:`mmengine.runner.Runner.save_checkpoint` makes it.
    """
    checkpoint.get("meta", {}).pop("cfg", None)
    hub = checkpoint.get("message_hub", {})
    # resumed_keys is the hub's own dict, not a copy.
    runtime_info = hub.get("runtime_info", {})
    runtime_info.pop("cfg", None)
    there = runtime_info.keys() | hub.get("log_scalars", {}).keys()
    hub["resumed_keys"] = {name: kept for name, kept in hub.get("resumed_keys", {}).items() if name in there}
    for name, value in runtime_info.items():
        if "ckpt" in name and isinstance(value, str):
            runtime_info[name] = os.path.basename(value)
        elif "ckpt" in name and isinstance(value, list):
            runtime_info[name] = [os.path.basename(item) if isinstance(item, str) else item for item in value]
    for name, value in checkpoint.items():
        if name != "state_dict":  # tensors already, in an OrderedDict with the versions of the modules
            checkpoint[name] = _plain(value, name, {})


def from_plain(checkpoint: dict[str, Any], work_dir: str) -> None:
    """Give a checkpoint that was read the form that MMEngine resumes from, in place.

    Args:
        checkpoint: Result of :func:`read_checkpoint`.
        work_dir: Folder of the checkpoints that it names.
    """
    hub = checkpoint.get("message_hub")
    if not isinstance(hub, dict) or not all(
        isinstance(hub.get(part), dict) for part in ("log_scalars", "runtime_info")
    ):
        return  # of no run that is resumed
    scalars = hub["log_scalars"]
    for name, value in scalars.items():
        if is_history(value):
            history = HistoryBuffer(max_length=value["max_length"])
            history._log_history = value["log_history"].cpu().numpy()
            history._count_history = value["count_history"].cpu().numpy()
            scalars[name] = history
    runtime_info = hub["runtime_info"]
    for name, value in runtime_info.items():
        if "ckpt" in name and isinstance(value, str):
            runtime_info[name] = str(Path(work_dir, os.path.basename(value)))


def is_history(value: Any) -> bool:
    """Whether a value is what :func:`to_plain` makes of a history."""
    if not isinstance(value, dict) or value.keys() != _HISTORY:
        return False
    logs, counts, length = value["log_history"], value["count_history"], value["max_length"]
    tensors = all(isinstance(part, Tensor) and part.dim() == 1 and not part.is_complex() for part in (logs, counts))
    return tensors and len(logs) == len(counts) and type(length) is int and length > 0


def _plain(value: Any, name: str, known: dict[int, Any]) -> Any:
    """A value as plain data; one that stands in several places stays one."""
    if value is None or isinstance(value, Tensor) or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        return torch.from_numpy(value.copy())
    if isinstance(value, np.generic):
        return value.item()
    if id(value) not in known:
        known[id(value)] = _plain_container(value, name, known)
    return known[id(value)]


def _plain_container(value: Any, name: str, known: dict[int, Any]) -> Any:
    if isinstance(value, HistoryBuffer):
        logs, counts = value.data
        return {
            "log_history": torch.from_numpy(np.array(logs)),
            "count_history": torch.from_numpy(np.array(counts)),
            "max_length": value.max_length,
        }
    if isinstance(value, Mapping):
        kind = type(value) if type(value) in (OrderedDict, Counter) else dict
        # Keys of other kinds would not be read again, see checkpoints/pickled.py.
        items = ((key if isinstance(key, str | int | float) else str(key), item) for key, item in value.items())
        return kind({key: _plain(item, f"{name}.{key}", known) for key, item in items})
    if isinstance(value, tuple):
        return tuple(_plain(item, name, known) for item in value)
    if isinstance(value, list | set | frozenset):
        return [_plain(item, name, known) for item in value]
    print_log(
        f"left out of the checkpoint: {name}, a {type(value).__name__} and no plain data",
        logger="current",
        level=logging.WARNING,
    )
    return None
