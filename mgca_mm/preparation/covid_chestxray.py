"""covid-chestxray-dataset (Cohen et al., 2020): radiographs with clinical notes, as its repository lays them out.

The text is ``clinical_notes`` alone. ``other_notes`` holds credits ("Case courtesy of …") in all but three of the 155
rows of the redistributable part that have it: nothing about the image, and names of people. Some images have boxes of
the two lungs, some masks of both; neither needs a note.
"""

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.files import is_inside
from mgca_mm.progress import tracked
from mgca_mm.radiographs.headers import refuse_huge
from mgca_mm.reports import cleaning as reports
from mgca_mm.reports.markup import plain_text
from mgca_mm.tables import Row, read_table

from .collection import Box, Collection, FilterLog, Rejected, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import divide

_METADATA = "metadata.csv"
_BOXES = "annotations/imageannotation_ai_lung_bounding_boxes.json"
_MASKS = "annotations/lungVAE-masks"
_REMEDY = (
    "Expected: metadata.csv beside images/ and annotations/. "
    "It is part of the data set: https://github.com/ieee8023/covid-chestxray-dataset"
)
_COLUMNS = ("patientid", "finding", "view", "modality", "filename", "clinical_notes")
_CLASSES = ["COVID-19"]
_CATEGORIES = ["Right Lung", "Left Lung"]
_NO_FINDING_GIVEN = ("", "todo", "unknown")  # Rows their authors have not labeled yet; not the same as "No Finding".


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table, the boxes and the masks the preparation depends on."""
    sources = {_METADATA: [raw.table(_METADATA, remedy=_REMEDY)]}
    boxes = raw.optional(_BOXES)
    if boxes is not None:
        sources[_BOXES] = [boxes]
    return sources | {_MASKS: _find_masks(raw)}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Filter the rows of the metadata and divide their patients 70/10/20.

    The raw set has no studies. The images of one patient described by the same note are one here, which is what a
    study is to MIMIC-CXR: several images, one report.

    A row without a patient is dropped: nothing would keep its patient out of another split. Some images stand in the
    table twice, under different patients: these are one patient (see :func:`_merge_patients`), and the first of such
    rows that has a note is kept.
    """
    metadata = raw.table(_METADATA, remedy=_REMEDY)
    # Read twice: the rows of all columns would take many times the size of the file.
    patient_of = _merge_patients((row["filename"], row["patientid"]) for row in _rows(metadata) if row["patientid"])
    annotated = _read_boxes(raw)
    masks = {path.name for path in _find_masks(raw)}

    filters = FilterLog("rows in the metadata")
    candidates: dict[str, Sample] = {}
    studies: dict[tuple[str, ...], str] = {}
    num_studies: dict[str, int] = {}
    faults: dict[str, str] = {}  # why a note is none, by image
    for row in tracked(_rows(metadata), "reports"):
        filters.keep("rows in the metadata")
        if not filters.keep("modality X-ray", row["modality"] == "X-ray"):
            continue
        # Of os: that of pathlib raises an error for a name too long. What is there and no image is rejected later.
        exists = options.annotations_only or os.path.lexists(raw.path / row["path"])
        # PA or AP, whatever the patient's position ("AP Supine", "AP semi erect").
        is_frontal = row["view"].upper().split()[:1] in (["PA"], ["AP"])
        if not (
            filters.keep("image file exists", exists)
            and filters.keep("frontal view", is_frontal)
            and filters.keep("patient given", bool(row["patientid"]))
        ):
            continue
        image_id = row["filename"]
        note = plain_text(row["clinical_notes"])
        sentences = reports.clean_text(note, options.words)
        faults[image_id] = reports.too_short(note, options.words)
        has_note = reports.count_tokens(sentences) >= reports.MIN_TOKENS
        is_new = filters.keep("one row an image", image_id not in candidates)
        if not is_new and (candidates[image_id].report is not None or not has_note):
            continue
        patient = patient_of[row["patientid"]]
        key = (patient, *sentences) if has_note else (patient, image_id)
        if key not in studies:
            num_studies[patient] = num_studies.get(patient, 0) + 1
            studies[key] = f"{patient}-{num_studies[patient]}"
        shape, boxes = annotated.get(image_id, (None, None))
        mask = f"{PurePosixPath(image_id).stem}_mask.png"
        candidates[image_id] = Sample(
            image_id=image_id,
            patient_id=patient,
            study_id=studies[key],
            view=row["view"],
            report=sentences if has_note else None,
            image_path=row["path"],
            labels=[_covid_label(row["finding"])],
            shape=shape,
            boxes=boxes,
            mask=[f"{_MASKS}/{mask}"] if mask in masks else None,
        )
    samples, rejected = [], []
    for sample in candidates.values():
        is_used = (sample.report, sample.boxes, sample.mask) != (None, None, None)
        if filters.keep(f"note of {reports.MIN_TOKENS} tokens, box or mask", is_used):
            samples.append(sample)
        else:
            rejected.append(Rejected(sample.image_id, sample.image_path, False, faults[sample.image_id]))
    split_of = divide(list(dict.fromkeys(sample.patient_id for sample in samples)), 0.3, 2 / 3, metadata)
    for index, sample in enumerate(samples):
        splits = (split_of[sample.patient_id],)
        samples[index] = replace(
            sample,
            splits=splits if sample.report is not None else (),
            dense_splits=splits if (sample.boxes, sample.mask) != (None, None) else (),
        )
    return Collection(
        samples,
        filters,
        _CLASSES,
        categories=_CATEGORIES if annotated else None,
        mask_classes=["background", "lung"] if masks else None,
        rejected=rejected,
    )


def _rows(metadata: Path) -> Iterator[Row]:
    """The rows of the table, with the path of the image in the raw folder."""
    for row in read_table(metadata, _COLUMNS):
        folder = PurePosixPath(row.get("folder") or "images")
        if not is_inside(folder):
            raise row.fault("column 'folder' leads out of the data set")
        row["path"] = str(folder / row.file_name("filename"))
        yield row


def _find_masks(raw: RawFolder) -> list[Path]:
    """The files of the masks, in order."""
    return sorted(raw.optional(f"{_MASKS}/{path.name}") for path in raw.file(_MASKS).glob("*.png"))


def _read_boxes(raw: RawFolder) -> dict[str, tuple[tuple[int, int], list[Box]]]:
    """Shape and boxes of each annotated image; none where the file is missing."""
    path = raw.optional(_BOXES)
    if path is None:
        return {}
    place = str(path)
    content = read_json(path)
    try:
        name_of: dict[int, str] = {}
        found: dict[str, tuple[tuple[int, int], list[Box]]] = {}
        for image in content["images"]:
            name, shape = str(image["file_name"]), (int(image["height"]), int(image["width"]))
            refuse_huge(*shape)
            if image["id"] in name_of or name in found or min(shape) < 1:
                raise ValueError("an image without an extent, or given twice")
            name_of[image["id"]], found[name] = name, (shape, [])
        categories = {entry["id"]: _CATEGORIES.index(entry["name"]) for entry in content["categories"]}
        for number, entry in enumerate(content["annotations"]):
            place = f"{path}, annotation {number}"
            box = Box(*map(float, entry["bbox"]), categories[entry["category_id"]], place)
            if not (all(map(math.isfinite, box[:4])) and box.width > 0 and box.height > 0):
                raise ValueError("a box without an area")
            found[name_of[entry["image_id"]]][1].append(box)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(
            f"{place}: not in COCO's format (a key is missing, or has another value); copy it again"
        ) from error
    return found


def _merge_patients(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first patient of each group of patients connected by images, by patient, from image and patient of each row.

    The data set has cases that were entered twice under different patients. Kept apart, they would put one patient,
    even one image, into two splits.
    """
    number_of: dict[tuple[str, str], int] = {}
    edges = [
        [number_of.setdefault(node, len(number_of)) for node in (("image", image), ("patient", patient))]
        for image, patient in rows
    ]
    ends = np.array(edges, int).reshape(-1, 2).T
    graph = coo_array((np.ones(len(edges)), tuple(ends)), shape=(len(number_of), len(number_of)))
    _, group = connected_components(graph, directed=False) if edges else (0, ())
    leader: dict[int, str] = {}
    return {name: leader.setdefault(group[n], name) for (kind, name), n in number_of.items() if kind == "patient"}


def _covid_label(finding: str) -> int | None:
    """1 where the finding mentions COVID-19 ("COVID-19, ARDS", "Pneumonia/Viral/COVID-19"); None for no finding."""
    if finding.lower() in _NO_FINDING_GIVEN:
        return None
    return int("covid-19" in finding.lower())
