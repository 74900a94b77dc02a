"""How many cases of each fault are tried: a share with all tests, the whole by ``-m faults``."""

from pathlib import Path

import pytest

from . import runs

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


@pytest.fixture(scope="session")
def server():
    """One that has imported everything once, for all trainings of these tests."""
    server = runs.Server()
    yield server
    server.close()


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A small prepared data set."""
    return runs.make_data(tmp_path_factory.mktemp("data"))
