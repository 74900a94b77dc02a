"""SIIM-ACR Pneumothorax Segmentation (2019): masks as relative run lengths on the transposed grid, images in DICOM."""

from pathlib import Path

from pycocotools import mask as coco_mask
from sklearn.model_selection import train_test_split
from sklearn.utils import resample

from mgca_mm.errors import UserError
from mgca_mm.tables import read_table

from .collection import Collection, FilterLog, Sample
from .image_files import find_images
from .options import Options
from .raw_folder import RawFolder
from .splits import divide

_TABLES = ("train-rle.csv", "stage_2_train.csv")  # The challenge published the same rows under both names.
_REMEDY = (
    "Expected: train-rle.csv or stage_2_train.csv, DICOM files in any folders below. "
    "It is part of https://www.kaggle.com/competitions/siim-acr-pneumothorax-segmentation"
)
_COLUMNS = ("ImageId", "EncodedPixels")
_NO_MASK = "-1"
_SHAPE = (1024, 1024)  # Of every image and mask, as published.


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table."""
    return {_TABLES[0]: [raw.table(*_TABLES, remedy=_REMEDY)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the masks and divide the images 70/15/15 (docs/protocol.md#segmentation); patients are not published.

    For segmentation, training has all positive images and as many negative ones drawn at random.

    Args:
        raw: Folder with the table, and the DICOM files in any folders below it, ``<ImageId>.dcm``.
        options: ``protocol='released'`` divides the rows of the table, so that an image of several rows may be in
            several splits.
    """
    table = raw.table(*_TABLES, remedy=_REMEDY)
    filters = FilterLog("rows in the table", units=("images",))
    masks_of: dict[str, list[dict]] = {}
    image_of_row: list[str] = []
    for row in read_table(table, _COLUMNS):
        filters.keep("rows in the table")
        image_id, runs = row.file_name("ImageId"), row.text("EncodedPixels")
        image_of_row.append(image_id)
        if not filters.keep("images", image_id not in masks_of) and (runs == _NO_MASK or not masks_of[image_id]):
            raise row.fault("this ImageId stands twice, and one of its rows has no mask; remove it")
        try:
            masks_of.setdefault(image_id, []).extend([] if runs == _NO_MASK else [parse_rle(runs, *_SHAPE)])
        except ValueError as error:
            raise row.fault(f"column 'EncodedPixels': {error}; correct the row") from error

    path_of = {} if options.annotations_only else find_images(raw, (".dcm",))
    if options.protocol == "released":
        split_of = _split_rows(image_of_row, table)
        notes = ["the rows of the table are divided: an image of several rows may be in several splits"]
    else:
        split_of = {image_id: (split,) for image_id, split in divide(list(masks_of), 0.3, 0.5, table).items()}
        notes = []
    left_out, note = _balance(masks_of, split_of)
    samples = [
        Sample(
            image_id=image_id,
            patient_id=image_id,
            image_path=path_of.get(image_id, f"{image_id}.dcm"),
            splits=split_of[image_id],
            labels=[int(bool(masks))],
            dense_splits=tuple(s for s in split_of[image_id] if s != "train" or image_id not in left_out),
            mask=masks,
            shape=_SHAPE,
        )
        for image_id, masks in masks_of.items()
    ]
    classes = ["background", "pneumothorax"]
    return Collection(samples, filters, ["Pneumothorax"], mask_classes=classes, notes=[*notes, note])


def parse_rle(text: str, height: int, width: int) -> dict:
    """A run-length mask as the challenge publishes it, in the encoding of COCO.

    Args:
        text: Pairs of whole numbers, ``gap length gap length …``: pixels to skip since the end of the run before, then
            pixels that belong to the mask. They count down the columns, the columns from left to right, as COCO's do.
        height: Rows of the grid.
        width: Columns of the grid.

    Raises:
        ValueError: There are no pairs of whole numbers, or the runs end beyond the grid.
    """
    words = text.split()
    # int() would take signs, underscores and digits of other scripts, and time by the square of their number.
    if not all(word.isascii() and word.isdigit() and len(word) <= 18 for word in words):
        raise ValueError("a run-length mask is made of whole numbers")
    if not words or len(words) % 2:
        raise ValueError("a run-length mask is made of pairs of numbers")
    counts = [int(word) for word in words]
    rest = height * width - sum(counts)
    if rest < 0:
        raise ValueError(f"the run-length mask ends beyond the {height * width} pixels of the grid")
    return coco_mask.frPyObjects({"counts": [*counts, rest], "size": [height, width]}, height, width)


def _split_rows(image_of_row: list[str], table: Path) -> dict[str, tuple[str, ...]]:
    """Splits of each image, by a division of the rows 70/15/15."""
    if len(image_of_row) < 4:
        raise UserError(f"{table}: {len(image_of_row)} rows; three splits need at least 4")
    train, rest = train_test_split(image_of_row, test_size=0.3, random_state=0)
    val, test = train_test_split(rest, test_size=0.5, random_state=0)
    members = {"train": set(train), "val": set(val), "test": set(test)}
    return {image: tuple(split for split in members if image in members[split]) for image in image_of_row}


def _balance(masks_of: dict[str, list], split_of: dict[str, tuple[str, ...]]) -> tuple[set[str], str]:
    """Training images without a mask that are too many beside those with one, drawn at random, and a note about it."""
    train = [image_id for image_id in masks_of if "train" in split_of[image_id]]
    negative = [image_id for image_id in train if not masks_of[image_id]]
    num_positive = len(train) - len(negative)
    kept = min(num_positive, len(negative))
    chosen = resample(negative, n_samples=kept, replace=False, random_state=0) if kept else []
    note = f"segmentation trains on {num_positive} positive images and {kept} of {len(negative)} negative ones"
    return set(negative).difference(chosen), note
