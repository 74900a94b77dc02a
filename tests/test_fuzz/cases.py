"""How many cases are tried, how long one may take, and the ways to spoil a table, a file and nested values.

A few hundred cases run with the other tests, the same each time. All 35,000, others each time (hours)::

    FUZZ=full .venv/bin/python -m pytest tests/test_fuzz

A case that fails is printed and shrunk by hypothesis; what it wrote is left in pytest's folder of temporary files.
"""

import contextlib
import copy
import ctypes
import functools
import math
import os
import resource
import signal
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

FULL = os.environ.get("FUZZ") == "full"
SECONDS = 20  # That one case may take.


def cases(few: int, many: int):
    """How many cases of a property are tried with the other tests, and in the full run; the latter sum up to 35,000."""
    return settings(
        max_examples=many if FULL else few,
        derandomize=not FULL,
        deadline=None,  # The time of a case varies with what it is; a hang is caught by `in_time`.
        database=None,
        suppress_health_check=list(HealthCheck),
    )


class HangError(AssertionError):
    pass


@contextlib.contextmanager
def in_time():
    def stop(*_):
        raise HangError(f"longer than {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


_WORDS = [
    *("", " ", "0", "1", "-1", "1.0", "nan", "inf", "1e999", "1e308", "9" * 30, "9" * 5000, "1_0", "٣", "0x10", "True"),
    *("../x", "/etc/passwd", "..", ".", "a/b/c/d", "a\\b", "a\nb", "a\r\nb", "a\0b", "x" * 300, "CheXpert/a/b/c/d.jpg"),
    *('"', '""', ",", ";", "\ufeff", "\udcff", "é", "\u2028", "a\u202eb", "train", "val", "test", "validate", "PA"),
    *("Frontal", "normal", "COVID-19", "0 1 1 5 5;1 2 2 9 9", "2 1 1 2 2 3 1", "1 1048575", "0 1 1e5 1 2", "p0", "d0"),
]
words = st.sampled_from(_WORDS) | st.text(max_size=8)
# A place in something of any length.
places = st.integers(0, 2**16 - 1)
# Most inputs with several faults are refused for the first.
few = st.sampled_from((1, 1, 1, 2, 5))


def at(items, place):
    return place * len(items) >> 16


def spoil_rows(data, rows: list[list[str]]) -> None:
    """Change a table in place."""
    for _ in range(data.draw(few)):
        if not rows:
            return
        # The header is one row of a few, and spoils everything: it is left alone most of the time.
        row = at(rows, data.draw(places)) if data.draw(st.integers(0, 7)) else 0
        cells = rows[row]
        kind = data.draw(
            st.sampled_from(("word", "copy", "drop cell", "add cell", "drop row", "repeat row", "swap rows"))
        )
        if kind == "drop row":
            del rows[row]
        elif kind == "repeat row":
            rows.insert(at(rows, data.draw(places)), list(cells))
        elif kind == "swap rows":
            other = at(rows, data.draw(places))
            rows[row], rows[other] = rows[other], rows[row]
        elif kind == "add cell":
            cells.append(data.draw(words))
        elif cells:
            column = at(cells, data.draw(places))
            if kind == "word":
                cells[column] = data.draw(words)
            elif kind == "copy":
                other = rows[at(rows, data.draw(places))]
                cells[column] = other[at(other, data.draw(places))] if other else ""
            else:
                del cells[column]


def spoil_bytes(data, content: bytes) -> bytes:
    """Change a file as disks, networks and editors do."""
    for _ in range(data.draw(few)):
        # Headers are where it matters most.
        place = at(content[: data.draw(st.sampled_from((64, 700, None)))], data.draw(places))
        kind = data.draw(st.sampled_from(("set", "set", "set", "number", "insert", "delete", "repeat", "truncate")))
        if kind == "set":
            content = content[:place] + data.draw(st.binary(min_size=1, max_size=4)) + content[place + 1 :]
        elif kind == "number":
            number = data.draw(st.sampled_from((0, 1, 2**15, 65_500, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)))
            size, order = data.draw(st.sampled_from((2, 4))), data.draw(st.sampled_from(("big", "little")))
            written = (number % 256**size).to_bytes(size, order)
            content = content[:place] + written + content[place + size :]
        elif kind == "insert":
            content = content[:place] + data.draw(st.binary(max_size=40)) + content[place:]
        elif kind == "truncate":
            content = content[:place]
        else:
            end = place + data.draw(st.integers(1, 64))
            content = content[:place] + (2 * content[place:end] if kind == "repeat" else b"") + content[end:]
    return content


_DEEP = functools.reduce(lambda inner, _: [inner], range(400), 0)
_KEYS = ("image_store", "image_index", "img_path", "raw_path", "labels", "report", "gt_label", "x", "")


def spoil_json(data, content) -> None:
    """Change some values of nested lists and dictionaries in place."""
    values = st.sampled_from(
        [
            *(None, True, -1, 0, 1, 2, 1.5, 10**30, math.nan, math.inf, [], {}, [[]], [None], ["x"], {"id": 1}, _DEEP),
            *("", "x", "0.png", "Left Lung", "../outside.png", "/etc/passwd", "a\0b", "\udcff", "images/x.png"),
        ]
    )
    for _ in range(data.draw(few)):
        nodes, todo = [], [content]
        while todo:
            node = todo.pop()
            keys = list(node) if isinstance(node, dict) else range(len(node))
            nodes += [(node, key) for key in keys]
            todo += [node[key] for key in keys if isinstance(node[key], dict | list)]
        if not nodes:
            return
        node, key = nodes[at(nodes, data.draw(places))]
        kind = data.draw(st.sampled_from(("set", "set", "delete", "repeat", "add")))
        if kind == "set":
            node[key] = copy.deepcopy(data.draw(values))  # the next change must not be one of the values
        elif kind == "add":
            if isinstance(node, dict):
                node[data.draw(st.sampled_from(_KEYS))] = data.draw(values)
        elif kind == "delete":
            del node[key]
        elif isinstance(node, list):
            node.insert(key, node[key])


class MemoryExceededError(AssertionError):
    pass


@contextlib.contextmanager
def bounded(num_bytes):
    """Let a case take so much more memory than the process has: what asks for more fails, and what took more is told.

    Both are needed: a limit of address space alone is no bound where a catch-all hides the failed allocation, or where
    the heap has room that former tests left, and the peak alone would first fill the machine.
    """
    ctypes.CDLL(None).malloc_trim(0)  # free pages of the heap that stayed in memory would be no growth
    status = _status()
    before, (soft, hard) = status["VmRSS"], resource.getrlimit(resource.RLIMIT_DATA)
    Path("/proc/self/clear_refs").write_text("5")  # the peak, VmHWM, starts at what there is now
    resource.setrlimit(resource.RLIMIT_DATA, (status["VmData"] + num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    grown = _status()["VmHWM"] - before
    if grown > num_bytes:
        raise MemoryExceededError(f"{grown / 2**20:.0f} MB taken, {num_bytes / 2**20:.0f} MB allowed")


def _status() -> dict[str, int]:
    """Bytes of this process, by the kernel's names."""
    return {
        name: int(value.split()[0]) * 1024
        for name, _, value in (line.partition(":") for line in Path("/proc/self/status").read_text().splitlines())
        if value.endswith("kB")
    }
