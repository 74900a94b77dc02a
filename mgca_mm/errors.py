"""The one error that speaks to the user instead of the programmer."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Something the user can mend: a missing file, a bad row, an impossible option.

    The message says what is wrong and where (file, row), and how to mend it, in at most three lines. The command
    lines print it without a traceback and exit with code 2.
    """


@contextmanager
def exit_on_user_error() -> Iterator[None]:
    """Print a :class:`UserError` on stderr without a traceback and exit with code 2."""
    try:
        yield
    except UserError as error:
        # A loader's worker sends the whole traceback along as text.
        print(f"error: {str(error).rsplit('UserError: ', 1)[-1].strip()}", file=sys.stderr)
        sys.exit(2)
