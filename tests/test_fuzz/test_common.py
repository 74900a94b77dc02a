"""The limits under which the cases run catch what they are there for."""

import mmap

import pytest
import torch

from .common import MemoryExceededError, bounded

MB = 2**20


def test_an_allocation_beyond_the_limit_fails():
    with pytest.raises(MemoryError), bounded(200 * MB):
        bytearray(300 * MB)
    with pytest.raises(RuntimeError, match="allocate memory"), bounded(200 * MB):
        torch.ones(300 * MB // 4)
    bytearray(300 * MB)  # the limit is gone


def test_memory_that_the_limit_does_not_count_is_told():
    """Shared pages are no data to the kernel."""
    with pytest.raises(MemoryExceededError), bounded(200 * MB), mmap.mmap(-1, 300 * MB) as pages:
        for place in range(0, 300 * MB, 4096):
            pages[place] = 1


def test_what_is_allowed_passes():
    with bounded(200 * MB):
        bytearray(100 * MB)
