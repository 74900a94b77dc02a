"""How many cases of each fault are tried: a share with all tests, the whole by ``-m faults``."""

from pathlib import Path

import pytest

_full = False


def pytest_configure(config):
    global _full
    _full = config.getoption("markexpr") == "faults"


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.faults)


def cases(share: int, full: int) -> int:
    """Number of cases of a fault in this run."""
    return full if _full else share
