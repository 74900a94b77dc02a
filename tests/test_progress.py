"""Bars on a terminal, lines elsewhere."""

import io
import sys

import pytest

from mgca_mm import progress
from mgca_mm.progress import Progress, tracked


class Clock:
    """A clock that goes on by ten seconds with each look."""

    seconds = 0.0

    def __call__(self):
        self.seconds += 10
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_lines_come_now_and_then(clock, capsys):
    assert list(tracked("abcdef", "letters", 6)) == list("abcdef")
    assert capsys.readouterr().err.splitlines() == [
        "letters  2/6  0:00:40 left",
        "letters  4/6  0:00:20 left",
        "letters  6/6  0:00:00 left",
    ]


def test_what_was_done_before_does_not_make_it_faster(clock):
    told = []
    bar = Progress("images", 1102, 1000, told.append)
    bar.update()
    bar.update()
    assert told == ["images  1,002/1,102  0:16:40 left"]


def test_no_line_where_another_has_just_come(clock):
    told = []
    bar = Progress("epoch 1/2", 10, tell=told.append)
    for _ in range(8):
        bar.heard()
        bar.update()
    assert not told


def test_how_many_there_are_need_not_be_known(clock, capsys):
    assert len(list(tracked("abc", "letters"))) == 3
    assert capsys.readouterr().err == "letters  2\n"


def test_a_bar_on_a_terminal_leaves_nothing(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("images", 3) as bar:
        bar.update(3)
        assert "images" in terminal.getvalue()
    assert not terminal.getvalue().rpartition("\r")[2].strip()


def test_waiting_is_told(clock):
    told = []
    bar = Progress("runs", 3, tell=told.append)
    for _ in range(4):
        bar.update(0)
    assert told == ["runs  0/3 after 0:00:20", "runs  0/3 after 0:00:40"]


def test_others_print_while_the_bar_is_away(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with Progress("runs", 3) as bar:
        assert "runs" in terminal.getvalue()
        with bar.aside():
            assert not terminal.getvalue().rpartition("\r")[2].strip(), "the line is empty"
