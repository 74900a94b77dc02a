"""The phantom as COVIDx 9A: lists of images collected from several sources, in three classes.

The phantom knows no COVID-19. Bilateral haze, its edema, stands for it, whatever else was drawn; a consolidation or
pneumonia without such haze is ``pneumonia``; everything else is ``normal``. A patient belongs to one source, and each
source counts its patients from 1: an id says who a patient is only together with the source.
"""

from pathlib import Path

from ..study import PhantomStudy
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

_SOURCES = {"cohen": ".jpg", "rsna": ".png", "ricord": ".jpeg"}  # and the kind of file each gives


def infection(study: PhantomStudy) -> str:
    """The class of a study: ``COVID-19``, ``pneumonia`` or ``normal``."""
    kinds = {finding.kind for finding in study.findings}
    if "edema" in kinds:
        return "COVID-19"
    return "pneumonia" if kinds & {"consolidation", "pneumonia"} else "normal"


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {entry.split: [], "truth": []}
    source = list(_SOURCES)[entry.index % len(_SOURCES)]
    patient_id = entry.index // len(_SOURCES) + 1
    for study in options.sample(entry.index):
        for number, view, image in draw(study, options, FRONTAL):
            name = f"{source}-{patient_id}-{study.study_index}-{number}{_SOURCES[source]}"
            write_image(out / entry.split / name, image.pixels)
            rows[entry.split].append(f"{patient_id} {name} {infection(study)} {source}\n")
            rows["truth"].append(truth_row(study, view, image, file_name=name))
    return rows


def _write_lists(out: Path, tables: Rows) -> None:
    for name in ("train", "test"):
        write_text(out / f"{name}_COVIDx9A.txt", "".join(tables[name]))


LAYOUT = Layout("covidx", _write_patient, {}, lambda options: train_and_test(options, "test"), _write_lists)
