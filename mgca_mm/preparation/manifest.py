"""The manifest that seals a prepared folder: what was kept and why, and a checksum of every file."""

import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import cv2

from mgca_mm.files import sha256_of
from mgca_mm.prepared import SPLITS
from mgca_mm.version import __version__

from .collection import Collection, Sample, group_by_split
from .image_store import PROGRESS
from .splits import find_leaks

_PACKAGES = ("numpy", "scikit-learn", "tokenizers", "transformers", "pydicom", "python-gdcm", "pillow")


def build_manifest(folder: Path, key: dict, collection: Collection) -> dict:
    """Describe and fingerprint the files of a folder.

    Args:
        folder: The prepared files; every file in it is described but those of a preparation at work.
        key: What decides the result: schema version, data set, parameters and fingerprints of the raw tables.
        collection: What was prepared.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != PROGRESS)
    samples, classes = collection.samples, collection.classes
    groups, dense_groups = group_by_split(samples), group_by_split(samples, dense=True)
    has_dense = (collection.categories, collection.mask_classes) != (None, None)
    return {
        **key,
        "protocol": key["parameters"]["protocol"],
        "filters": collection.filters.counts(),
        "rejected": {
            "broken": sum(row.broken for row in collection.rejected),
            "without_text": sum(not row.broken for row in collection.rejected),
        },
        "total": _count(samples, classes) | _count_dense(samples, collection),
        "splits": {split: _count(groups[split], classes) for split in SPLITS},
        "dense_splits": {
            split: _count(dense_groups[split]) | _count_dense(dense_groups[split], collection)
            for split in (SPLITS if has_dense else ())
        },
        "patients_in_several_splits": {
            "splits": len(find_leaks(samples)),
            "dense_splits": len(find_leaks(samples, dense=True)),
        },
        "notes": collection.notes,
        **({} if collection.words is None else {"words": collection.words.summary()}),
        "files": {path.relative_to(folder).as_posix(): fingerprint(path) for path in files},
        # OpenCV is asked itself: it is distributed under four names.
        "versions": {"mgca_mm": __version__, "python": platform.python_version(), "opencv": cv2.__version__}
        | {package: version(package) for package in _PACKAGES},
    }


def _count(samples: Sequence[Sample], classes: Sequence[str] | None = None) -> dict[str, int]:
    """Images, studies, patients, and positives of each class."""
    counts = {"images": len(samples)}
    if any(sample.study_id is not None for sample in samples):
        counts["studies"] = len({sample.study_id for sample in samples})
    counts["patients"] = len({sample.patient_id for sample in samples})
    for index, name in enumerate(classes or ()):
        counts[f"positive: {name}"] = sum(sample.labels[index] == 1 for sample in samples)
    return counts


def _count_dense(samples: Sequence[Sample], collection: Collection) -> dict[str, int]:
    """Boxes and masks; nothing where there can be none."""
    counts = {}
    if collection.categories is not None:
        counts["images with boxes"] = sum(bool(sample.boxes) for sample in samples)
        counts["boxes"] = sum(len(sample.boxes or ()) for sample in samples)
    if collection.mask_classes is not None:
        counts["images with a mask"] = sum(bool(sample.mask) for sample in samples)
    return counts


def fingerprint(*paths: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file, or of several one after the other."""
    return {"bytes": sum(path.stat().st_size for path in paths), "sha256": sha256_of(*paths)}
