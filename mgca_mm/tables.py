"""Reading the csv tables and the lists of raw data sets, with errors that name the file, the line and the remedy.

By Python's own csv reader, row by row: pandas would hold a whole table, has no line numbers, and quotes cells in its
errors. No message repeats the value of a cell: a shifted column or an open quote would put report text into it. What
spreadsheets make of a table is read, too: other delimiters, UTF-16, and numbers with a decimal comma.
"""

import codecs
import contextlib
import csv
import gzip
import io
import itertools
import math
import re
import sys
import zlib
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TextIO, TypeVar

from mgca_mm.bounds import allowed_bytes
from mgca_mm.errors import UserError

Choice = TypeVar("Choice")
# How CheXpert and its labeler write a label: blank is not mentioned, -1 uncertain.
LABEL_VALUES = {"": None, "1.0": 1, "0.0": 0, "-1.0": -1, "1": 1, "0": 0, "-1": -1}
_MAX_NAME_BYTES = 200  # File systems take 255, and an ending may be added.
_MAX_RECORD = 1024 * 1024  # Characters of a row, which may have several lines; published tables have thousands.
_MAX_COLUMNS = 1000
_ROW = 200  # Bytes that are kept of a row at least, beside its text and 8 for each column.
_DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_BLANK = ' \t\r\n\ufeff"' + "".join(_DELIMITERS)  # of a row without text, as spreadsheets write it
_SEPARATOR_LINE = re.compile(r'"?sep=([,;|:^~#\t])"?\s*', re.IGNORECASE)  # Written for Excel.
# Neither digits, which identifiers have, nor full stops, which names of files have.
_NAME = re.compile(r"""['\"]?[^\W\d](?:[^\W\d]|[ #'"()\[\]/:%&+-]){0,39}""")
# Names of columns that are made of known words: "path_to_image", "ImageID". The first row may have none but data of a
# patient, of which nothing is repeated.
_HEADER = re.compile(
    r"""['"]?(?:(?:accession|age|caption|class|comparison|date|dicom|diagnosis|examination|file|findings?|folder|height"""
    r"""|history|id|images?|img|impression|index|indication|labels?|masks?|modality|name|number|path|patient|position"""
    r"""|projection|reports?|section|sex|split|study|subject|subset|text|title|to|uid|url|view|width)[ _]?)+['"]?""",
    re.IGNORECASE | re.ASCII,
)
# The first bytes of what is taken for a table; a web page is what a download without a login gives.
_OTHER_FORMATS = {
    b"PK\3\4": "a zip file or a workbook of Excel (.xlsx)\nUnpack it, or save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "a workbook of Excel (.xls)\nSave the sheet as CSV UTF-8",
    b"\x1f\x8b": "a gzip file\nRename it to end in .gz",
    b"<!DOCTYPE": "a web page\nDownload the file again, with your login if it takes one",
    b"<html": "a web page\nDownload the file again, with your login if it takes one",
}


class Row(dict[str, str]):
    """Cells of a row by column name; its methods read them.

    Each method raises a :class:`UserError` that names the file and the line where a cell is not what it must be.

    Args:
        cells: The cells, stripped.
        table: The file.
        line: Number of the line in it.
        decimal_comma: Whether numbers may have one, as in tables with semicolons.
    """

    def __init__(self, cells: Mapping[str, str], table: Path, line: int, decimal_comma: bool = False) -> None:
        super().__init__(cells)
        self.table = table
        self.line = line
        self.decimal_comma = decimal_comma

    @property
    def place(self) -> str:
        """Where the row stands, for messages."""
        return f"{self.table}, line {self.line}"

    def fault(self, reason: str) -> UserError:
        """An error about the row, to be raised."""
        return UserError(f"{self.place}: {reason}")

    def text(self, column: str) -> str:
        """Value of a cell that must not be empty."""
        if not self[column]:
            raise self.fault(f"column {column!r} is empty")
        return self[column]

    def identifier(self, column: str) -> str:
        """Value, as it is written, of a cell that must hold ASCII digits."""
        value = self.text(column)
        if not (value.isascii() and value.isdigit()):
            raise self.fault(f"column {column!r} is not a whole number, as the identifiers must be")
        return value

    def file_name(self, column: str) -> str:
        """Value of a cell that names a file inside a folder known already, hence without any folder in it.

        Refused: empty, too long for a name, leading out of its folder, or with control characters, which no list with
        one name a line could hold.
        """
        value = self.text(column)
        is_plain = all(character not in "/\\" and character.isprintable() for character in value)
        if value in (".", "..") or not is_plain or len(value.encode()) > _MAX_NAME_BYTES:
            raise self.fault(f"column {column!r} is not a plain file name")
        return value

    def number(self, column: str) -> float:
        """Value of a cell that must hold a finite number."""
        try:
            value = float(self.with_point(self.text(column)))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise self.fault(f"column {column!r} is not a number")
        return value

    def choice(self, column: str, choices: Mapping[str, Choice]) -> Choice:
        """What a cell that must hold one of some words, or numbers, stands for."""
        value = self[column] if self[column] in choices else self.with_point(self[column])
        if value not in choices:
            raise self.fault(f"column {column!r} is none of {', '.join(choice or 'blank' for choice in choices)}")
        return choices[value]

    def with_point(self, number: str) -> str:
        """A number as Python writes it; 1.000,5 stays, for one comma beside a point may mean either."""
        return number.replace(",", ".") if self.decimal_comma and "." not in number else number

    def require_new(self, column: str, value: str, seen: Container[str]) -> None:
        """Make sure that an identifier stands in the table once."""
        if value in seen:
            raise self.fault(f"this {column} stands twice in the file; remove one of the rows")

    def label_columns(self, others: Container[str]) -> list[str]:
        """Columns of a table whose columns are all labels, but for some."""
        labels = [column for column in self if column not in others]
        # A quotation mark left open makes one of the rows below the header.
        if not all(label and label.isprintable() for label in labels):
            raise UserError(
                f"{self.table}, line 1: a column of labels has no name, or one with line breaks or in another encoding "
                "than UTF-8"
            )
        return labels


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """Stream the lines of a text file, gzipped if its name ends in ``.gz``, stripped and without the empty ones.

    Yields:
        The number of the line, and its text.

    Raises:
        UserError: The file is unreadable, truncated, not gzip, or takes too much memory.
    """
    with _open(path) as lines:
        for line, text in enumerate(lines, start=1):
            lines.end_row(0)
            if text.strip():
                yield line, text.strip()


def read_table(path: Path, required: Sequence[str]) -> Iterator[Row]:
    """Stream the rows of a csv file, gzipped if its name ends in ``.gz``.

    Cells and column names are stripped; cells a short row lacks are empty; rows without text, and lines without text
    above the header, are passed over. The delimiter is the comma where that gives the required columns, else a
    semicolon, a tab or a vertical bar that does; a first line ``sep=;`` decides instead. The encoding is UTF-8, or
    UTF-16. Bytes that are not UTF-8 are kept as surrogate escapes, for their reader to know the encoding.

    Args:
        path: The csv file.
        required: Columns that must be there.

    Yields:
        The rows; the line of one of several lines is the last of them.

    Raises:
        UserError: The file is unreadable, truncated, not gzip, of another format, without a header, without a required
            column, with one twice, not csv, or takes too much memory.
    """
    line = 0
    try:
        with _open(path) as lines:
            delimiter, reader = _split_rows(lines, required)
            place = f"{path}, line {lines.number}"
            columns = [column.strip("\ufeff").strip() for column in next(reader, [])]
            names = [column for column in columns if column]
            lines.end_row(len(columns))
            missing = [column for column in required if column not in columns]
            if not columns:
                raise UserError(f"{path}: the file is empty; a csv file with a header line is expected")
            if missing:
                raise UserError(
                    f"{place}: no column {', '.join(map(repr, missing))} in the header{_describe(names)}\n"
                    "The first line must name the columns, written like this."
                )
            if len(columns) > _MAX_COLUMNS:
                raise UserError(f"{place}: more than {_MAX_COLUMNS} columns, hence no table of a data set")
            if len(set(names)) < len(names):
                raise UserError(f"{place}: a column stands twice in the header; remove or rename one")
            blank = dict.fromkeys(columns, "")
            for cells in reader:
                line = lines.number
                lines.end_row(len(columns))
                if any(map(str.strip, cells[len(columns) :])):
                    mark = _DELIMITERS.get(delimiter, "delimiter")
                    raise UserError(
                        f"{path}, line {line}: more cells than columns; is a {mark} without quotation marks?"
                    )
                if any(map(str.strip, cells)):
                    row = dict(zip(columns, map(str.strip, cells), strict=False))
                    yield Row(blank | row, path, line, delimiter == ";")
    except csv.Error as error:
        raise UserError(
            f"{path}, after line {line}: not valid csv ({error})\nIs a quotation mark left open, or the file binary?"
        ) from error


def is_name(text: str) -> bool:
    """Whether a cell has the looks of a column's name, so that a message may repeat it: no value, no sentence."""
    return bool(_NAME.fullmatch(text)) and len(text.split()) <= 4


def _describe(names: Sequence[str]) -> str:
    """What a message may say of the names in a header, which may be a row of patients instead: known words alone."""
    known = [name for name in names if is_name(name) and _HEADER.fullmatch(name)][:8]
    shown = known + [f"{len(names) - len(known)} more"] * (len(names) > len(known))
    return f"; it has {', '.join(shown)}" if known else ""


def _split_rows(lines: "_Lines", required: Sequence[str]) -> tuple[str, Iterator[list[str]]]:
    """The delimiter of a table, by its header alone, and its rows, the header first.

    Raises:
        UserError: The header has the zeros of an encoding that is not read.
    """
    remaining = iter(lines)
    header = _next_with_text(remaining)
    if stated := _SEPARATOR_LINE.fullmatch(header):
        header = _next_with_text(remaining)
    if "\0" in header:
        raise UserError(f"{lines.path}: UTF-16 without a byte order mark, or UTF-32\nSave it as CSV UTF-8")
    if stated:
        delimiter = stated[1]
    else:
        names = {mark: _split_header(header, mark) for mark in _DELIMITERS}
        # Where none gives them, the one that gives most: the error can name more columns.
        fitting = [mark for mark in _DELIMITERS if set(required) <= set(names[mark])]
        delimiter = fitting[0] if fitting else max(_DELIMITERS, key=lambda mark: len(names[mark]))
    rows = itertools.chain([header] if header else [], remaining)
    # Strict: a quotation mark left open would join rows of two patients, up to the next one.
    return delimiter, csv.reader(rows, delimiter=delimiter, skipinitialspace=True, strict=True)


def _next_with_text(lines: Iterator[str]) -> str:
    """The next line that is not blank; an empty one where there is none."""
    return next((line for line in lines if line.strip(_BLANK)), "")


def _split_header(header: str, delimiter: str) -> list[str]:
    """Names of columns; none where a line is no csv of this delimiter."""
    try:
        names = next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])
        return [name.strip("\ufeff").strip() for name in names]
    except csv.Error:
        return []


class _Lines:
    """Lines of a file, which raise an error before a row, or all of them, take more memory than they may.

    A gzip file unpacks to a thousand times its size, and a line or a row in quotation marks may have no end.
    """

    def __init__(self, path: Path, file: TextIO) -> None:
        self.path = path
        self._file = file
        self._left = allowed_bytes(path)
        self.number = 0
        self._row = 0

    def __iter__(self) -> Iterator[str]:
        while line := self._file.readline(_MAX_RECORD + 1):
            self.number += 1
            self._row += len(line)
            if self._row > _MAX_RECORD:
                raise UserError(
                    f"{self.path}, line {self.number}: a row of more than {_MAX_RECORD >> 20} MiB\n"
                    "Is a quotation mark left open, or the file binary?"
                )
            self._take(sys.getsizeof(line))
            yield line

    def end_row(self, num_columns: int) -> None:
        """Count what is kept of a row that was read."""
        self._row = 0
        self._take(_ROW + 8 * num_columns)

    def _take(self, num_bytes: int) -> None:
        self._left -= num_bytes
        if self._left < 0:
            remedy = "\nIf you trust it, unpack it: gunzip" if self.path.suffix == ".gz" else ""
            raise UserError(
                f"{self.path}, line {self.number}: the rows take more memory than those of a file of its size may "
                f"(10 times the size and 100 MiB){remedy}"
            )


@contextlib.contextmanager
def _open(path: Path) -> Iterator[_Lines]:
    """Open a table as text, unzipping it on the way; errors of reading it name it and the remedy."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as binary:
            start = binary.peek(16)
            for magic, kind in _OTHER_FORMATS.items():
                if start.lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(magic.lower()):
                    raise UserError(f"{path}: {kind}")
            encoding = _encoding(start)
            with io.TextIOWrapper(binary, encoding, errors="surrogateescape", newline="") as file:
                yield _Lines(path, file)
    except UnicodeError as error:  # Of UTF-16 alone: what is not UTF-8 is escaped.
        raise UserError(f"{path}: truncated, or not UTF-16 all through\nSave it again, as CSV UTF-8") from error
    except (EOFError, zlib.error) as error:
        raise UserError(f"{path}: the gzip file is truncated or damaged\nCopy it again.") from error
    except gzip.BadGzipFile as error:
        raise UserError(f"{path}: not a gzip file\nIf it is plain text already, rename it to end in .csv") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def _encoding(start: bytes) -> str:
    """Encoding of a text by its first bytes: a byte order mark, or the zeros that UTF-16 puts beside ASCII."""
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    zeros = [byte == 0 for byte in start[:4]]
    without_mark = {(False, True, False, True): "utf-16-le", (True, False, True, False): "utf-16-be"}
    return without_mark.get(tuple(zeros), "utf-8-sig")
