"""Files as MMEngine reads them, without running what they hold, and writes them, so that they are always complete."""

import contextlib
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

import yaml
from mmengine.fileio import BaseFileHandler, LocalBackend, PickleHandler, YamlHandler
from mmengine.fileio.handlers import file_handlers

from mgca_mm.bounds import parts_of
from mgca_mm.checkpoints.schemes import is_trusted
from mgca_mm.checkpoints.writing import CHECKPOINTS, write_checkpoint
from mgca_mm.errors import UserError
from mgca_mm.files import write_atomically


class SafeYamlHandler(YamlHandler):
    """Reads plain yaml. MMEngine's own takes tags such as ``!!python/object/apply:os.system``."""

    def load_from_fileobj(self, file: Any, **kwargs) -> Any:
        """Read a file of plain yaml.

        Raises:
            UserError: If the file is no plain yaml.
        """
        try:
            content = yaml.safe_load(file)
            deque(parts_of(content), maxlen=0)  # aliases of aliases of …, which a config would copy
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f" at line {mark.line + 1}" if mark else ""
            raise UserError(f"This yaml file is not plain{line}; tags such as !!python are not taken.") from error
        except (OverflowError, RecursionError) as error:
            reason = "it is nested too deep" if isinstance(error, RecursionError) else f"its {error}"
            raise UserError(f"This yaml file is refused: {reason}.") from error
        return content


class UnreadPickleHandler(PickleHandler):
    """Writes pickles and does not read them."""

    def load_from_fileobj(self, file: Any, **kwargs) -> Any:
        """Refuse to read a pickle, unless the user trusts it.

        Raises:
            UserError: Unless ``--trust-checkpoint`` was given.
        """
        if not is_trusted():
            raise UserError(
                "This file is a pickle, which can run any code when it is read.\n"
                "Convert it to json, or add --trust-checkpoint if you made it yourself."
            )
        return super().load_from_fileobj(file, **kwargs)


# Ending of a file → how it is read.
HANDLERS: dict[str, type[BaseFileHandler]] = {
    "yaml": SafeYamlHandler,
    "yml": SafeYamlHandler,
    "pickle": UnreadPickleHandler,
    "pkl": UnreadPickleHandler,
}


@contextlib.contextmanager
def safe_reading() -> Iterator[None]:
    """Let MMEngine read by :data:`HANDLERS` within a block, whether they are installed or not."""
    own = {ending: handler() for ending, handler in HANDLERS.items()}
    former = {ending: file_handlers[ending] for ending in own}
    file_handlers.update(own)
    try:
        yield
    finally:
        # What a config that is read has put in their places, such as install(), stays.
        file_handlers.update({ending: former[ending] for ending in own if file_handlers[ending] is own[ending]})


class AtomicLocalBackend(LocalBackend):
    """``LocalBackend`` that writes a file beside the old one, to the disk, and renames it.

    MMEngine saves checkpoints and whatever else it dumps by its file backends. Its own, in whose place
    :func:`mgca_mm.engine.install` puts this one, opens the old file for writing, and a kill leaves it empty or short.
    Checkpoints get a digest beside them, too.
    """

    def put(self, obj: bytes | memoryview, filepath: str) -> None:
        """Write bytes to a file, as a whole or not at all."""
        os.makedirs(os.path.dirname(os.path.abspath(filepath)), exist_ok=True)
        write = write_checkpoint if str(filepath).endswith(CHECKPOINTS) else write_atomically
        write(filepath, obj)

    def put_text(self, obj: str, filepath: str, encoding: str = "utf-8") -> None:
        """Write text to a file, as a whole or not at all."""
        self.put(obj.encode(encoding), filepath)
