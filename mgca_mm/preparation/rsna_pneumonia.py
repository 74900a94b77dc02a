"""RSNA Pneumonia Detection Challenge (2018), stage 2: one image a patient, boxes of lung opacities."""

from pathlib import Path

from mgca_mm.tables import read_table

from .collection import Box, Collection, FilterLog, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import divide

_TABLE = "stage_2_train_labels.csv"
_IMAGES = "stage_2_train_images"
_REMEDY = "Expected: stage_2_train_labels.csv beside stage_2_train_images/. It is part of https://www.kaggle.com/competitions/rsna-pneumonia-detection-challenge"
_BOX = ("x", "y", "width", "height")
_COLUMNS = ("patientId", *_BOX, "Target")
_SHAPE = (1024, 1024)  # Of every image, as published.


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table."""
    return {_TABLE: [raw.table(_TABLE, remedy=_REMEDY)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the boxes and divide the patients: 70/15/15 for the label, 60/20/20 for boxes and masks.

    See docs/protocol.md#classification and #detection; the released splits are these. The mask is the union of the
    boxes. Images are in ``stage_2_train_images/``.
    """
    table = raw.table(_TABLE, remedy=_REMEDY)
    filters = FilterLog("rows in the table", units=("patients",))
    boxes_of: dict[str, list[Box]] = {}
    for row in read_table(table, _COLUMNS):
        filters.keep("rows in the table")
        patient = row.file_name("patientId")
        has_box = row.choice("Target", {"0": False, "1": True})
        if not filters.keep("patients", patient not in boxes_of) and not (has_box and boxes_of[patient]):
            raise row.fault("this patientId stands twice, and one of its rows has no box; remove it")
        boxes = boxes_of.setdefault(patient, [])
        if has_box:
            boxes.append(Box(*map(row.number, _BOX), 0, row.place))
        elif any(row[column] for column in _BOX):
            raise row.fault("a box where column 'Target' is 0; correct the row")

    patients = list(boxes_of)
    split_of = divide(patients, 0.3, 0.5, table)
    dense_split_of = divide(patients, 0.4, 0.5, table)
    samples = [
        Sample(
            image_id=patient,
            patient_id=patient,
            image_path=f"{_IMAGES}/{patient}.dcm",
            splits=(split_of[patient],),
            labels=[int(bool(boxes))],
            dense_splits=(dense_split_of[patient],),
            boxes=boxes,
            mask=boxes,
            shape=_SHAPE,
        )
        for patient, boxes in boxes_of.items()
    ]
    return Collection(
        samples, filters, ["Lung Opacity"], categories=["Lung Opacity"], mask_classes=["background", "lung opacity"]
    )
