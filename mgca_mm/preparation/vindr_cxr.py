"""VinDr-CXR 1.0.0 (Nguyen et al., 2022): 28 labels, and boxes of 22 of them, by three readers an image; DICOM."""

from collections.abc import Container, Sequence
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from mgca_mm.errors import UserError
from mgca_mm.tables import LABEL_VALUES, Row, read_table

from .collection import Box, Collection, FilterLog, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import hold_out

_LABELS = {split: f"annotations/image_labels_{split}.csv" for split in ("train", "test")}
_BOXES = {split: f"annotations/annotations_{split}.csv" for split in ("train", "test")}
_REMEDY = (
    "It is part of VinDr-CXR: https://physionet.org/content/vindr-cxr/1.0.0/ "
    "(train.csv of the challenge on Kaggle is another table)"
)
_FINDINGS = (  # The local labels, which have boxes.
    *("Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation"),
    *("Edema", "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst"),
    *("Mediastinal shift", "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax"),
    *("Pulmonary fibrosis", "Rib fracture", "Other lesion"),
)
_OTHER = ("Other diseases", "Other disease")  # as the two tables of labels spell it
_DISEASES = ("COPD", "Lung tumor", "Pneumonia", "Tuberculosis", _OTHER[0], "No finding")  # the global labels
_CLASSES = (*_FINDINGS, *_DISEASES)
_CATEGORY_OF = {name: index for index, name in enumerate(_FINDINGS)} | dict.fromkeys((*_DISEASES, _OTHER[1]))
_VOTES = {text: value for text, value in LABEL_VALUES.items() if value in (0, 1)}
_CORNERS = ("x_min", "y_min", "x_max", "y_max")
_READER = {"train": ("rad_id",), "test": ()}  # column of the reader; the consensus of the test is none
_MAX_COORDINATE = 100_000
_MIN_IOU = 0.4  # of boxes that are one finding: the threshold by which the VinBigData challenge counted a box as found

Votes = dict[str, dict[str, list[int]]]  # 1 or 0 for each class, by image and reader


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The tables of labels and of boxes."""
    return {name: [raw.table(name, remedy=_REMEDY)] for name in (*_LABELS.values(), *_BOXES.values())}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read what each reader says, and keep what most readers of an image say; the test, a consensus of five, stays.

    A label is positive where most readers set it. Boxes of one class by different readers are one finding where each
    two of them overlap by an IoU of 0.4 or more; one that most readers have drawn is kept, as the mean of their boxes.

    A union of the readers' boxes would be another task than the test's, whose radiologists had to agree.

    Patients are not published: each image counts as one. A tenth of the training images is for validation.

    Args:
        raw: Folder with ``annotations/``, ``train/`` and ``test/``.
        options: There are no released splits.
    """
    filters = FilterLog("rows of labels", units=("images",))
    votes: dict[str, Votes] = {}
    for split, name in _LABELS.items():
        others = votes["train"] if split == "test" else {}
        votes[split] = _read_votes(raw.table(name, remedy=_REMEDY), split, others, filters)
    split_of = hold_out(list(votes["train"]), 0.1, raw.path / _LABELS["train"]) | dict.fromkeys(votes["test"], "test")
    samples, num_drawn = [], 0
    for folder, votes_of in votes.items():
        boxes_of = _read_boxes(raw.table(_BOXES[folder], remedy=_REMEDY), folder, votes_of)
        num_drawn += sum(map(len, boxes_of.values())) if folder == "train" else 0
        for image_id, readers in votes_of.items():
            samples.append(
                Sample(
                    image_id=image_id,
                    patient_id=image_id,
                    image_path=f"{folder}/{image_id}.dicom",
                    splits=(split_of[image_id],),
                    labels=[int(2 * sum(column) > len(readers)) for column in zip(*readers.values(), strict=True)],
                    dense_splits=(split_of[image_id],),
                    boxes=fuse_boxes(boxes_of[image_id], len(readers)),
                )
            )
    num_fused = sum(len(sample.boxes) for sample in samples if "test" not in sample.splits)
    notes = [
        f"{num_drawn:,} different boxes of the training images' readers became {num_fused:,}, those of most readers",
        "patients are not published: validation is drawn by image",
    ]
    return Collection(samples, filters, list(_CLASSES), categories=list(_FINDINGS), notes=notes)


def fuse_boxes(boxes: Sequence[tuple[str, Box]], num_readers: int) -> list[Box]:
    """What most readers of an image have drawn.

    Boxes of one class by different readers are put together by complete linkage, closest first, as long as each two of
    them have an IoU of 0.4 or more; two of one reader are two findings. What more than half of the readers have drawn
    is kept: the mean of their boxes.

    Args:
        boxes: Reader and box; none twice.
        num_readers: Of the image, those without a box among them.
    """
    fused = []
    for category in sorted({box.category for _, box in boxes}):
        of_class = [(reader, box) for reader, box in boxes if box.category == category]
        readers = np.array([reader for reader, _ in of_class])
        sides = np.array([box[:4] for _, box in of_class])
        distances = 1 - coco_mask.iou(sides, sides, [0] * len(sides))
        distances[readers[:, None] == readers] = 1
        if len(sides) > 1:
            clusters = fcluster(linkage(squareform(distances, checks=False), "complete"), 1 - _MIN_IOU, "distance")
        else:
            clusters = np.ones(1, int)
        for cluster in dict.fromkeys(clusters.tolist()):
            (members,) = np.nonzero(clusters == cluster)
            if 2 * len(members) > num_readers:
                fused.append(Box(*sides[members].mean(axis=0).tolist(), category, of_class[members[0]][1].place))
    return fused


def _read_votes(table: Path, split: str, others: Container[str], filters: FilterLog) -> Votes:
    """The labels by each reader; an image is not one of the others."""
    votes: Votes = {}
    for row in read_table(table, ("image_id", *_READER[split], *(name for name in _CLASSES if name != _OTHER[0]))):
        other = [name for name in _OTHER if name in row]
        if not other:
            raise UserError(f"{table}, line 1: no column {_OTHER[0]!r} in the header")
        filters.keep("rows of labels")
        image_id, reader = row.file_name("image_id"), _reader(row, split)
        if image_id in others:
            raise row.fault("this image_id is in the training table, too; remove one of the rows")
        if not filters.keep("images", image_id not in votes):
            row.require_new("image_id" if split == "test" else "image_id and rad_id", reader, votes[image_id])
        row[_OTHER[0]] = row[other[0]]
        votes.setdefault(image_id, {})[reader] = [row.choice(name, _VOTES) for name in _CLASSES]
    return votes


def _read_boxes(table: Path, split: str, votes: Votes) -> dict[str, list[tuple[str, Box]]]:
    """Reader and box by image; a box that stands twice is taken once."""
    boxes: dict[str, dict[tuple, tuple[str, Box]]] = {image_id: {} for image_id in votes}
    for row in read_table(table, ("image_id", *_READER[split], "class_name", *_CORNERS)):
        image_id, reader = row.text("image_id"), _reader(row, split)
        if reader not in votes.get(image_id, ()):
            raise row.fault(f"this image and reader are not in {_LABELS[split]}; copy both tables again")
        category = row.choice("class_name", _CATEGORY_OF)
        if category is not None:
            left, top, right, bottom = map(row.number, _CORNERS)
            box = Box(left, top, right - left, bottom - top, category, row.place)
            # Now, for what no other reader has drawn is left out without a look at it.
            if min(box.width, box.height) < 0.001 or max(map(abs, box[:4])) > _MAX_COORDINATE:
                raise row.fault("a box without area, or far outside of any image; correct or remove it")
            boxes[image_id].setdefault((reader, *box[:5]), (reader, box))
        elif any(row[column] for column in _CORNERS):
            raise row.fault("a box of a class that has none; correct the row")
    return {image_id: list(found.values()) for image_id, found in boxes.items()}


def _reader(row: Row, split: str) -> str:
    return row.text(*_READER[split]) if _READER[split] else "consensus"
