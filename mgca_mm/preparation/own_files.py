"""What the sets of a user's own files share: the table, the paths in it, and the division where none is given."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mgca_mm.errors import UserError
from mgca_mm.files import is_inside
from mgca_mm.tables import Row

from .collection import Sample
from .raw_folder import RawFolder
from .splits import SPLIT_NAMES, divide, hold_out

SPLIT_WORDS = SPLIT_NAMES | {"valid": "val", "validation": "val"}


def only_table(raw: RawFolder, name: str, expected: str) -> Path:
    """The csv file of this name, else the only one of the folder.

    Args:
        raw: The folder.
        name: Name of the file.
        expected: What is in it, for the error message.

    Raises:
        UserError: There is none, or there are several and none of the name.
    """
    if (table := raw.optional_table(name)) is not None:
        return table
    tables = sorted(path.name for path in raw.path.iterdir() if path.name.endswith((".csv", ".csv.gz")))
    if len(tables) != 1:
        found = f"the csv files {', '.join(tables[:10])}" if tables else "no csv file"
        raise UserError(f"{raw.path}: {found} in the folder\nExpected {name}, or one csv file alone: {expected}")
    return raw.table(tables[0].removesuffix(".gz"), remedy=expected)


def relative_path(row: Row, column: str) -> str:
    """A cell that names a file inside the raw folder, as a path that a list with one name a line can hold.

    Raises:
        UserError: It is empty, leads out of the folder or has control characters.
    """
    path = str(PurePosixPath(row.text(column).replace("\\", "/")))
    if not (is_inside(path) and path.isprintable()):
        raise row.fault(f"column {column!r} is not a path inside the folder of the table")
    return path


def patient_of(row: Row, image: str) -> str:
    """The patient of a row; the image counts as one where the table does not say."""
    return row.text("patient") if "patient" in row else image


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
