"""A small phantom in every layout, written once, and what reads it back without the code that wrote it."""

import csv
import gzip
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest

from mgca_mm.phantom import render, sample_patient
from mgca_mm.phantom.layouts import LAYOUTS, PhantomOptions

# In this phantom every kind of finding, class, hedge and oddity the tests look for occurs.
SEED, PATIENTS = 16, 12
OPTIONS = PhantomOptions(PATIENTS, seed=SEED, size=96)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """Folder of a layout by its name."""
    root = tmp_path_factory.mktemp("layouts")

    def folder_of(name):
        LAYOUTS[name](root / name, OPTIONS, progress=False)  # nothing to do if it is there
        return root / name

    return folder_of


def tree_hash(folder):
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def read_table(path):
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def read_truth(folder):
    with gzip.open(folder / "phantom-truth.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def drawn(folder):
    """Each row of the truth with its study and the image, drawn again."""
    studies = {s.study_id: s for index in range(PATIENTS) for s in sample_patient(SEED, index)}
    takes = {}
    for row in read_truth(folder):
        key = row["study_id"], row["view"]
        takes[key] = takes.get(key, -1) + 1
        study = studies[row["study_id"]]
        yield row, study, render(study, row["view"], (row["height"], row["width"]), take=takes[key])


def displayed(dataset):
    """Grays that a DICOM file shows: rescale, linear window or else the full range, inversion (PS3.3, C.11)."""
    values = dataset.pixel_array.astype(np.float64)
    values = values * float(dataset.get("RescaleSlope", 1)) + float(dataset.get("RescaleIntercept", 0))
    if "WindowWidth" in dataset:
        center, width = float(dataset.WindowCenter), float(dataset.WindowWidth)
        grays = np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)
    else:
        grays = values / (2**dataset.BitsStored - 1)
    grays = 1 - grays if dataset.PhotometricInterpretation == "MONOCHROME1" else grays
    return np.rint(255 * grays).astype(np.uint8)


def boxes_of(row, *kinds):
    return [finding["box"] for finding in row["findings"] if finding["kind"] in kinds]


def find_image(name, folder, row):
    """The file of a row of the truth."""
    path = {
        "mimic_cxr": lambda: f"files/*/*/s{row['study_id']}/{row['dicom_id']}.jpg",
        "chexpert": lambda: row["Path"].removeprefix("CheXpert-v1.0-small/"),
        "rsna_pneumonia": lambda: f"stage_2_train_images/{row['patientId']}.dcm",
        "covidx": lambda: f"*/{row['file_name']}",
        "object_cxr": lambda: f"*/{row['image_name']}",
        "siim_pneumothorax": lambda: f"dicom-images-train/*/*/{row['ImageId']}.dcm",
        "iu_xray": lambda: f"NLMCXR_png/{row['image_id']}.png",
        "chexpert_plus": lambda: f"PNG/*/{row['path_to_image'].removesuffix('.jpg')}.png",
        "padchest": lambda: f"*/{row['ImageID']}",
        "nih_chestxray14": lambda: f"images_*/images/{row['Image Index']}",
        "covid_chestxray": lambda: f"images/{row['filename'].replace('[', '[[]')}",
        "vindr_cxr": lambda: f"*/{row['image_id']}.dicom",
        "shenzhen": lambda: f"CXR_png/{row['image_id']}.png",
        "montgomery": lambda: f"CXR_png/{row['image_id']}.png",
    }[name]()
    (found,) = Path(folder).glob(path)
    return found
