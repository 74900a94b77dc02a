"""Json files and nested values within the memory that a file may claim."""

import json
from collections import deque

import pytest

from mgca_mm.bounds import parts_of, read_json
from mgca_mm.errors import UserError
from tests.test_faults import poisons
from tests.test_fuzz.cases import bounded

MB = 2**20


@pytest.mark.parametrize("part", ["[]", "{}", '{"a":1}', "[[]]"])
def test_many_small_parts_are_refused_before_they_are_made(part, tmp_path):
    path = tmp_path / "many.json"
    path.write_text("[" + ",".join([part] * (20 * MB // len(part))) + "]")
    with pytest.raises(UserError, match="more memory than a file of its size"), bounded(10 * path.stat().st_size):
        read_json(path)


def test_as_many_as_annotations_have(tmp_path):
    """A short entry of a prepared folder, and boxes in COCO's format."""
    entry = {"image_index": 1, "image_id": "p1", "patient_id": "1", "labels": [0, 1, None, -1], "report": ["a", "b c"]}
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [1.0, 2.0, 3.0, 4.0], "area": 12.0, "iscrowd": 0}
    for part in (entry, box):
        path = tmp_path / "entries.json"
        path.write_text(json.dumps([part] * 200_000))
        assert len(read_json(path)) == 200_000


@pytest.mark.parametrize("content", [b"[" * 100_000, b"{", b"\xff\xfe", b"9" * 5000, b""])
def test_what_is_no_json(content, tmp_path):
    (tmp_path / "c.json").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        read_json(tmp_path / "c.json")


def test_no_regular_file(tmp_path):
    for path in (tmp_path, tmp_path / "absent", "/dev/zero", "a\0b"):
        with pytest.raises(UserError, match="cannot be read"):
            read_json(path)


def test_parts_of_one_another():
    with pytest.raises(OverflowError):
        deque(parts_of(poisons.shared_list()), maxlen=0)
    assert list(parts_of({"a": [1, (2,)]})) == [{"a": [1, (2,)]}, [1, (2,)], (2,), 2, 1]
