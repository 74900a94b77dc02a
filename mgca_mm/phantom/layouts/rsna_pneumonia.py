"""The phantom as stage 2 of the RSNA Pneumonia Detection Challenge: one image a patient, 1024 x 1024.

The boxes are those of consolidations and pneumonias. An image without one is ``Normal`` if nothing at all was drawn.
"""

from pathlib import Path
from uuid import UUID

from ..dicom import describe, make_uid, write_dicom
from .layout import FRONTAL, Entry, Layout, PhantomOptions, Rows, draw, hex_id, truth_row

SIDE = 1024
_LABELS, _CLASSES = "stage_2_train_labels.csv", "stage_2_detailed_class_info.csv"
_TABLES = {_LABELS: "patientId,x,y,width,height,Target", _CLASSES: "patientId,class"}
_OPACITIES = ("consolidation", "pneumonia")


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    study = options.sample(entry.index)[0]
    number, view, image = next(draw(study, options, FRONTAL, SIDE))
    patient_id = str(UUID(hex_id(study, number, 32), version=4))
    write_dicom(
        out / "stage_2_train_images" / f"{patient_id}.dcm",
        image.pixels,
        PatientID=patient_id,
        SOPInstanceUID=make_uid("rsna_pneumonia", patient_id, "image"),
        SeriesInstanceUID=make_uid("rsna_pneumonia", patient_id, "series"),
        StudyInstanceUID=make_uid("rsna_pneumonia", patient_id, "study"),
        **describe(study, view),
    )
    boxes = [
        [float(value) for value in box]
        for finding, box in zip(study.findings, image.boxes, strict=True)
        if finding.kind in _OPACITIES and box is not None
    ]
    target = int(bool(boxes))
    name = "Lung Opacity" if boxes else "No Lung Opacity / Not Normal" if study.findings else "Normal"
    boxes = boxes or [("",) * 4]
    return {
        _LABELS: [(patient_id, *box, target) for box in boxes],
        _CLASSES: [(patient_id, name) for _ in boxes],  # a row a box here too, as published
        "truth": [truth_row(study, view, image, patientId=patient_id)],
    }


LAYOUT = Layout("rsna_pneumonia", _write_patient, _TABLES)
