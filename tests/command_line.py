"""Our command line within this process, where a command takes a second instead of ten."""

import contextlib
import io
import sys
from subprocess import CompletedProcess
from unittest import mock

from mgca_mm.cli import main


def call(*words):
    """Run ``mgca-mm WORDS``; its exit code and what it has printed."""
    words = [str(word) for word in words]
    out, errors = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["mgca-mm", *words]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(errors),
    ):
        try:
            code = main() or 0
        except SystemExit as exit_:
            code = exit_.code
    return CompletedProcess(words, code, out.getvalue(), errors.getvalue())
