"""A user's own labels: one csv file with an image a row and columns of labels, or one column of class names."""

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from mgca_mm.errors import UserError
from mgca_mm.tables import Row, read_table

from .collection import Collection, FilterLog, Sample
from .options import Options
from .own_files import (
    complete_splits,
    names_patients,
    only_table,
    patient_of,
    relative_path,
    require_class_names,
    split_of,
)
from .raw_folder import RawFolder

_TABLE = "labels.csv"
_FORMAT = "with the columns image, one or many of labels and, where they are known, patient and split"
_OTHERS = ("image", "split", "")  # the last of a delimiter at the end of each row
_WORDS = {"true": 1, "yes": 1, "false": 0, "no": 0} | dict.fromkeys(("", "nan", "na", "n/a", "null"))
_MAX_CLASSES = 1000  # A column with more values than this is a text or a number, not a class.
_MAX_GRADES = 10  # One of several with more different numbers than this is a measurement, such as the age.


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table."""
    table = only_table(raw, _FORMAT, _TABLE)
    return {table.name: [table]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the labels; patients without a split of their own are divided.

    A label is 1, 0, -1 (uncertain) or blank (not known), also written as true and false, yes and no, 1.0, NaN. One
    column alone whose values are others holds class names: its different values are the classes, numbers in their
    order and texts in that of the alphabet, and exactly one of them is true of an image; rows that name none are left
    out. Of several columns that ``options.labels`` names, one of class names gives a label a value, ``view=PA``, or
    one alone where it has two values; all of them are uncertain of an image whose cell is blank.
    """
    ((table,),) = find_sources(raw).values()
    columns = _label_columns(table, options.labels)
    named = len(columns) == 1 or options.labels
    values = {column: _classes_of(table, column, len(columns) == 1) if named else None for column in columns}
    exclusive = values[columns[0]] is not None and len(columns) == 1
    classes = _classes(values, exclusive, table)
    require_class_names(classes, table)
    filters = FilterLog("rows in the table")
    samples: dict[str, Sample] = {}
    num_blank = 0
    for row in read_table(table, ("image",)):
        image = relative_path(row, "image", raw)
        row.require_new("image", image, samples)
        if row.get(""):
            raise UserError(
                f"{table}, line 1: a column has no name\nName it, or remove it: pandas' index, for instance."
            )
        filters.keep("rows in the table")
        if exclusive and not filters.keep("class given", not _is_blank(_cell(row, columns[0]))):
            continue
        labels = [
            _label(row, column) if name is None else _is_named(row, column, name) for column, name in classes.values()
        ]
        num_blank += all(label is None for label in labels)
        samples[image] = Sample(
            image_id=image,
            patient_id=_patient(row, image, options.patients),
            image_path=image,
            labels=labels,
            splits=() if options.patients else split_of(row),
        )
    notes = [f"{num_blank} images have no label at all, which counts as negative"] if num_blank else []
    divided = complete_splits(list(samples.values()), table, notes)
    return Collection(divided, filters, list(classes), exclusive=exclusive, notes=notes)


def _label_columns(table: Path, chosen: Sequence[str] | None) -> list[str]:
    """Names of the columns of labels."""
    for row in read_table(table, ("image", *(chosen or ()))):
        if chosen:
            return list(dict.fromkeys(chosen))
        if columns := [column for column in row.label_columns(_OTHERS) if not names_patients(column)]:
            return columns
        raise UserError(f"{table}, line 1: no column of labels\nExpected a table {_FORMAT}")
    raise UserError(f"{table}: no row below the header\nExpected a table {_FORMAT}")


def _classes(values: Mapping[str, list[str] | None], exclusive: bool, table: Path) -> dict[str, tuple[str, str | None]]:
    """Column of each class and, where it is one of class names, its value there, from the class names by column."""
    classes: dict[str, tuple[str, str | None]] = {}
    for column, names in values.items():
        if names is None:
            found = {column: (column, None)}
        elif exclusive:
            found = {name: (column, name) for name in names}
        else:
            found = {f"{column}={name}": (column, name) for name in names[len(names) == 2 :]}
        if both := classes.keys() & found:
            raise UserError(
                f"{table}: {min(both)!r} is a column and a value of another\nLeave one out of --labels, or rename it."
            )
        classes |= found
    return classes


def _patient(row: Row, image: str, pattern: str | None) -> str:
    """The patient of a row, or what a pattern finds in the name."""
    name = patient_of(row, image)
    if pattern is None:
        return name
    if not (found := re.search(pattern, name)) or not found[0]:
        raise row.fault(f"--patients {pattern} finds nothing in the patient's name\nTry it on names of the table.")
    return found[0]


def _is_named(row: Row, column: str, name: str) -> int:
    """Whether a cell of a column of class names has this one; uncertain where it has none."""
    value = _cell(row, column)
    return -1 if _is_blank(value) else int(_class_name(value) == name)


def _classes_of(table: Path, column: str, is_alone: bool) -> list[str] | None:
    """The class names in a column of labels; None where it holds 1, 0, -1 and blanks."""
    names: set[str] = set()
    are_labels = True
    for row in read_table(table, (column,)):
        value = _cell(row, column)
        if _is_blank(value):
            continue
        if not value.isprintable():
            raise row.fault(f"column {column!r} has line breaks, or another encoding than UTF-8\nSave it as UTF-8.")
        number = _number(value)
        if number is not None and number != int(number):
            raise row.fault(
                f"column {column!r} has a number that is no label\nMake it 1, 0, -1 (uncertain) or blank, "
                "or a class name."
            )
        names.add(_class_name(value))
        are_labels = are_labels and _parse(value) is not None
        if len(names) > _MAX_CLASSES:
            raise row.fault(f"column {column!r} has more than {_MAX_CLASSES} values, hence no classes; remove it")
    if are_labels:
        return None
    if len(names) == 1:
        raise UserError(f"{table}: column {column!r} has the same class in all rows; at least two are expected")
    are_numbers = all(_number(name) is not None for name in names)
    if are_numbers and not is_alone and len(names) > _MAX_GRADES:
        raise UserError(
            f"{table}: column {column!r} has {len(names)} different numbers, hence no classes\n"
            "Leave it out of --labels, or make it class names."
        )
    return sorted(names, key=float if are_numbers else None)


def _cell(row: Row, column: str) -> str:
    """A cell, with a point for the comma of a number."""
    value = row.with_point(row[column])
    return row[column] if _number(value) is None else value


def _class_name(value: str) -> str:
    """A cell of a column of class names: 1.0 is 1."""
    number = _number(value)
    return value if number is None or number != int(number) else str(int(number))


def _label(row: Row, column: str) -> int | None:
    """A cell of a column of labels."""
    value = _cell(row, column)
    label = _parse(value)
    if label is None and not _is_blank(value):
        raise row.fault(
            f"column {column!r} is no label: 1, 0, -1 (uncertain) or blank is expected\n"
            "Name those that are, --labels COLUMN …, or remove the others; a column of class names must be "
            "the only one or named."
        )
    return label


def _parse(value: str) -> int | None:
    """1, 0 or -1; None for anything else."""
    number = _number(value)
    return _WORDS.get(value.lower()) if number is None else int(number) if number in (1, 0, -1) else None


def _number(value: str) -> float | None:
    """A finite number."""
    with contextlib.suppress(ValueError, OverflowError):
        number = float(value)
        int(number)  # which neither infinity nor NaN is
        return number
    return None


def _is_blank(value: str) -> bool:
    return _WORDS.get(value.lower(), 0) is None
