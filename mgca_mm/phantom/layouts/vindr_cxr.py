"""The phantom as VinDr-CXR: one frontal a patient, DICOM, 28 labels and boxes of 22 of them.

In training three of 17 readers see an image. Each misses a finding now and then, reports one that is not there, and
draws boxes a little off. The test has what was drawn, as if it were a consensus.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..dicom import make_uid, write_dicom
from .layout import FRONTAL, Entry, Layout, PhantomOptions, Rows, draw, hex_id, layout_rng, truth_row

_LABELS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other diseases,No finding"
)
_NAMES = _LABELS.split(",")
_BOX = "class_name,x_min,y_min,x_max,y_max"
_TABLES = {
    "annotations/image_labels_train.csv": f"image_id,rad_id,{_LABELS}",
    "annotations/image_labels_test.csv": f"image_id,{_LABELS.replace('diseases', 'disease')}",  # as published
    "annotations/annotations_train.csv": f"image_id,rad_id,{_BOX}",
    "annotations/annotations_test.csv": f"image_id,{_BOX}",
}
_LABEL_OF = {
    "atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "edema": "Edema",
    "nodule": "Nodule/Mass",
    "pleural_effusion": "Pleural effusion",
    "pneumonia": "Infiltration",
    "pneumothorax": "Pneumothorax",
}
_MISSED, _IMAGINED, _JITTER = 0.1, 0.15, 0.04  # probabilities, and share of a box's sides
_FORMS = ("full_16bit", "window_12bit", "monochrome1")

Seen = list[tuple[str, np.ndarray]]  # label and corners x, y, x, y


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    study = options.sample(entry.index)[0]
    number, view, image = next(draw(study, options, FRONTAL))
    image_id = hex_id(study, number, 32)
    write_dicom(
        out / entry.split / f"{image_id}.dicom",
        image.pixels,
        _FORMS[entry.index % len(_FORMS)],
        SOPInstanceUID=make_uid("vindr_cxr", image_id),
        PatientSex=study.anatomy.sex,
        PatientAge=f"{study.anatomy.age:03d}Y",
    )
    drawn: Seen = [
        (_LABEL_OF[finding.kind], np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]], float))
        for finding, box in zip(study.findings, image.boxes, strict=True)
        if finding.kind in _LABEL_OF and box is not None
    ]
    rng = layout_rng(study)
    readers = [f"R{number}" for number in sorted(rng.choice(np.arange(1, 18), 3, replace=False))]
    labels, boxes = f"annotations/image_labels_{entry.split}.csv", f"annotations/annotations_{entry.split}.csv"
    rows: Rows = {labels: [], boxes: [], "truth": [truth_row(study, view, image, image_id=image_id)]}
    for reader in readers if entry.split == "train" else [None]:
        seen = drawn if reader is None else list(_read(drawn, image.pixels.shape, rng))
        names = {name for name, _ in seen} or {"No finding"}
        names |= {"Pneumonia"} if "Infiltration" in names else set()
        key = (image_id,) if reader is None else (image_id, reader)
        rows[labels].append((*key, *(int(name in names) for name in _NAMES)))
        for name, corners in seen or [("No finding", None)]:
            rows[boxes].append((*key, name, *(("",) * 4 if corners is None else np.round(corners, 2).tolist())))
    return rows


def _read(drawn: Seen, shape: tuple[int, int], rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """What one reader sees."""
    height, width = shape
    for name, corners in drawn:
        if rng.random() >= _MISSED:
            sides = np.tile(corners[2:] - corners[:2], 2)
            yield name, (corners + rng.uniform(-_JITTER, _JITTER, 4) * sides).clip(0, (width, height) * 2)
    if rng.random() < _IMAGINED:
        x, y = rng.uniform(0.1, 0.7, 2) * (width, height)
        yield "Other lesion", np.array([x, y, x + 0.2 * width, y + 0.2 * height])


LAYOUT = Layout("vindr_cxr", _write_patient, _TABLES, lambda options: {"train": 5 / 6, "test": 1 / 6})
