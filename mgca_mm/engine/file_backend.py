"""Local files that are complete at any moment."""

import os

from mmengine.fileio import LocalBackend

from mgca_mm.checkpoints.writing import CHECKPOINTS, write_checkpoint
from mgca_mm.files import write_atomically


class AtomicLocalBackend(LocalBackend):
    """``LocalBackend`` that writes a file beside the old one, to the disk, and renames it.

    MMEngine saves checkpoints and whatever else it dumps by its file backends. Its own, in whose place
    :func:`mgca_mm.engine.install` puts this one, opens the old file for writing, and a kill leaves it empty or short.
    Checkpoints get a digest beside them, too.
    """

    def put(self, obj: bytes | memoryview, filepath: str) -> None:
        """Write bytes to a file, as a whole or not at all."""
        self._make_folder(filepath)
        write = write_checkpoint if str(filepath).endswith(CHECKPOINTS) else write_atomically
        write(filepath, obj)

    def put_text(self, obj: str, filepath: str, encoding: str = "utf-8") -> None:
        """Write text to a file, as a whole or not at all."""
        self._make_folder(filepath)
        write_atomically(filepath, obj.encode(encoding))

    def _make_folder(self, filepath: str) -> None:
        os.makedirs(os.path.dirname(os.path.abspath(filepath)), exist_ok=True)
