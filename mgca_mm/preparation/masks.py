"""A user's own masks: folders of images and masks, or a csv file that pairs them; one or many classes."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from mgca_mm.errors import UserError
from mgca_mm.prepared import read_names
from mgca_mm.tables import Row, is_name, read_table

from .collection import Collection, FilterLog, MaskFile, Sample
from .options import Options
from .own_files import (
    complete_splits,
    list_tables,
    names_patients,
    only_table,
    patient_of,
    relative_path,
    require_class_names,
    split_of,
)
from .raw_folder import RawFolder

_CLASSES = "classes.txt"
_TABLE = "masks.csv"
_COLUMN = "mask"
_FORMAT = (
    "with the columns image, mask (or a column mask_CLASS for each class) and, where they are known, patient and split"
)
_MAX_CLASSES = 255  # Values of an eight-bit mask; mmseg does not count 255 itself.


@dataclass(frozen=True, slots=True)
class _Pair:
    """An image with its masks.

    Attributes:
        image: Path in the raw folder.
        masks: Path of a mask by the class that it shows; by None where it shows all of them.
        patient: The patient.
        splits: The split, if one is given.
    """

    image: str
    masks: dict[str | None, str]
    patient: str
    splits: tuple[str, ...]


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table, the names of the classes and the masks, as far as they are there."""
    pairs = list(_pairs(raw))
    paths = sorted({raw.file(mask) for pair in pairs for mask in pair.masks.values()})
    sources = {path.name: [path] for path in (_table(raw), raw.optional(_CLASSES)) if path is not None}
    # One that is missing or no file is rejected later, with its image.
    return sources | {"masks": [path for path in paths if os.path.isfile(path)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Pair images and masks; patients without a split of their own are divided.

    A mask shows one class, where it is brighter than half (0 and 1, 0 and 255), or all of them, where ``classes.txt``
    names more than two: its values are their numbers then. Where the masks of two classes overlap, the later class
    wins. A blank cell of the only mask is a mask that is not known; that of one of several is a class that the image
    does not show, unless all are blank.
    """
    filters = FilterLog("images with or without a mask")
    pairs = list(_pairs(raw))
    classes = _class_names(raw, pairs)
    require_class_names(classes[1:], raw.path, of_masks=True)
    samples = []
    for pair in pairs:
        filters.keep("images with or without a mask")
        if filters.keep("mask given", bool(pair.masks)):
            labels = {None: None if len(classes) > 2 else 1} | {name: label for label, name in enumerate(classes)}
            parts = [MaskFile(mask, labels[name]) for name, mask in pair.masks.items()]
            samples.append(
                Sample(
                    image_id=pair.image,
                    patient_id=pair.patient,
                    image_path=pair.image,
                    splits=pair.splits,
                    mask=sorted(parts, key=lambda part: part.label or 0),
                )
            )
    notes: list[str] = []
    divided = complete_splits(samples, _table(raw) or raw.path, notes)
    divided = [replace(sample, splits=(), dense_splits=sample.splits) for sample in divided]
    return Collection(divided, filters, mask_classes=classes, notes=notes)


def _class_names(raw: RawFolder, pairs: Sequence[_Pair]) -> list[str]:
    """Names of the classes, the background first."""
    named = list(dict.fromkeys(name for pair in pairs for name in pair.masks if name is not None))
    if (path := raw.optional(_CLASSES)) is None:
        return ["background", *named] if named else ["background", "foreground"]
    classes = [name.strip() for name in read_names(path)]
    while classes and not classes[-1]:
        classes.pop()
    if not 2 <= len(classes) <= _MAX_CLASSES or len(set(classes)) < len(classes) or not all(map(_is_name, classes)):
        raise UserError(f"{path}: expected 2 to {_MAX_CLASSES} different names, one a line, the background first")
    if strangers := [name for name in named if name not in classes[1:]]:
        raise UserError(f"{path}: it does not name the class {strangers[0]}, of which there are masks; add it")
    return classes


def _is_name(name: str) -> bool:
    return bool(name) and name.isprintable()  # which no byte of another encoding is


def _table(raw: RawFolder) -> Path | None:
    """The csv file of the folder, if there is one."""
    return only_table(raw, _FORMAT, _TABLE) if list_tables(raw.path.iterdir()) else None


def _pairs(raw: RawFolder) -> Iterator[_Pair]:
    """The images with their masks, by the table that names both, else by the folders."""
    table = _table(raw)
    if table is None:
        yield from _pairs_of_folders(raw, {}, None)
        return
    rows: dict[str, Row] = {}
    for row in read_table(table, ("image",)):
        image = relative_path(row, "image", raw)
        row.require_new("image", image, rows)
        rows[image] = row
    if not rows:
        raise UserError(f"{table}: no row below the header\nExpected a table {_FORMAT}")
    columns = _mask_columns(table, next(iter(rows.values())))
    if not columns:
        yield from _pairs_of_folders(raw, rows, table)
        return
    for image, row in rows.items():
        masks = {name: relative_path(row, column, raw) for name, column in columns.items() if row[column]}
        yield _Pair(image, masks, patient_of(row, image), split_of(row))


def _mask_columns(table: Path, row: Row) -> dict[str | None, str]:
    """Columns of masks by their class; the only one of all classes by None."""
    columns = {column.removeprefix(f"{_COLUMN}_"): column for column in row if column.startswith(f"{_COLUMN}_")}
    if _COLUMN in row and columns:
        raise UserError(
            f"{table}, line 1: both {_COLUMN!r} and {next(iter(columns.values()))!r}\nExpected a table {_FORMAT}"
        )
    if not all(map(_is_name, columns)):
        raise UserError(f"{table}, line 1: a column of masks without the name of a class\nExpected a table {_FORMAT}")
    known = ("", "image", "split", _COLUMN, *columns.values())
    others = [column for column in row if column not in known and not names_patients(column)]
    if others:
        names = [column for column in others if is_name(column)]
        shown = ", ".join(names[:10] + [f"{len(others) - len(names)} more"] * (len(names) < len(others)))
        raise UserError(f"{table}, line 1: columns that are not known: {shown}\nExpected a table {_FORMAT}")
    return {None: _COLUMN} if _COLUMN in row else columns


def _pairs_of_folders(raw: RawFolder, rows: dict[str, Row], table: Path | None) -> Iterator[_Pair]:
    """The files of ``images/`` with those of the same name in ``masks/``, or in ``masks/CLASS/``.

    Args:
        raw: The folder.
        rows: Patient and split by image, which is named with or without ``images/`` and its ending.
        table: Where the rows are from, None for no table.

    Raises:
        UserError: An image has no mask or no row, a mask or a row no image, or two files the same name.
    """
    images, masks = _files_of(raw, "images"), _files_of(raw, "masks")
    by_class = not images.keys() & masks.keys()
    parts: dict[str, dict[str | None, str]] = {stem: {} for stem in images}
    for stem, path in masks.items():
        name, _, rest = stem.partition("/") if by_class else (None, "", stem)
        if rest not in images:
            raise UserError(f"{raw.path / path}: no image of this name in images/\nPair them in {_TABLE}: {_FORMAT}")
        parts[rest][name] = path
    named = {_in_one(image.removeprefix("images/")): row for image, row in rows.items()}
    row_of = {str(PurePosixPath(name).with_suffix("")): row for name, row in named.items()}
    row_of |= named  # a dot, but no ending
    for stem, image in images.items():
        if not parts[stem]:
            raise UserError(f"{raw.path / image}: no mask of this name in masks/\nPair them in {_TABLE}: {_FORMAT}")
        row = row_of.get(stem)
        if rows and row is None:
            raise UserError(f"{raw.path / image}: not in {table.name}; add a row, or remove the image")
        patient, splits = (image, ()) if row is None else (patient_of(row, image), split_of(row))
        yield _Pair(image, parts[stem], patient, splits)
    used = {id(row_of.get(stem)) for stem in images}
    for row in rows.values():
        if id(row) not in used:
            raise row.fault("no file of this image in images/; correct or remove the row")


def _in_one(name: str) -> str:
    """A name with its accents in one character each; as macOS writes names, they are in two."""
    return unicodedata.normalize("NFC", name)


def _files_of(raw: RawFolder, folder: str) -> dict[str, str]:
    """The files below a folder by their names in it without the endings, in order."""
    if not raw.file(folder).is_dir():
        raise UserError(
            f"{raw.path}: no folder {folder}/\nExpected the folders images/ and masks/, or a csv file {_FORMAT}"
        )
    files: dict[str, str] = {}
    for path in sorted(raw.file(folder).rglob("*")):
        if path.is_dir() or path.name.startswith(".") or path.name == "Thumbs.db":
            continue
        name = path.relative_to(raw.path / folder)
        stem = _in_one(str(PurePosixPath(name.with_suffix(""))))
        if not _is_name(stem):
            raise UserError(f"{raw.path / folder}: a file name with control characters, or no UTF-8; rename it")
        if stem in files:
            raise UserError(f"{path}: two files of this name in {folder}/; remove one")
        files[stem] = f"{folder}/{PurePosixPath(name)}"
    return files
