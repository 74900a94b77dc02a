"""The limits under which the cases run catch what they are there for."""

import mmap
import subprocess
import sys

import pytest

from tests.conftest import ROOT

from .cases import MemoryExceededError, bounded

MB = 2**20
ALLOCATIONS = """
import pytest, torch
from tests.test_fuzz.cases import bounded

MB = 2**20
with pytest.raises(MemoryError), bounded(200 * MB):
    bytearray(300 * MB)
with pytest.raises(RuntimeError, match="allocate memory"), bounded(200 * MB):
    torch.ones(300 * MB // 4)
bytearray(300 * MB)  # the limit is gone
"""
ROOM = """
import pytest
from tests.test_fuzz.cases import MemoryExceededError, bounded

MB = 2**20
bytearray(31 * MB)  # from now on glibc takes less from its heap, where what stands below others cannot go back
blocks = [bytearray(30 * MB) for _ in range(13)]
del blocks[:-1]
with pytest.raises(MemoryExceededError), bounded(200 * MB):
    bytearray(300 * MB)
"""


def test_an_allocation_beyond_the_limit_fails():
    """In a process of its own: the heap of one that ran other tests has room, which takes no memory from the kernel."""
    subprocess.run([sys.executable, "-c", ALLOCATIONS], check=True, cwd=ROOT)


def test_memory_that_the_limit_does_not_count_is_told():
    """Shared pages are no data to the kernel."""
    with pytest.raises(MemoryExceededError), bounded(200 * MB), mmap.mmap(-1, 300 * MB) as pages:
        for place in range(0, 300 * MB, 4096):
            pages[place] = 1


def test_room_that_the_heap_had_is_told():
    """What former tests left; in a process whose heap is known."""
    subprocess.run([sys.executable, "-c", ROOM], check=True, cwd=ROOT)


def test_what_is_allowed_passes():
    with bounded(200 * MB):
        bytearray(100 * MB)
