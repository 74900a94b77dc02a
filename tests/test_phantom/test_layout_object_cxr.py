"""The files of the Object-CXR layout."""

import csv

import cv2
import numpy as np
import pytest

from mgca_mm.phantom import Finding, render, sample_patient
from mgca_mm.phantom.devices import DEVICES
from mgca_mm.phantom.layouts.object_cxr import annotate
from tests.test_phantom.conftest import boxes_of, read_truth

RECTANGLE, ELLIPSE, POLYGON = 0, 1, 2
TYPE_OF = dict.fromkeys(DEVICES, RECTANGLE) | {"coin": ELLIPSE, "button": ELLIPSE}
TYPE_OF |= dict.fromkeys(("central_line", "endotracheal_tube", "enteric_tube", "chest_tube", "necklace"), POLYGON)


@pytest.fixture(scope="module")
def folder(written):
    return written("object_cxr")


def parse(text):
    """Type and points (N, 2) of an object."""
    kind, *numbers = map(int, text.split(" "))
    return kind, np.array(numbers).reshape(-1, 2)


def tight(points):
    return (*points.min(axis=0), *points.max(axis=0))


def corners(box):
    x, y, width, height = box
    return x, y, x + width, y + height


def test_objects_are_those_drawn(folder):
    truth = {row["image_name"]: row for row in read_truth(folder)}
    kinds = set()
    for split, start, count in (("train", 1, 11), ("dev", 12, 1)):
        with open(folder / f"{split}.csv", newline="") as file:
            header, *rows = csv.reader(file)
        assert header == ["image_name", "annotation"]
        assert sorted(row[0] for row in rows) == [f"{n:05d}.jpg" for n in range(start, start + count)]
        for name, annotation in rows:
            assert (folder / split / name).is_file()
            objects = [parse(text) for text in annotation.split(";")] if annotation else []
            boxes = boxes_of(truth[name], "foreign_object")
            assert len(objects) == len(boxes)
            for (kind, points), box in zip(objects, boxes, strict=True):
                assert len(points) == 2 if kind != POLYGON else len(points) >= 3
                np.testing.assert_allclose(tight(points), corners(box), atol=2)
                kinds.add(kind)
    assert kinds == {RECTANGLE, ELLIPSE, POLYGON}


@pytest.mark.parametrize("size", [64, 96, 256, 1024])
@pytest.mark.parametrize("device", DEVICES)
def test_annotation_of_every_device(device, size):
    study = sample_patient(5, 0)[0]
    side = "left" if DEVICES[device][1] else None
    finding = Finding("foreign_object", side, "mid", 0, (0.5, 0.5, 0.3), 1, device)
    image = render(type(study)(**{**vars(study), "findings": (finding,)}), "PA", size)
    kind, points = parse(annotate(finding, image.masks[0], image.boxes[0]))
    assert kind == TYPE_OF[device]
    np.testing.assert_allclose(tight(points), corners(image.boxes[0]), atol=2)
    if kind == POLYGON and size >= 256 and device != "endotracheal_tube":  # its two walls are one outline
        outline = cv2.fillPoly(np.zeros((size, size), np.uint8), [points.astype(np.int32)], 1).astype(bool)
        covered = (outline & image.masks[0]).sum()
        assert covered > 0.85 * image.masks[0].sum() and covered > 0.6 * outline.sum()
