"""What PadChest gives: frontal projections, Spanish stems, 16-bit images."""

import json

import cv2
import numpy as np
import pytest

from mgca_mm.preparation import Options, check, prepare
from tests.test_preparation.raw_trees import PADCHEST, raw_tree


def entries(raw, out, **options):
    prepare("padchest", raw, out, Options(**dict(image_size=16, vocab_size=200) | options))
    assert check("padchest", out) == []
    found = [json.loads((out / f"{split}.json").read_text())["data_list"] for split in ("train", "val", "test")]
    return {entry["image_id"]: entry for part in found for entry in part}


def test_projections_and_reports(tmp_path):
    tree = raw_tree("padchest")
    rows = tree.tables[PADCHEST]
    projections = ["PA", "AP", "AP_horizontal", "L", "COSTAL", "", "PA", "PA"]
    text = "cardiomegali lev . sin derram pleural . "
    texts = [text] * 6 + ["", "normal . "]
    template = rows[1]
    rows[1:] = [
        [f"{n}.png", "0", f"20{n}", f"p{n}", projection, text]
        for n, (projection, text) in enumerate(zip(projections, texts, strict=True))
    ]
    assert len(template) == len(rows[1])
    found = entries(tree.write(tmp_path / "raw", images=False), tmp_path / "out", annotations_only=True)
    assert sorted(found) == ["0.png", "1.png", "2.png"]
    assert found["0.png"]["report"] == ["cardiomegali lev", "sin derram pleural"]
    assert found["2.png"]["view"] == "AP_horizontal"
    rejected = (tmp_path / "out" / "rejected.csv").read_text().splitlines()[1:]
    assert [line.split(",")[0] for line in rejected] == ["6.png", "7.png"]


def test_images_of_a_study_share_its_report(tmp_path):
    tree = raw_tree("padchest")
    other = ["7_d4e5f6.png", *tree.tables[PADCHEST][1][1:]]
    tree.tables[PADCHEST].append(other)
    found = entries(tree.write(tmp_path / "raw", images=False), tmp_path / "out", annotations_only=True)
    first = found[tree.tables[PADCHEST][1][0]]
    keys = ("study_id", "patient_id", "report")
    assert [found[other[0]][key] for key in keys] == [first[key] for key in keys]


@pytest.mark.parametrize("folders", [True, False])
def test_sixteen_bits(tmp_path, folders):
    """From the folders of the archives, or all in one."""
    tree = raw_tree("padchest")
    raw = tree.write(tmp_path / "raw")
    for name in tree.images:
        pixels = cv2.imread(str(raw / name), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(raw / name), pixels.astype(np.uint16) * 257)
        if not folders:
            (raw / name).rename(raw / name.partition("/")[2])
    found = entries(raw, tmp_path / "out", image_size=64)
    store = np.load(tmp_path / "out" / "images.npy")
    for number, name in enumerate(tree.images):
        image = store[found[name.partition("/")[2]]["image_index"]]
        assert image[0].tolist() == sorted(image[0].tolist()) and image.std() > 40, number
