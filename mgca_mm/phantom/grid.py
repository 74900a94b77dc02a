"""The figures of the documentation: ``python -m mgca_mm.phantom.grid docs/images/phantom_grid.png [varied]``."""

import sys
import textwrap
from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import cv2
import numpy as np

from .findings import KINDS, Finding
from .render import render
from .study import PhantomStudy, sample_patient

# Okabe and Ito's palette, told apart with any color vision (BGR).
_COLORS = {
    "cardiomegaly": (66, 228, 240),
    "pleural_effusion": (233, 180, 86),
    "consolidation": (0, 159, 230),
    "atelectasis": (115, 158, 0),
    "edema": (167, 121, 204),
    "pneumothorax": (0, 94, 213),
    "nodule": (0, 159, 230),
    "pneumonia": (167, 121, 204),
    "foreign_object": (233, 180, 86),
}
_TILE = 180
_LINE = 12  # height of a line of a caption


def figure(varied: bool = False) -> np.ndarray:
    """Tiles of normal chests, of each finding at two severities, of devices, of mixtures and of lateral views.

    An image (H, W, 3) uint8 in OpenCV's channel order.
    """
    studies = (study for index in count() for study in sample_patient(3, index, varied))
    tiles = [_tile(next(s for s in studies if not s.findings), view) for view in ("PA", "PA", "AP")]
    for kind in KINDS[:-1]:
        for severity in (1, 3):
            tiles.append(_tile(*_alone(studies, kind, severity)))
    for device in ("pacemaker", "central_line", "coin"):
        tiles.append(_tile(*_alone(studies, "foreign_object", 0, device)))
    tiles += [_tile(next(s for s in studies if len({f.kind for f in s.findings}) >= 3), "PA") for _ in range(2)]
    tiles.append(_tile(next(s for s in studies if not s.findings), "LATERAL"))
    for kind in ("cardiomegaly", "pleural_effusion", "pneumonia", "foreign_object", "nodule"):
        tiles.append(_tile(_alone(studies, kind, 0 if kind == "foreign_object" else 3)[0], "LATERAL"))
    return np.vstack([_row(tiles[start : start + 6]) for start in range(0, 30, 6)])


def _alone(
    studies: Iterator[PhantomStudy], kind: str, severity: int, device: str | None = None
) -> tuple[PhantomStudy, str]:
    """The next study with such a finding, reduced to it, and a view to draw."""
    for study in studies:
        findings = [f for f in study.findings if f.kind == kind and f.severity == severity]
        findings = tuple(f for f in findings if device in (None, f.device))[:1]
        if findings:
            return replace(study, findings=findings), "AP" if study.views[0] == "AP" else "PA"
    raise AssertionError("the stream of studies does not end")


def _row(tiles: list[tuple[list[str], np.ndarray]]) -> np.ndarray:
    """Tiles side by side below their captions, which have the height of the highest."""
    height = 6 + _LINE * max(len(lines) for lines, _ in tiles)
    shown = []
    for lines, tile in tiles:
        caption = np.zeros((height, _TILE, 3), np.uint8)
        for number, line in enumerate(lines, start=1):
            place = (3, _LINE * number)
            cv2.putText(caption, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.32, (255, 255, 255), 1, cv2.LINE_AA)
        shown.append(cv2.copyMakeBorder(np.vstack([caption, tile]), 1, 1, 1, 1, cv2.BORDER_CONSTANT))
    return np.hstack(shown)


def _tile(study: PhantomStudy, view: str) -> tuple[list[str], np.ndarray]:
    """Lines of a caption, and the radiograph with its findings outlined."""
    image = render(study, view, _TILE)
    tile = cv2.cvtColor(image.pixels, cv2.COLOR_GRAY2BGR)
    for finding, mask in zip(study.findings, image.masks, strict=True):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, contours, -1, _COLORS[finding.kind], 1)
    # Lines break between findings, not within the name of one.
    names = dict.fromkeys(_name(finding).replace(" ", "_") for finding in study.findings)
    lines = textwrap.wrap(f"{view}: {', '.join(names) or 'no finding'}", 33)
    return [line.replace("_", " ") for line in lines], tile


def _name(finding: Finding) -> str:
    side = {"left": "L ", "right": "R "}.get(finding.side, "")
    grade = f" {finding.severity}/3" if finding.severity else ""
    return side + (finding.device or finding.kind).replace("_", " ") + grade


if __name__ == "__main__":
    smallest = (cv2.IMWRITE_JPEG_QUALITY, 85) if sys.argv[1].endswith(".jpg") else (cv2.IMWRITE_PNG_COMPRESSION, 9)
    cv2.imwrite(sys.argv[1], figure("varied" in sys.argv[2:]), smallest)
