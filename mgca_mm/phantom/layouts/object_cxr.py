"""The phantom as Object-CXR: one image a patient, foreign objects as rectangles, ellipses and polygons.

Of each patient the first study with a foreign object is written, or the first one. The published set says nothing about
the patients.
"""

from pathlib import Path

import cv2
import numpy as np

from ..findings import Finding
from .layout import FRONTAL, Entry, Layout, PhantomOptions, Rows, draw, truth_row, write_image

_RECTANGLE, _ELLIPSE, _POLYGON = 0, 1, 2
_ROUND = ("coin", "button")
_LONG = ("central_line", "endotracheal_tube", "enteric_tube", "chest_tube", "necklace")
_TOLERANCE = 1.0  # pixels by which a polygon may leave the contour


def annotate(finding: Finding, mask: np.ndarray, box: tuple[int, int, int, int]) -> str:
    """A foreign object, its mask bool (H, W), in the data set's notation: ``type x1 y1 x2 y2 …``."""
    x, y, width, height = box
    corners = [(x, y), (x + width, y + height)]
    kind = _ELLIPSE if finding.device in _ROUND else _RECTANGLE
    if finding.device in _LONG:
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        contour = max(contours, key=cv2.contourArea)
        if cv2.boundingRect(contour) != box:
            contour = cv2.convexHull(np.concatenate(contours))  # the two walls of a tube, or a broken line
        polygon = cv2.approxPolyDP(contour, _TOLERANCE, True)[:, 0]
        if len(polygon) >= 3:
            kind, corners = _POLYGON, polygon.tolist()
    return " ".join(map(str, (kind, *(value for corner in corners for value in corner))))


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    studies = options.sample(entry.index)
    study = next((study for study in studies if study.labels["Support Devices"]), studies[0])
    _, view, image = next(draw(study, options, FRONTAL))
    name = f"{entry.number:05d}.jpg"
    write_image(out / entry.split / name, image.pixels)
    objects = [
        annotate(finding, mask, box)
        for finding, mask, box in zip(study.findings, image.masks, image.boxes, strict=True)
        if finding.kind == "foreign_object" and box is not None
    ]
    row = (name, ";".join(objects))
    return {f"{entry.split}.csv": [row], "truth": [truth_row(study, view, image, image_name=name)]}


_TABLES = dict.fromkeys(("train.csv", "dev.csv"), "image_name,annotation")
LAYOUT = Layout("object_cxr", _write_patient, _TABLES, lambda options: {"train": 8 / 9, "dev": 1 / 9})
