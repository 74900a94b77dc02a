"""Pixels, masks and boxes."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mgca_mm.phantom import KINDS, Finding, render, sample_patient
from mgca_mm.phantom.devices import DEVICES
from mgca_mm.phantom.render import tight_box

VIEWS = ("PA", "AP", "LATERAL")
ZONE_DOWN = {"upper": 0.25, "mid": 0.52, "lower": 0.79}


@pytest.fixture(scope="module")
def normal():
    """A study without findings, in a straight posture."""
    study = next(s for i in range(50) for s in sample_patient(5, i) if not s.findings)
    anatomy = replace(study.anatomy, scoliosis=0, rotated=0, elevated_diaphragm=0, lung_volume=0, gastric_gas=False)
    return replace(study, anatomy=anatomy)


def example(kind, side="left", zone="mid", severity=2, device=None):
    """A finding of a kind, with the fields the kind has."""
    if kind == "cardiomegaly":
        return Finding(kind, severity=severity)
    if kind == "edema":
        return Finding(kind, "bilateral", severity=severity, texture=1)
    if kind == "foreign_object":
        sided = DEVICES[device or "coin"][1]
        return Finding(kind, side if sided else None, zone, 0, (0.5, ZONE_DOWN[zone], 0.3), 1, device or "coin")
    if kind in ("pleural_effusion", "pneumothorax"):
        return Finding(kind, side, severity=severity, texture=1)
    return Finding(kind, side, zone, severity, (0.6, ZONE_DOWN[zone], 0.5), 1)


def with_findings(study, *findings):
    return replace(study, findings=findings)


def center_x(mask):
    return np.flatnonzero(mask.any(axis=0)).mean()


@pytest.mark.parametrize("size", [112, 256, (200, 250), (320, 256)])
def test_size_and_type(normal, size):
    image = render(with_findings(normal, *(example(kind) for kind in KINDS)), "PA", size)
    shape = (size, size) if isinstance(size, int) else size
    assert image.pixels.dtype == np.uint8 and image.pixels.shape == shape
    assert image.pixels.std() > 25  # a picture, not a flat field
    assert len(image.masks) == len(image.boxes) == len(KINDS)
    assert all(mask.dtype == bool and mask.shape == shape for mask in image.masks)


def test_same_arguments_same_bytes_other_take_other_image(normal):
    first, again, other = render(normal, "AP"), render(normal, "AP"), render(normal, "AP", take=1)
    assert np.array_equal(first.pixels, again.pixels)
    assert not np.array_equal(first.pixels, other.pixels)


def test_threads_do_not_change_the_pixels(normal):
    threads = cv2.getNumThreads()
    study = with_findings(normal, *(example(kind) for kind in KINDS))
    images = []
    try:
        for count in (1, 4):
            cv2.setNumThreads(count)
            images.append(render(study, "PA", 512).pixels)
    finally:
        cv2.setNumThreads(threads)
    assert np.array_equal(*images)


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", KINDS)
def test_finding_changes_the_image_inside_its_mask(normal, kind, view):
    for severity in (1, 2, 3):
        study = with_findings(normal, example(kind, severity=severity))
        image, without = render(study, view), render(normal, view)
        change = image.pixels.astype(float) - without.pixels
        change = np.abs(change - np.median(change))  # the automatic exposure shifts the whole image a little
        mask = image.masks[0]
        assert mask.sum() > 20
        assert change[mask].mean() > 2 * change[~mask].mean()


@pytest.mark.parametrize("kind", ["pleural_effusion", "consolidation", "atelectasis", "nodule", "pneumonia"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_visible_after_downscaling(normal, kind, side):
    study = with_findings(normal, example(kind, side=side, severity=1, zone="lower"))
    image, without = render(study, "PA"), render(normal, "PA")
    small = [
        cv2.resize(i.pixels.astype(np.float32), (112, 112), interpolation=cv2.INTER_AREA) for i in (image, without)
    ]
    mask = cv2.resize(image.masks[0].astype(np.float32), (112, 112), interpolation=cv2.INTER_AREA) > 0.5
    # Opacities are brighter, by several gray levels, where the mask says so.
    assert (small[0] - small[1])[mask].mean() > 8


def test_pneumothorax_is_darker_and_effusion_brighter(normal):
    without = render(normal, "PA").pixels.astype(float)
    for kind, sign in (("pneumothorax", -1), ("pleural_effusion", 1)):
        image = render(with_findings(normal, example(kind, severity=3)), "PA")
        assert sign * (image.pixels - without)[image.masks[0]].mean() > 10


@pytest.mark.parametrize("view", ["PA", "AP"])
@pytest.mark.parametrize(
    "kind",
    ["pleural_effusion", "consolidation", "atelectasis", "pneumothorax", "nodule", "pneumonia", "foreign_object"],
)
def test_laterality(normal, kind, view):
    """The patient's right is on the image's left."""
    study = with_findings(normal, example(kind, side="right"), example(kind, side="left"))
    image = render(study, view, (256, 300))
    right, left = (center_x(mask) for mask in image.masks)
    spine = center_x(
        render(with_findings(normal, example("foreign_object", device="sternal_wires")), view, (256, 300)).masks[0]
    )
    assert right < spine - 15 and left > spine + 15


@pytest.mark.parametrize("view", VIEWS)
def test_zones_are_above_one_another(normal, view):
    study = with_findings(normal, *(example("nodule", zone=zone) for zone in ("upper", "mid", "lower")))
    rows = [np.flatnonzero(mask.any(axis=1)).mean() for mask in render(study, view).masks]
    assert rows[0] + 20 < rows[1] < rows[2] - 20


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "foreign_object"])
def test_severity_grows(normal, kind):
    """Graded by the area or, for patches of one extent, by the change they make."""
    effect = []
    without = render(normal, "PA").pixels.astype(float)
    for severity in (1, 2, 3):
        image = render(with_findings(normal, example(kind, severity=severity)), "PA")
        effect.append(np.abs(image.pixels - without)[image.masks[0]].sum())
    assert effect[0] < effect[1] < effect[2]


@pytest.mark.parametrize("device", DEVICES)
def test_every_device_is_drawn_bright(normal, device):
    for view in VIEWS:
        image = render(with_findings(normal, example("foreign_object", device=device)), view)
        gain = image.pixels.astype(float) - render(normal, view).pixels
        assert image.masks[0].any() and gain[image.masks[0]].mean() > 5


def test_boxes_are_tight_around_the_masks():
    studies = [s for i in range(25) for s in sample_patient(9, i) if s.findings]
    for study in studies:
        image = render(study, study.views[0], (240, 288))
        for mask, box in zip(image.masks, image.boxes, strict=True):
            x, y, width, height = box
            assert min(x, y) >= 0 and x + width <= 288 and y + height <= 240
            inside = mask[y : y + height, x : x + width]
            assert inside.sum() == mask.sum()
            assert inside[0].any() and inside[-1].any() and inside[:, 0].any() and inside[:, -1].any()


def test_empty_mask_has_no_box():
    assert tight_box(np.zeros((5, 7), bool)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"lung_volume": -1},
        {"lung_volume": 1},
        {"rotated": 1},
        {"scoliosis": -1},
        {"tortuous_aorta": True},
        {"calcified_aorta": True},
        {"prominent_hila": True},
        {"elevated_diaphragm": 1},
        {"gastric_gas": True},
    ],
)
def test_every_described_attribute_is_visible(normal, change):
    plain = {"tortuous_aorta": False, "calcified_aorta": False, "prominent_hila": False}
    base = replace(normal, anatomy=replace(normal.anatomy, **plain))
    changed = replace(base, anatomy=replace(base.anatomy, **change))
    difference = np.abs(render(changed, "PA", 112).pixels.astype(float) - render(base, "PA", 112).pixels)
    assert (difference > 15).sum() > 20


def test_lungs_are_those_of_the_chest_whatever_is_in_them(normal):
    study = with_findings(normal, *(example(kind) for kind in KINDS))
    lungs, others = render(study, "PA").lungs, render(normal, "PA").lungs
    assert list(lungs) == ["right", "left"]
    assert all(np.array_equal(lungs[side], others[side]) for side in lungs)
    assert center_x(lungs["right"]) < 128 < center_x(lungs["left"])  # the patient's right is on the image's left
    assert not (lungs["right"] & lungs["left"]).any()
    assert all(0.08 < lung.mean() < 0.30 for lung in lungs.values())
    pixels = render(normal, "PA").pixels
    inside = lungs["right"] | lungs["left"]
    assert pixels[inside].mean() < pixels[64:-64, 64:-64][~inside[64:-64, 64:-64]].mean() - 40
    lateral = render(normal, "LATERAL").lungs
    assert (lateral["right"] & lateral["left"]).sum() > 0.9 * (lateral["right"] | lateral["left"]).sum()
