"""Names of prepared folders, and the form of what mmdet reads of one."""

import copy
import math
from importlib import import_module

import pytest

from mgca_mm.prepared import DATA_SETS, coco_fault

SOUND = {
    "images": [{"id": 0, "file_name": "0.png", "height": 8, "width": 8}],
    "annotations": [{"id": 1, "image_id": 0, "category_id": 1, "bbox": [0, 0, 2, 2.5], "area": 5, "iscrowd": 0}],
    "categories": [{"id": 1, "name": "opacity"}],
}
ODD = {
    "images": (
        *[("id", value) for value in (None, "0", 0.0, True, [0])],
        *[("height", value) for value in (0, -8, "8", math.nan)],
        *[("file_name", value) for value in (None, 5, "a\0b")],
    ),
    "annotations": (
        *[("bbox", value) for value in (None, [], [0, 0, 2], [0, 0, 2, math.nan], [0, 0, 2, "2"], "abcd")],
        *[("image_id", value) for value in (7, None, [0])],
        *[("category_id", value) for value in (0, "1", {})],
        ("area", "x"),
        ("iscrowd", 5),
    ),
    "categories": (("name", None), ("id", None)),
}


def test_a_sound_file():
    assert coco_fault(SOUND) is None


@pytest.mark.parametrize(("part", "key", "value"), [(part, *odd) for part, odds in ODD.items() for odd in odds])
def test_an_odd_value(part, key, value):
    content = copy.deepcopy(SOUND)
    content[part][0][key] = value
    assert coco_fault(content)


@pytest.mark.parametrize("part", SOUND)
@pytest.mark.parametrize("value", [None, 5, {}, [None], [[]], ["x"]])
def test_a_part_of_another_kind(part, value):
    assert coco_fault(SOUND | {part: value})


def test_two_of_one_number():
    assert coco_fault(SOUND | {"images": SOUND["images"] * 2})
    assert coco_fault([SOUND]) and coco_fault(None)


def test_names():
    """Each stands for a module that prepares it."""
    for name in DATA_SETS:
        source = import_module(f"mgca_mm.preparation.{name}")
        assert callable(source.find_sources) and callable(source.collect)
