"""Every kind of DICOM file shows the pixels it was made of."""

import numpy as np
import pydicom
import pytest

from mgca_mm.phantom import render, sample_patient
from mgca_mm.phantom.dicom import FORMS, describe, make_uid, write_dicom
from tests.test_phantom.conftest import displayed

STORED = {  # transfer syntax, bits allocated, bits stored, photometric interpretation
    "jpeg_baseline": ("1.2.840.10008.1.2.4.50", 8, 8, "MONOCHROME2"),
    "monochrome1": ("1.2.840.10008.1.2.1", 8, 8, "MONOCHROME1"),
    "window_12bit": ("1.2.840.10008.1.2.1", 16, 12, "MONOCHROME2"),
    "full_16bit": ("1.2.840.10008.1.2.1", 16, 16, "MONOCHROME2"),
    "implicit_vr": ("1.2.840.10008.1.2", 8, 8, "MONOCHROME2"),
    "rle": ("1.2.840.10008.1.2.5", 8, 8, "MONOCHROME2"),
    "jpeg_lossless": ("1.2.840.10008.1.2.4.70", 8, 8, "MONOCHROME2"),
    "jpeg_ls": ("1.2.840.10008.1.2.4.80", 8, 8, "MONOCHROME2"),
    "jpeg_2000": ("1.2.840.10008.1.2.4.90", 8, 8, "MONOCHROME2"),
}


@pytest.fixture(scope="module")
def study():
    return sample_patient(1, 0)[0]


@pytest.fixture(scope="module")
def pixels(study):
    image = render(study, "PA", (152, 133)).pixels
    image[:2, :5] = 0, 1, 128, 254, 255
    return image


def write(path, pixels, kind, study):
    write_dicom(path, pixels, kind, SOPInstanceUID=make_uid("image"), PatientID="p", **describe(study, "PA"))
    return pydicom.dcmread(path)


def test_all_kinds_are_described():
    assert set(FORMS) == set(STORED)


@pytest.mark.parametrize("kind", FORMS)
def test_displayed_pixels(tmp_path, pixels, study, kind):
    dataset = write(tmp_path / "sub" / "image.dcm", pixels, kind, study)
    stored = (dataset.BitsAllocated, dataset.BitsStored, dataset.PhotometricInterpretation)
    assert (dataset.file_meta.TransferSyntaxUID, *stored) == STORED[kind]
    difference = np.abs(displayed(dataset).astype(int) - pixels)
    if kind == "jpeg_baseline":
        assert 0 < difference.mean() < 3 and dataset.LossyImageCompression == "01"
    else:
        assert not difference.any() and "LossyImageCompression" not in dataset


@pytest.mark.parametrize("kind", FORMS)
def test_same_arguments_same_bytes(tmp_path, pixels, study, kind):
    for name in ("a.dcm", "b.dcm"):
        write(tmp_path / name, pixels, kind, study)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()
    assert pydicom.__version__.encode() not in (tmp_path / "a.dcm").read_bytes()


@pytest.mark.parametrize("kind", FORMS[:6])
def test_odd_number_of_pixels(tmp_path, pixels, study, kind):
    assert write(tmp_path / "image.dcm", pixels[1:], kind, study).pixel_array.shape == (151, 133)


def test_header(tmp_path, pixels, study):
    dataset = write(tmp_path / "image.dcm", pixels, "rle", study)
    assert dataset.SOPInstanceUID == dataset.file_meta.MediaStorageSOPInstanceUID == make_uid("image")
    assert (dataset.ViewPosition, dataset.PatientID, dataset.Modality) == ("PA", "p", "CR")
    assert (dataset.StudyDate, dataset.PatientSex) == (str(study.date), study.anatomy.sex)
    assert dataset.PatientAge == f"{study.anatomy.age:03d}Y"
    assert (dataset.Rows, dataset.Columns) == pixels.shape


def test_extremes_instead_of_the_window_show_another_image(tmp_path, pixels, study):
    values = write(tmp_path / "image.dcm", pixels, "window_12bit", study).pixel_array.astype(float)
    stretched = 255 * (values - values.min()) / (values.max() - values.min())
    assert np.abs(stretched - pixels).max() > 5


def test_uids_depend_on_the_names_only():
    assert make_uid("a", 1) == make_uid("a", 1) != make_uid("a", 2)
    assert pydicom.uid.UID(make_uid("a")).is_valid
