"""What holds for every layout: the bytes, and the truth beside the files."""

import cv2
import numpy as np
import pydicom
import pytest

from mgca_mm.errors import UserError
from mgca_mm.phantom.layouts import LAYOUTS
from tests.test_phantom.conftest import (
    OPTIONS,
    PATIENTS,
    displayed,
    drawn,
    find_image,
    read_truth,
    tree_hash,
)

IMAGES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom")
MASKS = ("mask", "leftMask", "rightMask")  # folders
LATERALS = ("mimic_cxr", "chexpert", "iu_xray", "covid_chestxray", "chexpert_plus", "padchest")
ONE_IMAGE = ("rsna_pneumonia", "object_cxr", "vindr_cxr", "shenzhen")


@pytest.mark.parametrize("name", LAYOUTS)
def test_bytes_do_not_depend_on_the_workers(written, tmp_path, name):
    LAYOUTS[name](tmp_path / "two", OPTIONS, workers=2, progress=False)
    assert tree_hash(tmp_path / "two") == tree_hash(written(name))


@pytest.mark.parametrize("name", LAYOUTS)
def test_archives_do_not_hold_the_time(written, name):
    archives = list(written(name).rglob("*.gz"))
    assert archives and all(path.read_bytes()[4:8] == bytes(4) for path in archives)


@pytest.mark.parametrize("name", LAYOUTS)
def test_images_show_what_was_drawn(written, name):
    folder = written(name)
    for row, study, image in drawn(folder):
        path = find_image(name, folder, row)
        if path.suffix in (".dcm", ".dicom"):
            dataset = pydicom.dcmread(path)
            pixels, lossy = displayed(dataset), "LossyImageCompression" in dataset
        else:
            pixels, lossy = cv2.imread(str(path), cv2.IMREAD_UNCHANGED), path.suffix != ".png"
            pixels = pixels // 257 if pixels.dtype == np.uint16 else pixels
            if name == "shenzhen":  # a palette of grays
                assert (pixels == pixels[..., :1]).all()
                pixels = pixels[..., 0]
        difference = np.abs(pixels.astype(int) - image.pixels)
        assert difference.mean() < 3 if lossy else not difference.any()
        assert [finding["kind"] for finding in row["findings"]] == [finding.kind for finding in study.findings]
        assert [finding["box"] for finding in row["findings"]] == [box and list(box) for box in image.boxes]


@pytest.mark.parametrize("name", LAYOUTS)
def test_truth_lists_every_image_once(written, name):
    folder = written(name)
    listed = [find_image(name, folder, row) for row in read_truth(folder)]
    on_disk = {p for p in folder.rglob("*") if p.suffix in IMAGES and not p.stem.endswith(("_mask", "-ct"))}
    on_disk = {p for p in on_disk if p.parent.name not in MASKS}
    assert len(listed) == len(set(listed)) and set(listed) == on_disk
    views = {row["view"] for row in read_truth(folder)}
    assert views == {"PA", "AP", "LATERAL"} if name in LATERALS else views == {"PA", "AP"}
    assert len(listed) == PATIENTS if name in ONE_IMAGE else len(listed) > PATIENTS


def test_summary_counts(written):
    summary = LAYOUTS["covidx"](written("covidx"), OPTIONS, progress=False)
    truth = read_truth(written("covidx"))
    assert (summary["images"], summary["written"]) == (len(truth), False)
    assert summary["studies"] == len({row["study_id"] for row in truth})


def test_another_layout_is_not_overwritten(written):
    with pytest.raises(UserError, match="other options"):
        LAYOUTS["chexpert"](written("covidx"), OPTIONS, progress=False)


def test_a_place_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made: Not a directory\nName another"):
        LAYOUTS["covidx"](tmp_path / "file" / "raw", OPTIONS, progress=False)
