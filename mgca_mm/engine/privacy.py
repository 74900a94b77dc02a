"""What a run writes down: no paths in logs, event files and checkpoints, and files of its owner alone."""

import logging
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

# /a/b and what follows, but neither a URL nor a fraction.
_ABSOLUTE = re.compile(r"(?<![\w.:/<>])~?/(?:[^\s'\"/:,;()\[\]{}]+/)+")
_FOLDERS = ("data_root", "reports", "work_dir", "load_from")  # whatever their values look like


def keep_files_private() -> None:
    """Let files and folders that this process makes from here on be readable by their owner only."""
    os.umask(0o077)


def without_paths(cfg: Config) -> tuple[Config, dict[str, str]]:
    """A config to be shown: each path in it gives way to the name of its key, as ``<data_root>``.

    The same path gives the same name wherever it stands, so that a config that was written down runs again with
    ``--cfg-options data_root=DIR``.

    Returns:
        The copy, and path → what it was replaced by.
    """
    replaced: dict[str, str] = {}
    for key, value in _strings(cfg._cfg_dict, ""):
        if key in _FOLDERS or _is_path(value):
            replaced.setdefault(value, f"<{key}>")
    shown = Config(_replace(cfg._cfg_dict.to_dict(), replaced), filename=cfg.filename)
    return shown, replaced


class PathFilter(logging.Filter):
    """Takes the folders out of the messages of a logger, known ones by path → what to write; file names stay."""

    def __init__(self, known: Mapping[str, str]):
        super().__init__()
        # A bare name, such as data, is a word as well.
        paths = [item for item in known.items() if os.sep in item[0]]
        self.known = sorted(paths, key=lambda item: len(item[0]), reverse=True)

    def filter(self, record: logging.LogRecord) -> bool:
        """Change a message, and let it pass."""
        message = record.getMessage()
        for path, name in self.known:
            message = message.replace(path, name)
        record.msg, record.args = _ABSOLUTE.sub("…/", message), ()
        return True


def _is_path(value: str) -> bool:
    if "://" in value or len(value) < 2 or "\n" in value:
        return False
    return value.startswith(("/", "~")) or (os.sep in value and Path(value).exists())


def _strings(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every string of a config with its key; those on top first, which have the best names."""
    items = list(node.items()) if isinstance(node, Mapping) else [(key, value) for value in node]
    for name, value in items:
        if isinstance(value, str):
            yield str(name), value
    for name, value in items:
        if isinstance(value, Mapping | list | tuple):
            yield from _strings(value, str(name))


def _replace(node: Any, replaced: Mapping[str, str]) -> Any:
    if isinstance(node, Mapping):
        return {key: _replace(value, replaced) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return type(node)(_replace(value, replaced) for value in node)
    return replaced.get(node, node) if isinstance(node, str) else node
