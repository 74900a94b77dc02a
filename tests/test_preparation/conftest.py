"""A MIMIC-CXR tree of eight patients, one for each thing that happens to a row."""

import csv
import gzip
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

FULL_REPORT = """                                 FINAL REPORT
 EXAMINATION:  CHEST (PA AND LAT)

 INDICATION:  ___ year old woman with cough.

 WET READ FINDINGS:  Preliminary.

 FINDINGS:

 The lungs are clear.  There is no pleural effusion.
 Heart size is normal.

 IMPRESSION:

 1. No acute process.
 2. Normal heart.

 NOTIFICATION:  Discussed with Dr. ___ by phone.
"""
MISSPELLED_REPORT = " HISTORY:  Fever.\n\n FINDNGS:  Left lower lobe opacity.\n\n IMPRESSON:  Pneumonia is likely.\n"
HEADERLESS_REPORT = (
    " FINAL REPORT\n\n HISTORY:  Fall.\n\n Single portable view of the chest.\n\n No rib fracture\n is seen.\n"
)


@dataclass
class MimicTree:
    """The rows of a tree before they are written, so that a test can spoil them."""

    folder: Path
    metadata: list[list[str]]
    split: list[list[str]]
    reports: dict[str, str]
    labels: list[list[str]] = field(default_factory=list)

    def write_tables(self, gzipped: bool = True) -> None:
        write_table(self.folder / "mimic-cxr-2.0.0-metadata.csv", self.metadata, gzipped)
        write_table(self.folder / "mimic-cxr-2.0.0-split.csv", self.split, gzipped)
        if self.labels:
            write_table(self.folder / "mimic-cxr-2.0.0-chexpert.csv", self.labels, gzipped)

    def write(self, gzipped: bool = True, reports: str = "loose") -> Path:
        self.write_tables(gzipped)
        for row in self.metadata[1:]:
            write_image(self.image(row[0]))
        if reports == "zip":
            with zipfile.ZipFile(self.folder / "mimic-cxr-reports.zip", "w") as archive:
                for name, text in self.reports.items():
                    archive.writestr(name, text.encode("latin-1"))
        else:
            base = self.folder / ("mimic-cxr-reports" if reports == "unzipped" else "")
            for name, text in self.reports.items():
                (base / name).parent.mkdir(parents=True, exist_ok=True)
                (base / name).write_bytes(text.encode("latin-1"))
        return self.folder

    def image(self, dicom_id: str) -> Path:
        subject, study = next(row[1:3] for row in self.metadata if row[0] == dicom_id)
        return self.folder / f"files/p{subject[:2]}/p{subject}/s{study}/{dicom_id}.jpg"


def write_table(path: Path, rows: list[list[str]], gzipped: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    opener, path = (gzip.open, path.with_name(path.name + ".gz")) if gzipped else (open, path)
    with opener(path, "wt", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_image(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    seed = sum(path.name.encode())
    image = np.random.default_rng(seed).integers(0, 256, (40 + seed % 7, 30), np.uint8)
    cv2.imwrite(str(path), image)


def report_name(number: int) -> str:
    return f"files/p10/p1000000{number}/s5000000{number}.txt"


@pytest.fixture
def mimic(tmp_path) -> MimicTree:
    images = [  # patient (and study) number, dicom id, view, split
        (1, "a1", "PA", "train"),
        (1, "a2", "LATERAL", "train"),
        (2, "b1", "AP", "train"),
        (3, "c1", "PA", "train"),  # report missing
        (4, "d1", "AP", "validate"),  # report of two words
        (5, "e1", "PA", "validate"),
        (6, "f1", "AP", "test"),
        (6, "f2", "PA", "test"),
        (7, "g1", "PA", None),  # not in the split file
        (8, "h1", "PA", "train"),  # report without words
    ]
    ids = {number: (f"1000000{number}", f"5000000{number}") for number in range(1, 9)}
    return MimicTree(
        folder=tmp_path / "raw",
        metadata=[["dicom_id", "subject_id", "study_id", "Rows", "ViewPosition"]]
        + [[dicom, *ids[number], "3056", view] for number, dicom, view, _ in images],
        split=[["dicom_id", "study_id", "subject_id", "split"]]
        + [[dicom, *reversed(ids[number]), split] for number, dicom, _, split in images if split],
        reports={
            report_name(1): FULL_REPORT,
            report_name(2): MISSPELLED_REPORT,
            report_name(4): " IMPRESSION: Normal chest.\n",
            report_name(5): HEADERLESS_REPORT,
            report_name(6): "FINDINGS: Stable caf\xe9-au-lait opacity.\r\nIMPRESSION: No change.\r\n",
            report_name(7): FULL_REPORT,
            report_name(8): " FINAL REPORT:\n\n ___ \n\n IMPRESSION:  ___.\n",
        },
    )


@pytest.fixture
def covid(tmp_path):
    """Writes a covid-chestxray tree from its rows and returns its folder."""
    header = [
        "patientid",
        "offset",
        "finding",
        "view",
        "modality",
        "folder",
        "filename",
        "clinical_notes",
        "other_notes",
    ]

    def write(rows: list[list[str]], absent: set[str] = frozenset()) -> Path:
        raw = tmp_path / "raw"
        write_table(raw / "metadata.csv", [header, *rows], gzipped=False)
        for cells in rows:
            if cells[6] not in absent:
                write_image(raw / (cells[5] or "images") / cells[6])
        return raw

    return write
