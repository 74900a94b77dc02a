"""What a preparation leaves on the disk: annotation files, subset lists, and the manifest that seals them."""

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np

from mgca_mm.version import __version__

from .common import SPLITS, Sample

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"
SUBSET_PERCENTS = (1, 10)
SUBSET_SEEDS = (42, 43, 44)
_PACKAGES = ("numpy", "scikit-learn", "tokenizers", "transformers")


def write_annotations(
    path: Path, dataset: str, split: str, samples: Iterable[tuple[int, Sample]], classes: list[str] | None
) -> None:
    """Write one split in MMEngine's annotation format, one sample a line.

    Args:
        path: The json file.
        dataset: Name of the data set.
        split: ``train``, ``val`` or ``test``.
        samples: Row in the image store, and sample.
        classes: Names of the labels, or None.
    """
    metainfo = {"dataset": dataset, "split": split} | ({} if classes is None else {"classes": classes})
    with open(path, "w", encoding="ascii") as file:
        # Written sample by sample: as one string, the whole of MIMIC-CXR would be held in memory twice.
        file.write(f'{{"metainfo": {json.dumps(metainfo)}, "data_list": [')
        for number, (image_index, sample) in enumerate(samples):
            entry = {
                "image_index": image_index,
                "image_id": sample.image_id,
                "patient_id": sample.patient_id,
                "study_id": sample.study_id,
                "view": sample.view,
                "report": sample.report,
            }
            if sample.labels is not None:
                entry["labels"] = sample.labels
            file.write(f"{',' if number else ''}\n{json.dumps(entry)}")
        file.write("\n]}\n")


def write_subsets(folder: Path, train: Sequence[Sample]) -> None:
    """Write the lists of 1 % and 10 % of the training images, three seeds each.

    A draw is the head of one permutation, so that the 1 % of a seed are among its 10 %. ``RandomState`` is used because
    NumPy guarantees its stream for ever, which it does not for ``Generator``.

    Args:
        folder: Folder of the lists, which must exist.
        train: Training samples in order.
    """
    for seed in SUBSET_SEEDS:
        order = np.random.RandomState(seed).permutation(len(train))
        for percent in SUBSET_PERCENTS:
            drawn = sorted(order[: max(1, len(train) * percent // 100)])
            lines = "".join(f"{train[index].image_id}\n" for index in drawn)
            (folder / f"train_{percent}pct_seed{seed}.txt").write_text(lines, encoding="utf-8")


def build_manifest(
    folder: Path,
    dataset: str,
    parameters: dict,
    sources: dict,
    filters: list[dict],
    groups: dict[str, list[Sample]],
) -> dict:
    """Describe and fingerprint the files of a folder.

    Args:
        folder: The prepared files; every file in it is described.
        dataset: Name of the data set.
        parameters: Options that change the result.
        sources: Fingerprints of the raw tables, as :func:`fingerprint_sources` gives them.
        filters: Counts of the filter stages in order.
        groups: Samples by split.
    """
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "schema_version": SCHEMA_VERSION,
        "dataset": dataset,
        "protocol": "paper",
        "parameters": parameters,
        "sources": sources,
        "filters": filters,
        "splits": {split: _count(groups[split]) for split in SPLITS},
        "files": {path.relative_to(folder).as_posix(): fingerprint(path) for path in files},
        # OpenCV is asked itself: it is distributed under four names.
        "versions": {"mgca_mm": __version__, "python": platform.python_version(), "opencv": cv2.__version__}
        | {package: version(package) for package in _PACKAGES},
    }


def write_json_durably(path: Path, content: dict) -> None:
    """Write a json file such that it is whole or not there at all, even after a power failure."""
    temporary = path.with_name(f".{path.name}.tmp")
    with open(temporary, "w", encoding="ascii") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def fingerprint(path: Path) -> dict[str, int | str]:
    """Size and SHA-256 of a file."""
    digest = hashlib.sha256()
    num_bytes = 0
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            num_bytes += len(block)
    return {"bytes": num_bytes, "sha256": digest.hexdigest()}


def fingerprint_sources(sources: Iterable[Path]) -> dict[str, dict]:
    """Fingerprints of the raw tables by file name."""
    return {path.name: fingerprint(path) for path in sources}


def _count(samples: list[Sample]) -> dict[str, int]:
    """Images, studies and patients of a split."""
    return {
        "images": len(samples),
        "studies": len({sample.study_id for sample in samples}),
        "patients": len({sample.patient_id for sample in samples}),
    }
