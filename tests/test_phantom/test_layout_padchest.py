"""The files of the PadChest layout."""

import ast

import cv2
import numpy as np

from tests.test_phantom.conftest import read_table, read_truth

STEMS = {"cardiomegaly": "cardiomegali", "pleural_effusion": "derram pleural", "pneumothorax": "neumotorax"}


def test_reports_and_labels_say_what_was_drawn(written):
    folder = written("padchest")
    truth = {row["ImageID"]: row for row in read_truth(folder)}
    rows = read_table(folder / "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv")
    assert [row["ImageID"] for row in rows] == list(truth)
    for row in rows:
        drawn = truth[row["ImageID"]]
        kinds = {finding["kind"] for finding in drawn["findings"]}
        assert (ast.literal_eval(row["Labels"]) == ["normal"]) == (not kinds)
        stated = [sentence for sentence in row["Report"].split(" . ") if not sentence.startswith("no se observ")]
        for kind, stem in STEMS.items():
            assert any(stem in sentence for sentence in stated) == (kind in kinds) or not row["Report"]
        assert row["Projection"] == {"PA": "PA", "AP": "AP_horizontal", "LATERAL": "L"}[drawn["view"]]
        pixels = cv2.imread(str(folder / row["ImageDir"] / row["ImageID"]), cv2.IMREAD_UNCHANGED)
        assert pixels.dtype == np.uint16 and pixels.max() > 255
    assert "no se observ" in "".join(row["Report"] for row in rows)
