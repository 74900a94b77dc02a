"""Of the grids of scripts, ranks and sizes, what is marked ``faults`` runs by ``-m faults`` alone."""

from pathlib import Path


def pytest_collection_modifyitems(config, items):
    if config.getoption("markexpr") == "faults":
        return
    here = Path(__file__).parent
    left_out = [item for item in items if here in item.path.parents and item.get_closest_marker("faults")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
