"""Reading the csv tables of raw data sets, with errors that name the file, the line and the remedy.

No message repeats the value of a cell: a shifted column or an open quote would put report text into it.
"""

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from mgca_mm.errors import UserError


def find_table(raw: Path, name: str, remedy: str) -> Path:
    """Find ``name``, given without ``.gz``, in a raw folder, compressed or not.

    Args:
        raw: The raw folder.
        name: File name ending in ``.csv``.
        remedy: Where the file can be got, one sentence for the error message.

    Raises:
        UserError: The folder or the file is missing, or the file is not a regular file.
    """
    if not raw.is_dir():
        raise UserError(f"{raw}: no such folder; --raw takes the folder that holds {name}")
    for path in (raw / f"{name}.gz", raw / name):
        if path.is_file():
            return path
        if path.exists():
            raise UserError(f"{path}: a file is expected here, this is a folder or a device")
    raise UserError(f"{raw / name}[.gz]: no such file\n{remedy}")


def read_table(path: Path, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Stream the rows of a csv file, gzipped if its name ends in ``.gz``.

    Cells and column names are stripped; cells a short row lacks are empty. Bytes that are not UTF-8 are kept as
    surrogate escapes, so that a file name made of them still opens.

    Args:
        path: The csv file.
        required: Columns that must be there.

    Yields:
        The number of the line in the file (the last one, for a row of several lines), and the row by column name.

    Raises:
        UserError: The file is unreadable, truncated, not gzip, without a header, without a required column, or not csv.
    """
    line = 0
    try:
        with _open_text(path) as file:
            reader = csv.reader(file)
            columns = [column.strip() for column in next(reader, [])]
            missing = [column for column in required if column not in columns]
            if not columns:
                raise UserError(f"{path}: the file is empty; a csv file with a header line is expected")
            if missing:
                raise UserError(f"{path}, line 1: no column {', '.join(map(repr, missing))} in the header")
            blank = dict.fromkeys(columns, "")
            for cells in reader:
                line = reader.line_num
                if cells:
                    yield line, blank | dict(zip(columns, map(str.strip, cells), strict=False))
    except csv.Error as error:
        raise UserError(
            f"{path}, after line {line}: not valid csv ({error})\nIs a quotation mark left open, or the file binary?"
        ) from error
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}, after line {line}: the gzip file is truncated or damaged\nCopy it again.") from error
    except gzip.BadGzipFile as error:
        raise UserError(f"{path}: not a gzip file\nIf it is plain text already, rename it to end in .csv") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def require(row: dict[str, str], column: str, path: Path, line: int) -> str:
    """Value of a cell that must not be empty.

    Raises:
        UserError: The cell is empty; the message names file, line and column.
    """
    if not row[column]:
        raise UserError(f"{path}, line {line}: column {column!r} is empty")
    return row[column]


def require_number(row: dict[str, str], column: str, path: Path, line: int) -> str:
    """Value, as it is written, of a cell that must hold an identifier of ASCII digits.

    Raises:
        UserError: The cell is empty or holds anything else.
    """
    value = require(row, column, path, line)
    if not (value.isascii() and value.isdigit()):
        raise UserError(f"{path}, line {line}: column {column!r} is not a whole number, as the identifiers must be")
    return value


def require_file_name(row: dict[str, str], column: str, path: Path, line: int) -> str:
    """Value of a cell that names a file inside a folder known already, hence without any folder in it.

    Raises:
        UserError: The cell is empty, leads out of its folder or has control characters, which no list with one name a
            line could hold.
    """
    value = require(row, column, path, line)
    if value in (".", "..") or any(character in "/\\" or not character.isprintable() for character in value):
        raise UserError(f"{path}, line {line}: column {column!r} is not a plain file name")
    return value


def _open_text(path: Path):
    """Open a table as text, unzipping it on the way."""
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
