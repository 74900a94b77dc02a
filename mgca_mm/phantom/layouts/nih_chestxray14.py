"""The phantom as NIH ChestX-ray14: frontal images of 1024 x 1024, a table of labels, two lists, and a table of boxes.

A severe nodule is a *Mass*; consolidations are *Infiltration*, too, which the boxes call *Infiltrate* as the original
does. The original has boxes for 880 images, all of them in its test; here every image has its boxes.
"""

from pathlib import Path

from ..findings import Finding
from .layout import (
    FRONTAL,
    Entry,
    Layout,
    PhantomOptions,
    Rows,
    draw,
    train_and_test,
    truth_row,
    write_image,
    write_text,
)

SIDE = 1024
_TABLE, _BOXES = "Data_Entry_2017_v2020.csv", "BBox_List_2017.csv"
_LISTS = {"train": "train_val_list.txt", "test": "test_list.txt"}
_TABLES = {
    _TABLE: "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Sex,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]",
    _BOXES: "Image Index,Finding Label,Bbox [x,y,w,h],,,",
}
_LABELS_OF = {
    "cardiomegaly": ("Cardiomegaly",),
    "pleural_effusion": ("Effusion",),
    "consolidation": ("Consolidation", "Infiltration"),
    "atelectasis": ("Atelectasis",),
    "edema": ("Edema",),
    "pneumothorax": ("Pneumothorax",),
    "nodule": ("Nodule",),
    "pneumonia": ("Pneumonia",),
    "foreign_object": (),
}
# Of these the original has boxes.
_BOX_LABEL = {"Infiltration": "Infiltrate"} | {
    name: name for name in ("Atelectasis", "Cardiomegaly", "Effusion", "Mass", "Nodule", "Pneumonia", "Pneumothorax")
}


def _labels(finding: Finding) -> tuple[str, ...]:
    return ("Mass",) if finding.kind == "nodule" and finding.severity == 3 else _LABELS_OF[finding.kind]


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {_TABLE: [], _BOXES: [], entry.split: [], "truth": []}
    for study in options.sample(entry.index):
        for _, view, image in draw(study, options, FRONTAL, SIDE):
            visit = len(rows[_TABLE])
            name = f"{entry.number:08d}_{visit:03d}.png"
            write_image(out / f"images_{1 + entry.index % 12:03d}" / "images" / name, image.pixels)
            labels = sorted({label for finding in study.findings for label in _labels(finding)}) or ["No Finding"]
            who = (entry.number, study.anatomy.age, study.anatomy.sex, view)
            rows[_TABLE].append((name, "|".join(labels), visit, *who, *image.pixels.shape, 0.143, 0.143))
            rows[_BOXES] += [
                (name, _BOX_LABEL[label], *map(float, box), "", "", "")
                for finding, box in zip(study.findings, image.boxes, strict=True)
                for label in _labels(finding)
                if label in _BOX_LABEL and box is not None
            ]
            rows[entry.split].append(f"{name}\n")
            rows["truth"].append(truth_row(study, view, image, **{"Image Index": name}))
    return rows


def _write_lists(out: Path, tables: Rows) -> None:
    for part, name in _LISTS.items():
        write_text(out / name, "".join(tables[part]))


LAYOUT = Layout(
    "nih_chestxray14", _write_patient, _TABLES, lambda options: train_and_test(options, "test"), _write_lists
)
