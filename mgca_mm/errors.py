"""The one error that speaks to the user instead of the programmer."""


class UserError(Exception):
    """Something the user can mend: a missing file, a bad row, an impossible option.

    The message says what is wrong and where (file, row), and how to mend it, in at most three lines. The command
    lines in ``tools/`` print it without a traceback and exit with code 2.
    """
