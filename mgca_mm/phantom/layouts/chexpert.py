"""The phantom as CheXpert-v1.0-small: the written folder plays the folder of that name.

The labels of ``train.csv`` are what the report says, as CheXpert's labeler reads it: 1.0 stated, -1.0 hedged, 0.0
denied, blank not mentioned. Those of ``valid.csv`` are what was drawn, as its radiologists saw it.
"""

from pathlib import Path

from ..anatomy import SIDES
from ..study import LABELS_OF, PhantomStudy
from .layout import Entry, Layout, PhantomOptions, Rows, draw, train_and_test, truth_row, write_image

_PREFIX = "CheXpert-v1.0-small"
_HEADER = (
    "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Enlarged Cardiomediastinum,Cardiomegaly,Lung Opacity,Lung Lesion,"
    "Edema,Consolidation,Pneumonia,Atelectasis,Pneumothorax,Pleural Effusion,Pleural Other,Fracture,Support Devices"
)
_LABELS = _HEADER.split(",")[5:]
_SEX = {"F": "Female", "M": "Male"}
# From the weakest claim to the strongest, which wins where a report makes several.
_VALUE_OF = {"absent": 0.0, "resolved": 0.0, "uncertain": -1.0, "present": 1.0}


def report_labels(study: PhantomStudy) -> dict[str, float]:
    """The labels that a study's report mentions: 1.0 stated, -1.0 hedged, 0.0 denied."""
    claims: dict[str, float] = {}
    for polarity, value in _VALUE_OF.items():
        for statement in study.report.statements:
            one_sided = value == 0 and statement.side in SIDES  # "No left effusion" denies nothing on the right
            if statement.polarity == polarity and not one_sided:
                claims |= dict.fromkeys(statement.topics, value)
    labels: dict[str, float] = {}
    for label in _LABELS:
        values = [claims.get(kind) for kind, names in LABELS_OF.items() if label in names]
        if 1.0 in values or -1.0 in values:
            labels[label] = 1.0 if 1.0 in values else -1.0
        elif values and None not in values:  # one kind of opacity denied leaves the others
            labels[label] = 0.0
    return labels | ({"No Finding": 1.0} if _is_normal(labels) else {})


def drawn_labels(study: PhantomStudy) -> dict[str, float]:
    """All labels of what was drawn, 1.0 or 0.0."""
    labels = {label: float(study.labels[label]) for label in _LABELS}
    return labels | {"No Finding": float(_is_normal(labels))}


def _is_normal(labels: dict[str, float]) -> bool:
    """CheXpert's rule, in which support devices are no finding."""
    return not any(value for label, value in labels.items() if label not in ("No Finding", "Support Devices"))


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    table = f"{entry.split}.csv"
    rows: Rows = {table: [], "truth": []}
    for study in options.sample(entry.index):
        labels = report_labels(study) if entry.split == "train" else drawn_labels(study)
        cells = [f"{labels[label]:.1f}" if label in labels else "" for label in _LABELS]
        folder = f"{entry.split}/patient{entry.number:05d}/study{study.study_index + 1}"
        for number, view, image in draw(study, options):
            plane = "Lateral" if view == "LATERAL" else "Frontal"
            name = f"{folder}/view{number + 1}_{plane.lower()}.jpg"
            write_image(out / name, image.pixels)
            direction = "" if plane == "Lateral" else view
            who = (_SEX[study.anatomy.sex], study.anatomy.age)
            rows[table].append((f"{_PREFIX}/{name}", *who, plane, direction, *cells))
            rows["truth"].append(truth_row(study, view, image, Path=f"{_PREFIX}/{name}"))
    return rows


LAYOUT = Layout(
    "chexpert",
    _write_patient,
    dict.fromkeys(("train.csv", "valid.csv"), _HEADER),
    lambda options: train_and_test(options, "valid"),
)
