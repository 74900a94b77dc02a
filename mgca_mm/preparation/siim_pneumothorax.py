"""SIIM-ACR Pneumothorax Segmentation (2019): masks as relative run lengths on the transposed grid, images in DICOM."""

import math
import os
from pathlib import Path

from sklearn.model_selection import train_test_split
from sklearn.utils import resample

from mgca_mm.errors import UserError
from mgca_mm.radiographs.rle import parse_rle
from mgca_mm.tables import read_table, require, require_file_name

from .collection import Collection, FilterLog, RleMask, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import divide

_TABLES = ("train-rle.csv", "stage_2_train.csv")  # The challenge published the same rows under both names.
_REMEDY = "It is part of https://www.kaggle.com/competitions/siim-acr-pneumothorax-segmentation"
_COLUMNS = ("ImageId", "EncodedPixels")
_NO_MASK = "-1"
_SHAPE = (1024, 1024)  # Of every image and mask, as published.
_STAGES = ("rows in the table", "images")


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table.

    Raises:
        UserError: It is missing.
    """
    return {_TABLES[0]: [raw.table(*_TABLES, remedy=_REMEDY)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the masks and divide the images 70/15/15 (docs/protocol.md#segmentation); patients are not published.

    For segmentation, training has all positive images and as many negative ones drawn at random.

    Args:
        raw: Folder with the table, and the DICOM files in any folders below it, ``<ImageId>.dcm``.
        options: ``protocol='released'`` divides the rows of the table, so that an image of several rows may be in
            several splits.

    Returns:
        Samples in the order in which their images first stand in the table.

    Raises:
        UserError: The table is missing or malformed, a mask is, an image without a mask has another row, or two
            files have the name of one image.
    """
    table = raw.table(*_TABLES, remedy=_REMEDY)
    filters = FilterLog(_STAGES, units=("images",))
    runs_of: dict[str, tuple[str, ...]] = {}
    image_of_row: list[str] = []
    for line, row in read_table(table, _COLUMNS):
        filters.passed(_STAGES[0])
        image_id = require_file_name(row, "ImageId", table, line)
        runs = require(row, "EncodedPixels", table, line)
        image_of_row.append(image_id)
        if image_id in runs_of and (runs == _NO_MASK or not runs_of[image_id]):
            raise UserError(
                f"{table}, line {line}: this ImageId stands twice, and one of its rows has no mask; remove it"
            )
        if image_id not in runs_of:
            filters.passed(_STAGES[1])
        if runs == _NO_MASK:
            runs_of[image_id] = ()
            continue
        try:
            parse_rle(runs, math.prod(_SHAPE))
        except ValueError as error:
            raise UserError(f"{table}, line {line}: column 'EncodedPixels': {error}; correct the row") from error
        runs_of[image_id] = (*runs_of.get(image_id, ()), runs)

    path_of = {} if options.annotations_only else _find_images(raw)
    samples = [
        Sample(
            image_id=image_id,
            patient_id=image_id,
            image_path=path_of.get(image_id, f"{image_id}.dcm"),
            labels=[int(bool(runs))],
            mask=RleMask(runs) if runs else None,
            is_masked=True,
            shape=_SHAPE,
        )
        for image_id, runs in runs_of.items()
    ]
    if options.protocol == "released":
        split_of = _split_rows(image_of_row, table)
        notes = ["the rows of the table are divided: an image of several rows may be in several splits"]
    else:
        split_of = {image_id: (split,) for image_id, split in divide(list(runs_of), 0.3, 0.5, table).items()}
        notes = []
    for sample in samples:
        sample.splits = sample.dense_splits = split_of[sample.image_id]
    notes.append(_balance(samples))
    return Collection(samples, filters, ["Pneumothorax"], mask_classes=["background", "pneumothorax"], notes=notes)


def _find_images(raw: RawFolder) -> dict[str, str]:
    """Path of each DICOM file in the folder, by its name without the ending.

    Links to folders are followed, each folder once; whether they may be is decided where a file is opened.

    Raises:
        UserError: Two files have one name.
    """
    found: dict[str, str] = {}
    seen: set[str] = set()
    for folder, folders, names in os.walk(raw.path, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        for name in names:
            if name.endswith(".dcm"):
                path = str(Path(folder, name).relative_to(raw.path))
                if name[:-4] in found:
                    raise UserError(f"{raw.path}: {path} and {found[name[:-4]]} are one image; remove one of them")
                found[name[:-4]] = path
    return found


def _split_rows(image_of_row: list[str], table: Path) -> dict[str, tuple[str, ...]]:
    """Splits of each image, by a division of the rows 70/15/15.

    Raises:
        UserError: There are fewer than four, too few to give each split one.
    """
    if len(image_of_row) < 4:
        raise UserError(f"{table}: {len(image_of_row)} rows; three splits need at least 4")
    train, rest = train_test_split(image_of_row, test_size=0.3, random_state=0)
    val, test = train_test_split(rest, test_size=0.5, random_state=0)
    members = {"train": set(train), "val": set(val), "test": set(test)}
    return {image: tuple(split for split in members if image in members[split]) for image in image_of_row}


def _balance(samples: list[Sample]) -> str:
    """Take all but as many negative images as there are positive ones out of the training of masks."""
    positive = [sample for sample in samples if "train" in sample.splits and sample.mask is not None]
    negative = [sample for sample in samples if "train" in sample.splits and sample.mask is None]
    kept = min(len(positive), len(negative))
    chosen = resample(negative, n_samples=kept, replace=False, random_state=0) if kept else []
    chosen_ids = {sample.image_id for sample in chosen}
    for sample in negative:
        if sample.image_id not in chosen_ids:
            sample.dense_splits = tuple(split for split in sample.splits if split != "train")
    return f"segmentation trains on {len(positive)} positive images and {kept} of {len(negative)} negative ones"
