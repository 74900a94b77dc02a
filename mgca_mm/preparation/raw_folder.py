"""The folder of a raw data set, and the promise that nothing outside of it is read."""

import os
from pathlib import Path, PurePosixPath

from mgca_mm.bounds import size_of
from mgca_mm.errors import UserError
from mgca_mm.files import is_inside


class RawFolder:
    """A folder whose files are named by the tables of a data set, which may name anything.

    Args:
        path: The folder; a :class:`UserError` is raised if there is none.
        follow_links: Accept links inside it that lead out of it.
    """

    def __init__(self, path: Path, follow_links: bool = False) -> None:
        if not path.is_dir():
            raise UserError(f"{path}: no such folder; --raw takes the folder of the raw data set")
        self.path = path
        self._root = None if follow_links else os.path.realpath(path)

    def file(self, relative: str | PurePosixPath) -> Path:
        """Path of a file inside the folder; it need not exist.

        Raises:
            UserError: The path is absolute, climbs with ``..``, or follows a link out of the folder.
        """
        if not is_inside(relative):
            raise UserError(f"{self.path}: a path in the tables leads out of the folder; correct it")
        path = self.path / relative
        if self._root is not None and os.path.commonpath([self._root, os.path.realpath(path)]) != self._root:
            raise UserError(f"{path}: a link leads out of {self.path}; copy the file, or allow links: --follow-links")
        return path

    def optional(self, relative: str | PurePosixPath) -> Path | None:
        """Path of a file that need not be there, or None where it is not.

        Raises:
            UserError: There is something else of this name (a folder, a pipe, a link to nothing), or as in
                :meth:`file`: passing it over would leave out labels without a word.
        """
        path = self.file(relative)
        try:
            os.lstat(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from error
        size_of(path)
        return path

    def table(self, *names: str, remedy: str) -> Path:
        """Find a table, gzipped or not.

        Args:
            *names: Names it may have, without ``.gz``; the first that exists is taken.
            remedy: Where the file can be got, one sentence for the error message.

        Raises:
            UserError: There is none, or it is not a regular file.
        """
        for name in names:
            path = self.optional_table(name)
            if path is not None:
                return path
        raise UserError(f"{self.path / names[0]}[.gz]: no such file\n{remedy}")

    def optional_table(self, name: str) -> Path | None:
        """A table that need not be there, gzipped or not; as :meth:`optional`."""
        return self.optional(f"{name}.gz") or self.optional(name)
