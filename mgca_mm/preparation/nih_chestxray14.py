"""NIH ChestX-ray14 (Wang et al., 2017): radiographs with 14 labels, and boxes of eight of them for 880 images."""

from dataclasses import replace
from pathlib import Path

from mgca_mm.errors import UserError
from mgca_mm.tables import Row, read_lines, read_table

from .collection import Box, Collection, FilterLog, Sample
from .image_files import find_images
from .options import Options
from .raw_folder import RawFolder
from .splits import divide, hold_out

_TABLES = ("Data_Entry_2017_v2020.csv", "Data_Entry_2017.csv")  # corrected in 2020, and as first published
_LISTS = {"train_val_list.txt": "train", "test_list.txt": "test"}
_BOXES = "BBox_List_2017.csv"
_REMEDY = "It is part of NIH ChestX-ray14: https://nihcc.app.box.com/v/ChestXray-NIHCC"
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID")
_BOX = ("Bbox [x", "y", "w", "h]")  # commas part what the header means as one column
_CATEGORIES = [
    *("Atelectasis", "Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule", "Pneumonia", "Pneumothorax"),
]
_CLASSES = [
    *_CATEGORIES,
    *("Consolidation", "Edema", "Emphysema", "Fibrosis", "Pleural_Thickening", "Hernia"),
]
_NO_FINDING = "No Finding"
_CATEGORY_OF = {name: number for number, name in enumerate(_CATEGORIES)} | {"Infiltrate": 3}  # as the boxes spell it
_SHAPE = (1024, 1024)  # Of every image, as published.


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table of labels, the two lists, and the boxes if they are there."""
    sources = {_TABLES[0]: [raw.table(*_TABLES, remedy=_REMEDY)]}
    sources |= {name: [raw.table(name, remedy=_REMEDY)] for name in _LISTS}
    boxes = raw.optional_table(_BOXES)
    return sources if boxes is None else sources | {_BOXES: [boxes]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the labels and the official split; an eighth of the training patients is for validation.

    That makes the 70/10/20 of the publishers' paper. All images with boxes are in the official test: for detection they
    alone are divided, 60/20/20 by patient. The boxes of a square copy of another size are scaled with it.

    Args:
        raw: Folder with the tables and the lists, and the PNG files of the archives in any folders below it.
        options: Nothing here depends on them.
    """
    table = raw.table(*_TABLES, remedy=_REMEDY)
    part_of = _read_lists(raw)
    boxes_of = _read_boxes(raw)
    path_of = find_images(raw, (".png",))
    filters = FilterLog("rows in the table")
    samples: list[Sample] = []
    seen: set[str] = set()
    for row in read_table(table, _COLUMNS):
        image_id = row.file_name("Image Index")
        row.require_new("Image Index", image_id, seen)
        seen.add(image_id)
        labels = _read_labels(row)
        filters.keep("rows in the table")
        if filters.keep("in the split lists", image_id in part_of):
            samples.append(
                Sample(
                    image_id=image_id,
                    patient_id=row.identifier("Patient ID"),
                    image_path=path_of.get(image_id.removesuffix(".png"), image_id),
                    view=row.get("View Position") or None,
                    labels=labels,
                    boxes=boxes_of.get(image_id),
                    shape=_SHAPE,
                )
            )
    training = dict.fromkeys(sample.patient_id for sample in samples if part_of[sample.image_id] == "train")
    split_of = hold_out(list(training), 1 / 8, table)
    notes, boxed = [], [sample for sample in samples if sample.boxes is not None]
    if boxes_of:
        patients = dict.fromkeys(sample.patient_id for sample in boxed)
        dense_split_of = divide(list(patients), 0.4, 0.5, raw.table(_BOXES, remedy=_REMEDY))
        notes.append("detection divides the images with boxes anew; for the labels they keep their official split")
    if len(boxed) < len(boxes_of):
        notes.append(f"images with boxes that are not in the table or the lists: {len(boxes_of) - len(boxed)}")
    for index, sample in enumerate(samples):
        part = part_of[sample.image_id]
        samples[index] = replace(
            sample,
            splits=(split_of[sample.patient_id] if part == "train" else part,),
            dense_splits=() if sample.boxes is None else (dense_split_of[sample.patient_id],),
        )
    categories = _CATEGORIES if boxes_of else None
    return Collection(samples, filters, _CLASSES, categories=categories, boxes_scale=True, notes=notes)


def _read_lists(raw: RawFolder) -> dict[str, str]:
    """The official part of each image, ``train`` or ``test``."""
    part_of: dict[str, str] = {}
    for name, part in _LISTS.items():
        path = raw.table(name, remedy=_REMEDY)
        for line, image_id in read_lines(path):
            if image_id in part_of:
                raise UserError(f"{path}, line {line}: this image stands twice in the lists; remove one of the lines")
            part_of[image_id] = part
    return part_of


def _read_boxes(raw: RawFolder) -> dict[str, list[Box]]:
    """Boxes of the images that have any; none where the file is missing."""
    path = raw.optional_table(_BOXES)
    boxes_of: dict[str, list[Box]] = {}
    for row in () if path is None else read_table(path, ("Image Index", "Finding Label", *_BOX)):
        boxes = boxes_of.setdefault(row.file_name("Image Index"), [])
        box = Box(*map(row.number, _BOX), row.choice("Finding Label", _CATEGORY_OF), row.place)
        row.require_new("box", box[:-1], [other[:-1] for other in boxes])
        boxes.append(box)
    return boxes_of


def _read_labels(row: Row) -> list[int]:
    """1 for each class that a row names, 0 for the others."""
    names = row.text("Finding Labels").split("|")
    findings = [] if names == [_NO_FINDING] else names
    if not set(findings) <= set(_CLASSES):
        raise row.fault(f"column 'Finding Labels' is neither {_NO_FINDING} nor some of {', '.join(_CLASSES)}")
    return [int(name in findings) for name in _CLASSES]
