"""How much memory a file may claim: one rule for whatever is read from files of others.

What is unpacked from a file, or made of it, takes at most :data:`TIMES` its size and :data:`ALLOWANCE` besides. Where a
file claims more (a compressed part, a number of elements, a long name), it is refused before that much is read.
"""

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mgca_mm.errors import UserError

TIMES = 10
ALLOWANCE = 100 * 1024**2  # bytes
_MOST_REPEATED = 10**6  # values that stand in other containers, too
_LIST, _DICT = 100, 260  # bytes that a short one takes in memory, with its place in another


def size_of(path: str | os.PathLike) -> int:
    """Bytes of a regular file; a pipe or a device, which could be read without end, is refused.

    Raises:
        UserError: There is no such file, or it is no regular one.
    """
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not the name of a file"
        raise UserError(f"'{path}' cannot be read: {reason}") from error
    if not stat.S_ISREG(found.st_mode):
        raise UserError(f"'{path}' cannot be read: a file is expected here, not a folder, a pipe or a device")
    return found.st_size


def allowed_bytes(path: str | os.PathLike) -> int:
    """Bytes of memory that may be made of a file; errors as in :func:`size_of`."""
    return TIMES * size_of(path) + ALLOWANCE


def parts_of(content: Any) -> Iterator[Any]:
    """Each value in nested containers, the containers among them, as often as it stands there.

    Lists of one list of one list … are few in memory and without end to whoever walks through them or copies them.

    Args:
        content: What was read.

    Raises:
        OverflowError: Containers stand in others again and again, so that a million values are met more than once.
    """
    todo, seen, left = [content], set(), _MOST_REPEATED
    while todo:
        value = todo.pop()
        yield value
        if isinstance(value, dict | list | tuple | set):
            parts = value.values() if isinstance(value, dict) else value
            left -= len(parts) + 1 if id(value) in seen else 0
            if left < 0:
                raise OverflowError("parts contain one another")
            seen.add(id(value))
            todo.extend(parts)


def read_json(path: str | os.PathLike) -> Any:
    """Read a json file.

    Raises:
        UserError: It cannot be read, is not valid json, or its lists and dicts would take more than
            :func:`allowed_bytes`.
    """
    allowed = allowed_bytes(path)
    try:
        content = Path(path).read_bytes()
        # Each needs a bracket; those in strings count, too, and are few.
        if _LIST * content.count(b"[") + _DICT * content.count(b"{") > allowed:
            raise UserError(f"'{path}' is refused: its lists and dicts would take more memory than a file of its size")
        return json.loads(content)
    except OSError as error:
        raise UserError(f"'{path}' cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else f"not valid json ({error})"
        raise UserError(f"'{path}' cannot be read: {reason}") from error
