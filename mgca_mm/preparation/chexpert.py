"""CheXpert (Irvin et al., 2019): radiographs with 14 labels, in the layout of Stanford's download, small or full."""

from pathlib import Path, PurePosixPath

import numpy as np

from mgca_mm.errors import UserError
from mgca_mm.tables import LABEL_VALUES, label_columns, read_table, require, require_choice, require_new

from .collection import Collection, FilterLog, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import hold_out_images

_TABLES = ("train.csv", "valid.csv")
_REMEDY = "It is part of CheXpert: https://stanfordmlgroup.github.io/competitions/chexpert/"
_NOT_LABELS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
_VIEWS = {"Frontal": True, "Lateral": False}
_NUM_VALIDATION = 5000
_STAGES = ("rows in the tables", "frontal view")


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The two tables.

    Raises:
        UserError: One is missing.
    """
    return {name: [raw.table(name, remedy=_REMEDY)] for name in _TABLES}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Keep the frontal images; the expert-labeled ones of ``valid.csv`` are the test (docs/protocol.md#classification).

    5,000 frontal training images, a tenth of a smaller set, are drawn for validation, all images of a patient together.

    Args:
        raw: Folder with ``train.csv``, ``valid.csv``, ``train/`` and ``valid/``.
        options: ``protocol='released'`` draws images for validation and leaves most of them in training.

    Returns:
        Samples in the order of the tables, with the 14 labels as they are published: -1 is uncertain.

    Raises:
        UserError: A table is missing or malformed, or an image stands in it twice.
    """
    filters = FilterLog(_STAGES)
    samples: list[Sample] = []
    row_numbers: list[int] = []  # Of the frontal rows of train.csv, from 0.
    seen: set[str] = set()
    classes: list[str] = []
    for name in _TABLES:
        table = raw.table(name, remedy=_REMEDY)
        for number, (line, row) in enumerate(read_table(table, ("Path", "Frontal/Lateral", *classes))):
            classes = classes or label_columns(row, _NOT_LABELS, table)
            path = _relative_path(require(row, "Path", table, line), table, line)
            require_new(str(path), seen, "Path", table, line)
            seen.add(str(path))
            labels = [require_choice(row, label, LABEL_VALUES, table, line) for label in classes]
            filters.passed(_STAGES[0])
            if not require_choice(row, "Frontal/Lateral", _VIEWS, table, line):
                continue
            filters.passed(_STAGES[1])
            if name == _TABLES[0]:
                row_numbers.append(number)
            samples.append(
                Sample(
                    image_id=str(path),
                    patient_id=path.parts[1],
                    study_id="/".join(path.parts[1:3]),
                    view=row.get("AP/PA") or "Frontal",
                    splits=() if name == _TABLES[0] else ("test",),
                    image_path=str(path),
                    labels=labels,
                )
            )
    notes = _split_released(samples, row_numbers) if options.protocol == "released" else _split(samples)
    return Collection(samples, filters, classes, notes=notes)


def _relative_path(cell: str, table: Path, line: int) -> PurePosixPath:
    """Path inside the raw folder: without the name of the download, ``CheXpert-v1.0-small/`` or similar.

    Raises:
        UserError: It has no folders of a patient and a study, or leads elsewhere.
    """
    path = PurePosixPath(cell)
    if path.parts and path.parts[0].startswith("CheXpert"):
        path = path.relative_to(path.parts[0])
    plain = all(part != ".." and part.isprintable() for part in path.parts)
    if path.is_absolute() or len(path.parts) != 4 or not plain:
        raise UserError(f"{table}, line {line}: column 'Path' is not of the form train/patient/study/image.jpg")
    return path


def _split(samples: list[Sample]) -> list[str]:
    """Draw whole patients of the training table for validation."""
    candidates = [sample for sample in samples if not sample.splits]
    num_images: dict[str, int] = {}
    for sample in candidates:
        num_images[sample.patient_id] = num_images.get(sample.patient_id, 0) + 1
    split_of = hold_out_images(num_images, min(_NUM_VALIDATION, len(candidates) // 10))
    for sample in candidates:
        sample.splits = (split_of[sample.patient_id],)
    return []


def _split_released(samples: list[Sample], row_numbers: list[int]) -> list[str]:
    """Draw images by position among the frontal rows, and take out of training what has these numbers as rows.

    The two numberings differ from the first lateral on, so nearly all drawn images stay in training as well. This is
    how the 4,903 of 5,000 in docs/protocol.md#classification can come about; the draw itself is not published.
    """
    size = min(_NUM_VALIDATION, len(row_numbers) // 10)
    drawn = set(np.random.RandomState(0).choice(len(row_numbers), size, replace=False).tolist())
    both = 0
    for position, number in enumerate(row_numbers):
        splits = (("train",) if number not in drawn else ()) + (("val",) if position in drawn else ())
        samples[position].splits = splits
        both += len(splits) == 2
    return [f"{both} of {size} validation images are in training too, as in the released code"]
