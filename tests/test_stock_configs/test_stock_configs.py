"""Rows of docs/compatibility.md: one a library; in the slow run all, each with one of the encoders by one program."""

from itertools import cycle, product

import pytest

from tests.test_stock_configs import grid

FAST = [
    ("mmdet", "YOLOv3", "ResNet-50", "its train.py"),
    ("mmseg", "U-Net", "ViT-B/16", "Runner"),
    ("mmpretrain", "ViT", "ResNet-50", "our train.py"),
]
# What cannot be: the head of Faster R-CNN's C4 is the last stage of a ResNet, MLA's heads take 256 channels alone.
IMPOSSIBLE = {
    ("Faster R-CNN, C4", "ViT-B/16"): "to have 1024 channels, but got 256",
    ("SETR, MLA", "ResNet-50"): "assert self.in_channels == self.channels",
}


@pytest.fixture(scope="session")
def work_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("compatibility")


def check(work_dir, library, cells):
    """Train cells, of a row, an encoder and a program each, and look at what was saved."""
    folders = {cell: work_dir / f"{library}_{number}" for number, cell in enumerate(cells)}
    for (row, encoder, _), folder in folders.items():
        grid.make_cell(folder, library, row, encoder)
    for program in {cell[2] for cell in cells}:
        grid.train(library, program, [folder for cell, folder in folders.items() if cell[2] == program])
    for (row, encoder, program), folder in folders.items():
        found = grid.outcome(folder, program)
        count = {"ResNet-50": "318/318", "ViT-B/16": "150/150"}[encoder]
        assert IMPOSSIBLE.get((row, encoder), count) in found, (row, encoder, program, found)


@pytest.mark.parametrize(("library", "row", "encoder", "program"), FAST)
def test_a_row_of_each_library(work_dir, library, row, encoder, program):
    check(work_dir, library, [(row, encoder, program)])


@pytest.mark.slow
@pytest.mark.parametrize("library", grid.CONFIGS)
def test_every_row(tmp_path, library):
    # In this order both of the impossible cells are among them.
    pairs = cycle(product(reversed(grid.ENCODERS), grid.PROGRAMS))
    check(tmp_path, library, [(row, *pair) for row, pair in zip(grid.CONFIGS[library], pairs, strict=False)])


def test_the_page_has_every_row():
    page = (grid.ROOT / "docs" / "compatibility.md").read_text()
    rows = [f"| {row} | `{config}` |" for configs in grid.CONFIGS.values() for row, config in configs.items()]
    assert all(row in page for row in rows)
    assert page.count("318/318") == page.count("150/150") == len(rows) - 1  # IMPOSSIBLE has one of each
