"""The 5 x 200 sets: what counts as the only label of an image, and how many there are."""

import numpy as np
import pytest

from mgca_mm.datasets.classification import ChestXrayDataset
from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.subsets import keep_single_class
from mgca_mm.errors import UserError
from tests.test_datasets.test_image_report import write

LABELS = ["No Finding", "Edema", "Consolidation", "Lung Opacity", "Fracture"]
CLASSES = ["Consolidation", "Edema"]  # not in the order of the file
ROWS = {
    "edema alone": [0, 1, 0, 0, 0],
    "consolidation alone, the rest not mentioned": [None, None, 1, None, None],
    "two of the classes": [0, 1, 1, 0, 0],
    "one of the classes and another label": [0, 1, 0, 0, 1],
    "one of the classes and an uncertain one": [0, 1, -1, 0, 0],
    "one of the classes and an uncertain other": [0, 1, 0, 0, -1],
    "uncertain alone": [0, -1, 0, 0, 0],
    "another label alone": [0, 0, 0, 0, 1],
    "nothing": [1, 0, 0, 0, 0],
    "one of the classes, and its group": [0, 1, 0, 1, 0],
    "edema alone, and called normal": [1, 1, 0, 0, 0],
}


def entries(labels):
    return [dict(image_id=name, image_index=0, labels=row, report=["text"]) for name, row in labels.items()]


def keep(labels, classes=CLASSES, per_class=200, **changes):
    found = keep_single_class(entries(labels), classes, {"classes": LABELS}, "train.json", per_class, **changes)
    return {row["image_id"]: row["gt_label"] for row in found}


def test_only_label_of_the_file():
    alone = {"edema alone": 1, "consolidation alone, the rest not mentioned": 0, "edema alone, and called normal": 1}
    assert keep(ROWS) == alone
    assert keep(ROWS, groups=["Lung Opacity"]) == alone | {"one of the classes, and its group": 1}
    assert keep(ROWS, classes=["No Finding", "Edema"]) == {"edema alone": 1, "nothing": 0}


def test_equally_many_drawn_at_random():
    rng = np.random.default_rng(0)
    labels = {str(number): [0, kind, 1 - kind, 0, 0] for number, kind in enumerate(rng.random(300) < 0.6)}
    found = keep(labels, per_class=50)
    assert sorted(found.values()) == [0] * 50 + [1] * 50
    assert found == keep(labels, per_class=50) != keep(labels, per_class=50, seed=1)
    assert found != dict(list(keep(labels).items())[:100])


def test_counts_are_told(monkeypatch):
    told = []
    monkeypatch.setattr("mgca_mm.datasets.subsets.print_log", lambda message, *_: told.append(message))
    keep(ROWS, per_class=2)
    assert "Consolidation 1 of 1, Edema 2 of 2" in told[0]
    assert "Fewer than 2 images of Consolidation" in told[1] and "Edema" not in told[1]


def test_mistakes():
    with pytest.raises(UserError, match="no image that shows Consolidation"):
        keep({"nothing": [1, 0, 0, 0, 0]})
    with pytest.raises(UserError, match="no label Opacity"):
        keep(ROWS, groups=["Opacity"])


def test_both_data_sets_have_the_same(tmp_path):
    root = write(tmp_path / "data", entries(ROWS), classes=LABELS)
    options = dict(data_root=root, ann_file="train.json", classes=CLASSES, per_class=1, groups=["Lung Opacity"])
    images = ChestXrayDataset(exclusive=True, **options)
    pairs = ImageReportDataset(**options)
    found = [
        [(row["image_id"], row["gt_label"]) for row in map(data.get_data_info, range(2))] for data in (images, pairs)
    ]
    assert found[0] == found[1] and len(images) == len(pairs) == 2
