"""CheXpert (Irvin et al., 2019): radiographs with 14 labels, in the layouts of Stanford's downloads, small or full.

The full one unpacks to four folders, ``CheXpert-v1.0 batch 1 (validate & csv)``, which has the tables and ``valid/``,
and ``CheXpert-v1.0 batch 2 (train 1)`` to ``4 (train 3)``, which have the folders of the patients. The tables name all
images as if they were in one tree, ``CheXpert-v1.0/train/patient00001/…``; so do the identifiers here.
"""

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from mgca_mm.tables import LABEL_VALUES, Row, read_table

from .collection import Collection, FilterLog, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import hold_out_images

_TABLES = ("train.csv", "valid.csv")
_REMEDY = (
    "Expected: train.csv and valid.csv beside train/ and valid/, or the folders 'CheXpert-v1.0 batch N (…)'. "
    "It is part of CheXpert: https://stanfordmlgroup.github.io/competitions/chexpert/"
)
_BATCHES = [
    "CheXpert-v1.0 batch 1 (validate & csv)",
    *(f"CheXpert-v1.0 batch {number} (train {number - 1})" for number in (2, 3, 4)),
]
_NOT_LABELS = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA")
_PLACES = (("train", "."), ("train", "train"), ("valid", "valid"))  # of patients in the folder of a batch, by split
_VIEWS = {"Frontal": True, "Lateral": False}
_NUM_VALIDATION = 5000


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The two tables, beside the folders or in that of the first batch."""
    folders = [".", _BATCHES[0], *(path.relative_to(raw.path) for path in _find_batches(raw))]
    return {name: [raw.table(*(str(PurePosixPath(f, name)) for f in folders), remedy=_REMEDY)] for name in _TABLES}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Keep the frontal images; the expert-labeled ones of ``valid.csv`` are the test (docs/protocol.md#classification).

    5,000 frontal training images, a tenth of a smaller set, are drawn for validation, all images of a patient together.

    The 14 labels stay as they are published: -1 is uncertain.

    Args:
        raw: Folder with ``train.csv``, ``valid.csv``, ``train/`` and ``valid/``, or with the folders of the batches.
        options: ``protocol='released'`` draws images for validation and leaves most of them in training.
    """
    folder_of = _find_patients(raw)
    filters = FilterLog("rows in the tables")
    samples: list[Sample] = []
    row_numbers: list[int] = []  # Of the frontal rows of train.csv, from 0.
    seen: set[str] = set()
    classes: list[str] = []
    for name, (table,) in find_sources(raw).items():
        for number, row in enumerate(read_table(table, ("Path", "Frontal/Lateral", *classes))):
            classes = classes or row.label_columns(_NOT_LABELS)
            path = _relative_path(row)
            row.require_new("Path", str(path), seen)
            seen.add(str(path))
            labels = [row.choice(label, LABEL_VALUES) for label in classes]
            filters.keep("rows in the tables")
            if not filters.keep("frontal view", row.choice("Frontal/Lateral", _VIEWS)):
                continue
            if name == _TABLES[0]:
                row_numbers.append(number)
            samples.append(
                Sample(
                    image_id=str(path),
                    patient_id=path.parts[1],
                    study_id="/".join(path.parts[1:3]),
                    view=row.get("AP/PA") or "Frontal",
                    splits=() if name == _TABLES[0] else ("test",),
                    image_path=str(PurePosixPath(folder_of.get(path.parts[:2], path.parents[1]), *path.parts[2:])),
                    labels=labels,
                )
            )
    has_training = (raw.path / "train").exists() or any(split == "train" for split, _ in folder_of)
    if not (has_training or options.annotations_only):
        raise raw.missing(f"{raw.path}: the training images are not here", (_BATCHES[1],), _REMEDY)
    if folder_of and not options.annotations_only:
        _require_batches(raw, samples, folder_of, options.max_rejected)
    train, notes = samples[: len(row_numbers)], []
    if options.protocol == "released":
        train, note = _split_released(train, row_numbers)
        notes.append(note)
    else:
        num_images = Counter(sample.patient_id for sample in train)
        split_of = hold_out_images(num_images, min(_NUM_VALIDATION, len(train) // 10))
        train = [replace(sample, splits=(split_of[sample.patient_id],)) for sample in train]
    return Collection(train + samples[len(train) :], filters, classes, notes=notes)


def _find_batches(raw: RawFolder) -> list[Path]:
    """The folders of the batches; some tools unpack into one more folder, or write the name without spaces."""
    name = "[Cc]he[Xx]pert-v1.0*batch*"
    return sorted(path for pattern in (name, f"*/{name}") for path in raw.path.glob(pattern) if path.is_dir())


def _require_batches(
    raw: RawFolder, samples: list[Sample], folder_of: dict[tuple[str, str], PurePosixPath], max_rejected: float
) -> None:
    """Make sure that no folder is missing with more images than may be, which the images alone would not tell.

    Raises:
        UserError: One is.
    """
    paths = [PurePosixPath(sample.image_id) for sample in samples]
    lost = sum(path.parts[:2] not in folder_of and not (raw.path / path.parents[1]).is_dir() for path in paths)
    there = {number[1] for path in _find_batches(raw) if (number := re.search(r"batch\D*(\d)", path.name))}
    missing = [name for number, name in enumerate(_BATCHES, start=1) if str(number) not in there]
    if lost > max_rejected * len(samples) and missing:
        what = f"{lost} of {len(samples)} images are missing; there is no folder {', '.join(map(repr, missing))}"
        raise raw.missing(f"{raw.path}: {what}", (), _REMEDY)


def _find_patients(raw: RawFolder) -> dict[tuple[str, str], PurePosixPath]:
    """The folder of each patient of a batch, relative to the raw folder, by split and patient."""
    places = [(split, batch / name) for batch in _find_batches(raw) for split, name in _PLACES]
    return {
        (split, name): PurePosixPath(folder.relative_to(raw.path), name)
        for split, folder in places
        if folder.is_dir()
        for name in os.listdir(folder)
        if name.startswith("patient")
    }


def _relative_path(row: Row) -> PurePosixPath:
    """Path inside the raw folder: without the name of the download, ``CheXpert-v1.0-small/`` or similar."""
    path = PurePosixPath(row.text("Path"))
    if path.parts and path.parts[0].startswith("CheXpert"):
        path = path.relative_to(path.parts[0])
    plain = all(part != ".." and part.isprintable() for part in path.parts)
    if path.is_absolute() or len(path.parts) != 4 or not plain:
        raise row.fault("column 'Path' is not of the form train/patient/study/image.jpg")
    return path


def _split_released(train: list[Sample], row_numbers: list[int]) -> tuple[list[Sample], str]:
    """Draw images by position among the frontal rows, and take out of training what has these numbers as rows.

    The two numberings differ from the first lateral on, so nearly all drawn images stay in training as well. This is
    how the 4,903 of 5,000 in docs/protocol.md#classification can come about; the draw itself is not published.
    """
    size = min(_NUM_VALIDATION, len(train) // 10)
    drawn = set(np.random.RandomState(0).choice(len(train), size, replace=False).tolist())
    split = []
    for position, (sample, number) in enumerate(zip(train, row_numbers, strict=True)):
        splits = (("train",) if number not in drawn else ()) + (("val",) if position in drawn else ())
        split.append(replace(sample, splits=splits))
    both = sum(len(sample.splits) == 2 for sample in split)
    return split, f"{both} of {size} validation images are in training too, as in the released code"
