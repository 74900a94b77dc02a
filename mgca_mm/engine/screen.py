"""What a run says on the screen, which is little; its log file has everything."""

import contextlib
import io
import logging
import sys
from collections.abc import Iterator

from mmengine.logging import MMLogger, print_log
from tqdm import tqdm

WIDTH = 110  # of a line, without the time before it
_BETWEEN = {"logging", "mmengine.logging.logger", "mgca_mm.compat", __name__}  # a speaker and what he is heard by


class Line(str):
    """A message of the log file, whose text on the screen is another one; nothing is shown there of an empty one."""

    screen = ""


def line(text: str, screen: str = "") -> Line:
    """A message with its text on the screen."""
    made = Line(text)
    made.screen = screen
    return made


class Screen(logging.StreamHandler):
    """Shows what a person at a terminal wants to know.

    Warnings, errors, and messages of anyone but MMEngine, which lists its config, environment, hooks and the options of
    every parameter; of a :class:`Line` its other text. Progress bars give way to what is written.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is shown."""
        if hasattr(record, "screen"):
            return bool(record.screen) and super().filter(record)
        # Of warnings, MMEngine's own use of what it calls outdated.
        unheard = "mmengine.fileio." if record.levelno > logging.INFO else "mmengine."
        return not f"{_speaker()}.".startswith(unheard) and super().filter(record)

    def format(self, record: logging.LogRecord) -> str:
        """The time of the day, what kind of message it is if not an ordinary one, and the message."""
        kind = f"{record.levelname.lower()}: " if record.levelno > logging.INFO else ""
        text = getattr(record, "screen", record.getMessage())
        return f"{self.formatter.formatTime(record, '%H:%M:%S')}  {kind}{text}"

    def emit(self, record: logging.LogRecord) -> None:
        """Write a message, above the bars if there are any."""
        with tqdm.external_write_mode(file=self.stream):
            super().emit(record)


def show_little(logger: MMLogger) -> None:
    """Put a :class:`Screen` in the place of the logger's stream handler."""
    logger.addFilter(_keep_screen_text)
    for number, handler in enumerate(logger.handlers):
        if type(handler) is logging.StreamHandler:
            screen = Screen(handler.stream)
            screen.setLevel(handler.level)
            screen.setFormatter(logging.Formatter())
            screen.filters = handler.filters
            logger.handlers[number] = screen


@contextlib.contextmanager
def prints_in_log() -> Iterator[None]:
    """Take what libraries print without being asked into the log file."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        yield
    if printed.getvalue():
        print_log(line(printed.getvalue().rstrip()), "current")


def fitted(parts: list[str], indent: int = 4) -> str:
    """Parts in lines of at most :data:`WIDTH` columns, unless one is longer itself."""
    lines = [""]
    for part in parts:
        if lines[-1] and len(lines[-1]) + 2 + len(part) > WIDTH:
            lines.append(" " * indent + part)
        else:
            lines[-1] += f"  {part}" if lines[-1] else part
    return "\n          ".join(lines)  # below the text, which stands behind the time


def _keep_screen_text(record: logging.LogRecord) -> bool:
    if isinstance(record.msg, Line):
        record.screen = record.msg.screen  # later filters make another string of the message
    return True


def _speaker() -> str:
    """Module that has logged the message at hand."""
    frame = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__") in _BETWEEN:
        frame = frame.f_back
    return frame.f_globals.get("__name__", "") if frame else ""
