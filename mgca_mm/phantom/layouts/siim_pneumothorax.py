"""The phantom as the SIIM-ACR Pneumothorax challenge: frontal images of 1024 x 1024, masks as run lengths.

A mask in several parts has a row for each, and the header and the cells of the table have their published blanks. The
first image of each patient walks through the kinds of DICOM files, the others are JPEG as all published ones.
"""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from ..dicom import FORMS, describe, make_uid, write_dicom
from ..render import PhantomImage
from ..study import PhantomStudy
from .layout import FRONTAL, Entry, Layout, PhantomOptions, Rows, draw, truth_row

SIDE = 1024
_MASKS = "train-rle.csv"


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {_MASKS: [], "truth": []}
    for study in options.sample(entry.index):
        for number, view, image in draw(study, options, FRONTAL, SIDE):
            first = study.study_index == number == 0
            names = ("siim_pneumothorax", options.seed, study.study_id)
            study_uid = make_uid(*names)
            series_uid, image_id = make_uid(*names, number), make_uid(*names, number, "image")
            write_dicom(
                out / "dicom-images-train" / study_uid / series_uid / f"{image_id}.dcm",
                image.pixels,
                FORMS[entry.index % len(FORMS)] if first else FORMS[0],
                PatientID=str(study.subject_id),
                SOPInstanceUID=image_id,
                SeriesInstanceUID=series_uid,
                StudyInstanceUID=study_uid,
                **describe(study, view),
            )
            masks = [encode_rle(part) for part in _parts(study, image)]
            rows[_MASKS] += [(image_id, f" {mask}") for mask in masks or ["-1"]]
            rows["truth"].append(truth_row(study, view, image, ImageId=image_id))
    return rows


def encode_rle(mask: np.ndarray) -> str:
    """A mask (H, W) as the challenge publishes it (see :func:`mgca_mm.preparation.siim_pneumothorax.parse_rle`).

    Example:
        >>> encode_rle(np.array([[0, 1, 1], [0, 1, 0]], bool))
        '2 3'
    """
    flat = np.concatenate([[False], np.asarray(mask, bool).T.ravel(), [False]])
    edges = np.flatnonzero(flat[1:] != flat[:-1])  # start, end, start, end, …
    return " ".join(map(str, np.diff(edges, prepend=0).tolist()))


def _parts(study: PhantomStudy, image: PhantomImage) -> Iterator[np.ndarray]:
    """The connected parts of the pneumothoraces, bool (H, W) each."""
    for finding, mask in zip(study.findings, image.masks, strict=True):
        if finding.kind == "pneumothorax":
            count, parts = cv2.connectedComponents(mask.astype(np.uint8))
            for part in range(1, count):
                yield parts == part


LAYOUT = Layout("siim_pneumothorax", _write_patient, {_MASKS: "ImageId, EncodedPixels"})
