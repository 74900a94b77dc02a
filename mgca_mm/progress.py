"""How far a long job has come: a bar on a terminal, a line now and then elsewhere."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import timedelta
from typing import TypeVar

from tqdm import tqdm

_Item = TypeVar("_Item")
_SECONDS = 15  # between two lines where there is no terminal


class Progress:
    """Counts what is done, and shows it on a terminal by a bar, elsewhere by a line every 15 seconds.

    What takes less leaves nothing on the screen.

    Args:
        title: What is done.
        total: How many there are, if that is known.
        done: How many of them were done before.
        tell: Takes the lines; by default they go to stderr, as the bar does.
    """

    def __init__(self, title: str, total: int | None, done: int = 0, tell: Callable[[str], object] | None = None):
        self._title, self._total, self._done, self._before = title, total, done, done
        self._tell = tell or _to_stderr
        self._start = self._told = time.monotonic()
        is_terminal = sys.stderr.isatty()
        self._bar = tqdm(desc=title, total=total, initial=done, leave=False) if is_terminal else None

    def update(self, count: int = 1) -> None:
        """Add what was done meanwhile; 0 where only time has passed."""
        self._done += count
        if self._bar is not None:
            self._bar.update(count)
            if count == 0:
                self._bar.refresh()
        elif (now := time.monotonic()) - self._told >= _SECONDS:
            self._told = now
            self._tell(f"{self._title}  {self._done:,}{self._of_all(now - self._start)}")

    def _of_all(self, seconds: float) -> str:
        if self._total is None:
            return ""
        if self._done == self._before:
            return f"/{self._total:,} after {timedelta(seconds=round(seconds))}"
        left = seconds / (self._done - self._before) * max(0, self._total - self._done)
        return f"/{self._total:,}  {timedelta(seconds=round(left))} left"

    def heard(self) -> None:
        """Say that something else has just told how far it is, so that no line is due."""
        self._told = time.monotonic()

    def aside(self) -> contextlib.AbstractContextManager:
        """Take the bar away while others print."""
        return contextlib.nullcontext() if self._bar is None else tqdm.external_write_mode()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.close()


def tracked(items: Iterable[_Item], title: str, total: int | None = None) -> Iterator[_Item]:
    """The items, while a :class:`Progress` shows how many of them were used."""
    with Progress(title, total) as progress:
        for item in items:
            yield item
            progress.update()


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
