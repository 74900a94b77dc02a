"""What the sets of a user's own files share: the table, its paths and patients, names of classes, the division."""

import contextlib
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from mgca_mm.errors import UserError
from mgca_mm.files import is_inside
from mgca_mm.reports.cleaning import decode_report
from mgca_mm.tables import Row

from .collection import Sample
from .raw_folder import RawFolder
from .splits import SPLIT_NAMES, divide, hold_out

SPLIT_WORDS = SPLIT_NAMES | {"valid": "val", "validation": "val"}
_PATIENTS = ("patient", "patientid", "subjectid")  # columns, in any case, with spaces or underscores
_NO_WORKBOOK = "Of a workbook (.xlsx), save the sheet as CSV UTF-8; let the name of any other table end in .csv."
_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
# What our metrics call their scores beside those that they call by a class (mgca_mm/evaluation): cls/macro, …
_SCORES = ("macro", "macro_low", "macro_high", "top1", "top1_low", "top1_high", "loss")
_NAMES_OF_MASKS = ("positive", "background")  # seg/dice_positive, and the class that the others stand beside


def only_table(raw: RawFolder, expected: str, name: str | None = None) -> Path:
    """The only table of a folder, or that of a name.

    Args:
        raw: The folder.
        expected: Its columns, for the error message.
        name: Name of the one that is taken of several.

    Raises:
        UserError: There is none, or there are several and none of the name.
    """
    if name and (table := raw.optional_table(name)) is not None:
        return table
    tables = list_tables(raw.path.iterdir())
    if len(tables) != 1:
        below = [] if tables else list_tables(raw.path.glob("*/*"))
        what = f"{raw.path}: {len(tables)} csv files in the folder; expected one csv file {expected}"
        raise raw.missing(what + f", or {name} among several" * bool(name), below, _NO_WORKBOOK)
    return raw.table(tables[0].removesuffix(".gz"), remedy=_NO_WORKBOOK)


def list_tables(paths: Iterable[Path]) -> list[str]:
    """Names of the tables among some files; hidden ones are what macOS puts into archives."""
    return sorted(p.name for p in paths if p.name.lower().endswith(_ENDINGS) and not p.name.startswith("."))


def relative_path(row: Row, column: str, raw: RawFolder) -> str:
    """A cell that names a file inside the raw folder, as a path that a list with one name a line can hold.

    Raises:
        UserError: It is empty, leads out of the folder, or has control characters or another encoding than UTF-8.
    """
    text = row.text(column)
    if not _is_utf8(text) and not os.path.lexists(raw.path / text):
        with contextlib.suppress(ValueError):  # a table that is no UTF-8, of files that are
            text = decode_report(text.encode("utf-8", "surrogateescape"))
    path, windows = str(PurePosixPath(text)), PureWindowsPath(text)
    if "\\" in text and not os.path.lexists(raw.path / path):
        path = windows.as_posix()
    if not _is_utf8(path):
        raise row.fault(
            f"column {column!r} names a file in another encoding than UTF-8\n"
            "Rename the file, and save the table as UTF-8."
        )
    if not (is_inside(path) and path.isprintable()) or windows.drive:
        raise row.fault(
            f"column {column!r} is not a path inside the folder of the table\n"
            "Write it from this folder on, such as scans/1.png, without a drive or a leading slash."
        )
    return spell_as_stored(raw, path)


def spell_as_stored(raw: RawFolder, path: str) -> str:
    """A path with its accents as the file has them, in one character or, as macOS writes them, in two."""
    spellings = dict.fromkeys([path, *(unicodedata.normalize(form, path) for form in ("NFC", "NFD"))])
    return next((spelling for spelling in spellings if os.path.lexists(raw.path / spelling)), path)


def _is_utf8(text: str) -> bool:
    """Whether a text has no surrogates, which stand for bytes of another encoding."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def names_patients(column: str) -> bool:
    """Whether a column says whose an image is; the first such column is read."""
    return column.lower().replace(" ", "").replace("_", "") in _PATIENTS


def patient_of(row: Row, image: str) -> str:
    """The patient of a row; the image counts as one where the table does not say."""
    column = next(filter(names_patients, row), None)
    return image if column is None else row.text(column)


def require_class_names(names: Iterable[str], source: Path, of_masks: bool = False) -> None:
    """Make sure that no class is called as a score of our metrics is, which it would replace, or as the background.

    Raises:
        UserError: One is.
    """
    if taken := [name for name in names if name in (_NAMES_OF_MASKS if of_masks else _SCORES)]:
        what = "the background or a score of all classes" if of_masks else "a score of all classes"
        raise UserError(f"{source}: a class is called {taken[0]!r}, as {what} is\nGive it another name.")


def split_of(row: Row) -> tuple[str, ...]:
    """The split of a row; none where the table has no such column."""
    return (row.choice("split", SPLIT_WORDS),) if "split" in row else ()


def complete_splits(samples: Sequence[Sample], source: Path, notes: list[str]) -> list[Sample]:
    """Divide by patient: 80/10/10 where no split is given, a tenth of the training where there is no validation.

    Args:
        samples: All of them have a split, in ``splits``, or none has.
        source: The table, for messages.
        notes: What was done is added to them.

    Raises:
        UserError: There is no training split, or there are too few patients to divide.
    """
    given = {split for sample in samples for split in sample.splits}
    if given and "train" not in given:
        raise UserError(
            f"{source}: all images are in the split {' or '.join(sorted(given))}, none is for training\n"
            "Name the training images, too, or leave the splits out: patients are divided then."
        )
    if all(sample.patient_id == sample.image_id for sample in samples):
        notes.append("patients are not given: one with several images may be in several splits")
    if samples and "val" not in given:
        patients = list(dict.fromkeys(sample.patient_id for sample in samples if sample.splits in ((), ("train",))))
        if given:
            drawn = hold_out(patients, 0.1, source)
            notes.append("no validation split is given: a tenth of the training patients is held out")
        else:
            drawn = divide(patients, 0.2, 0.5, source)
            notes.append("no split is given: the patients are divided 80/10/10")
        samples = [
            sample if sample.splits == ("test",) else replace(sample, splits=(drawn[sample.patient_id],))
            for sample in samples
        ]
    if given and "test" not in given:
        notes.append("no test split is given: tools/test.py and --test need one")
    return list(samples)
