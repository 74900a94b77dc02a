"""The one error that speaks to the user instead of the programmer, and what the checks of arguments share."""

import difflib
import math
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can fix: a missing file, a bad row, an impossible option.

    The message says what is wrong and where (file, row), and how to fix it, in at most three lines. The command
    lines print it without a traceback and exit with code 2.
    """


def first_line(error: BaseException) -> str:
    """First line of what an error says, or its kind where it says nothing; at most 300 characters."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Print a :class:`UserError` on stderr without a traceback and exit with code 2."""
    try:
        yield
    except UserError as error:
        # A loader's worker sends the whole traceback along as text.
        print(f"error: {str(error).rsplit('UserError: ', 1)[-1].strip()}", file=sys.stderr)
        sys.exit(2)


def require_positive(**numbers: float | None) -> None:
    """Refuse arguments that are not above 0, or not finite; None passes.

    Raises:
        ValueError: With the name of the first of them.
    """
    for name, number in numbers.items():
        if number is not None and not 0 < number < math.inf:  # true of NaN, too
            raise ValueError(f"{name} must be positive, got {number}")


def require_not_negative(**numbers: float) -> None:
    """Refuse arguments that are below 0, or not finite.

    Raises:
        ValueError: With the name of the first of them.
    """
    for name, number in numbers.items():
        if not 0 <= number < math.inf:
            raise ValueError(f"{name} must not be negative, got {number}")


def or_nearest(name: str, names: Iterable[str]) -> str:
    """End of a sentence about an unknown name: the question whether the nearest one was meant, if any is near."""
    nearest = difflib.get_close_matches(name, list(names), 1, cutoff=0.5)
    return f"; did you mean '{nearest[0]}'?" if nearest else "."
