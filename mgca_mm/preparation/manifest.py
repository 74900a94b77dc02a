"""The manifest that seals a prepared folder: what was kept and why, and a checksum of every file."""

import hashlib
import json
import os
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import cv2

from mgca_mm.version import __version__

from .collection import SPLITS, Collection, Sample, find_shared_patients, group_by_split
from .image_store import PROGRESS

SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
_PACKAGES = ("numpy", "scikit-learn", "tokenizers", "transformers", "pydicom", "python-gdcm", "pillow")


def build_manifest(folder: Path, key: dict, collection: Collection) -> dict:
    """Describe and fingerprint the files of a folder.

    Args:
        folder: The prepared files; every file in it is described but those of a preparation at work.
        key: What decides the result: schema version, data set, parameters and fingerprints of the raw tables.
        collection: What was prepared.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != PROGRESS)
    leaks = {
        name: len(find_shared_patients({split: {s.patient_id for s in groups[split]} for split in SPLITS}))
        for name, groups in (
            ("splits", group_by_split(collection.samples)),
            ("dense_splits", group_by_split(collection.samples, dense=True)),
        )
    }
    return {
        **key,
        "protocol": key["parameters"]["protocol"],
        "filters": collection.filters.counts(),
        "rejected": {
            "broken": sum(row.broken for row in collection.rejected),
            "without_text": sum(not row.broken for row in collection.rejected),
        },
        "total": count_all(collection),
        "splits": count_splits(collection),
        "dense_splits": count_dense_splits(collection),
        "patients_in_several_splits": leaks,
        "notes": collection.notes,
        "files": {path.relative_to(folder).as_posix(): fingerprint([path]) for path in files},
        # OpenCV is asked itself: it is distributed under four names.
        "versions": {"mgca_mm": __version__, "python": platform.python_version(), "opencv": cv2.__version__}
        | {package: version(package) for package in _PACKAGES},
    }


def count_splits(collection: Collection) -> dict[str, dict[str, int]]:
    """Images, studies, patients and positives of each class, by split of the image-level annotations."""
    groups = group_by_split(collection.samples)
    return {split: _count(groups[split], collection.classes or []) for split in SPLITS}


def count_dense_splits(collection: Collection) -> dict[str, dict[str, int]]:
    """Images, patients, boxes and masks, by split of the dense annotations; nothing where there are none."""
    if collection.categories is None and collection.mask_classes is None:
        return {}
    groups = group_by_split(collection.samples, dense=True)
    return {split: _count(groups[split], []) | _count_dense(groups[split], collection) for split in SPLITS}


def count_all(collection: Collection) -> dict[str, int]:
    """The same counts over all images, those without a split included."""
    return _count(collection.samples, collection.classes or []) | _count_dense(collection.samples, collection)


def _count(samples: Sequence[Sample], classes: Sequence[str]) -> dict[str, int]:
    counts = {"images": len(samples)}
    if any(sample.study_id is not None for sample in samples):
        counts["studies"] = len({sample.study_id for sample in samples})
    counts["patients"] = len({sample.patient_id for sample in samples})
    return counts | {
        f"positive: {name}": sum(sample.labels[index] == 1 for sample in samples) for index, name in enumerate(classes)
    }


def _count_dense(samples: Sequence[Sample], collection: Collection) -> dict[str, int]:
    counts = {}
    if collection.categories is not None:
        counts["images with boxes"] = sum(bool(sample.boxes) for sample in samples)
        counts["boxes"] = sum(len(sample.boxes or ()) for sample in samples)
    if collection.mask_classes is not None:
        counts["images with a mask"] = sum(sample.mask is not None for sample in samples)
    return counts


def write_json_durably(path: Path, content: dict) -> None:
    """Write a json file such that it is whole or not there at all, even after a power failure."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="ascii") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def fingerprint(paths: Sequence[Path]) -> dict[str, int | str]:
    """Size and SHA-256 of a file, or of several one after the other."""
    digest = hashlib.sha256()
    num_bytes = 0
    for path in paths:
        with open(path, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                num_bytes += len(block)
    return {"bytes": num_bytes, "sha256": digest.hexdigest()}


def fingerprint_sources(sources: Mapping[str, Sequence[Path]]) -> dict[str, dict]:
    """Fingerprints of the raw tables by name; a name may stand for many files."""
    return {name: {"files": len(paths), **fingerprint(paths)} for name, paths in sources.items()}
