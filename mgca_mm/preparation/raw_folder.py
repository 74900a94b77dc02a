"""The folder of a raw data set, and the promise that nothing outside of it is read."""

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mgca_mm.bounds import size_of
from mgca_mm.errors import UserError
from mgca_mm.files import is_inside

_NUM_SHOWN, _LENGTH_SHOWN = 6, 48  # entries of a folder in a message, characters of each


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
            remedy: Which layouts are known and where the file can be got, one line for the error message.

        Raises:
            UserError: There is none, or it is not a regular file.
        """
        for name in names:
            path = self.optional_table(name)
            if path is not None:
                return path
        raise self.missing(f"{self.path / names[0]}[.gz]: no such file", names, remedy)

    def optional_table(self, name: str) -> Path | None:
        """A table that need not be there, gzipped or not; as :meth:`optional`."""
        return self.optional(f"{name}.gz") or self.optional(name)

    def missing(self, what: str, names: Sequence[str], remedy: str) -> UserError:
        """An error for a layout that is not there, to be raised: what is there, and where the files are close by.

        Args:
            what: What is missing, the first line.
            names: Files, without ``.gz``, or folders, of which one would tell the folder of the data set.
            remedy: As in :meth:`table`.
        """
        found = f"The folder has {_describe(self.path)}"
        for name in names:
            if os.path.isfile(self.path / f"{name}.zip"):
                found += f"; unpack {name}.zip"
        for folder in self._neighbours():
            if any(os.path.exists(folder / f"{name}{ending}") for name in names for ending in ("", ".gz")):
                return UserError(f"{what}\nFound it in {folder}: take --raw '{folder}'\n{found}")
        return UserError(f"{what}\n{remedy}\n{found}")

    def _neighbours(self) -> Iterator[Path]:
        """The folders in it, in order, and the one above."""
        yield from sorted(Path(entry.path) for entry in os.scandir(self.path) if entry.is_dir())
        yield Path(os.path.normpath(self.path / ".."))


def _describe(folder: Path) -> str:
    """The first names in a folder, and how many more there are."""
    names = os.listdir(folder)
    shown = [name[:_LENGTH_SHOWN] for name in heapq.nsmallest(_NUM_SHOWN, filter(str.isprintable, names))]
    more = len(names) - len(shown)
    return ", ".join(shown) + (" and " * bool(shown) + f"{more} more" if more else "") if names else "nothing in it"
