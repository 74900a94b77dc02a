"""Yaml and pickle files as MMEngine reads them (configs, annotation files), without running what they hold."""

import contextlib
from collections import deque
from collections.abc import Iterator
from typing import Any

import yaml
from mmengine.fileio import BaseFileHandler, PickleHandler, YamlHandler
from mmengine.fileio.handlers import file_handlers

from mgca_mm.bounds import parts_of
from mgca_mm.checkpoints.schemes import is_trusted
from mgca_mm.errors import UserError


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
