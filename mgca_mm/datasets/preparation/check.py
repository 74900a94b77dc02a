"""Checking a prepared folder: is it whole, unchanged, and free of leaks?"""

import json
from pathlib import Path, PurePosixPath

import numpy as np

from .common import SPLITS, find_shared_patient
from .manifest import MANIFEST, SCHEMA_VERSION, SUBSET_PERCENTS, SUBSET_SEEDS, fingerprint

_STRING_FIELDS = ("image_id", "patient_id", "study_id", "view")


def check(dataset: str, out: Path) -> list[str]:
    """Verify a prepared folder without the raw data.

    Every checksum; every row of every annotation file, and that the rows of the image store are used once each; no
    patient in two splits; subset lists drawn from the training images.

    Args:
        dataset: Name of the data set the folder should hold.
        out: The prepared folder.

    Returns:
        One line for each fault, none for a sound folder.
    """
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        files = dict(manifest["files"])
        expected = {name: (entry["bytes"], entry["sha256"]) for name, entry in files.items()}
    except FileNotFoundError:
        return [f"{MANIFEST}: missing; the preparation has not finished"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{MANIFEST}: unreadable"]
    faults = []
    if manifest.get("schema_version") != SCHEMA_VERSION:
        faults.append(f"{MANIFEST}: schema version {SCHEMA_VERSION} expected")
    if manifest.get("dataset") != dataset:
        faults.append(f"{MANIFEST}: holds another data set than {dataset}")
    faults += _check_files(out, expected)
    entries, annotation_faults = _read_annotations(out)
    faults += annotation_faults
    faults += _check_store(out, entries)
    found = find_shared_patient({split: {entry["patient_id"] for entry in entries[split]} for split in SPLITS})
    if found is not None:
        faults.append(f"patient {found[0]} is in the splits {' and '.join(found[1])}")
    return faults + _check_subsets(out, {entry["image_id"] for entry in entries["train"]})


def _subset_names() -> list[str]:
    return [f"subsets/train_{percent}pct_seed{seed}.txt" for percent in SUBSET_PERCENTS for seed in SUBSET_SEEDS]


def _check_files(out: Path, expected: dict[str, tuple[int, str]]) -> list[str]:
    """Compare each file with the manifest, and the manifest with the files there must be."""
    required = ["images.npy", *(f"{split}.json" for split in SPLITS), "tokenizer/tokenizer.json", *_subset_names()]
    faults = [f"{name}: not in the manifest" for name in required if name not in expected]
    for name, (num_bytes, sha256) in expected.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            faults.append(f"{MANIFEST}: names a file outside of the folder")
            continue
        try:
            actual = fingerprint(out / name)
        except (OSError, ValueError):
            faults.append(f"{name}: missing or unreadable")
            continue
        if actual["bytes"] != num_bytes:
            faults.append(f"{name}: {actual['bytes']} bytes, not {num_bytes}")
        elif actual["sha256"] != sha256:
            faults.append(f"{name}: changed since the preparation (checksum)")
    return faults


def _read_annotations(out: Path) -> tuple[dict[str, list[dict]], list[str]]:
    """Well-formed entries by split, and the faults of the others."""
    entries: dict[str, list[dict]] = {split: [] for split in SPLITS}
    faults = []
    for split in SPLITS:
        try:
            content = json.loads((out / f"{split}.json").read_text(encoding="utf-8"))
            rows, classes = list(content["data_list"]), content["metainfo"].get("classes")
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            faults.append(f"{split}.json: missing or not in MMEngine's annotation format")
            continue
        for number, row in enumerate(rows):
            if _is_entry(row, classes):
                entries[split].append(row)
            else:
                faults.append(f"{split}.json: entry {number} is malformed")
    return entries, faults


def _is_entry(row: object, classes: list[str] | None) -> bool:
    """Whether an annotation has all its fields in their types."""
    if not isinstance(row, dict) or not isinstance(row.get("image_index"), int):
        return False
    report = row.get("report")
    return (
        all(isinstance(row.get(field), str) for field in _STRING_FIELDS)
        and isinstance(report, list)
        and bool(report)
        and all(isinstance(sentence, str) and sentence for sentence in report)
        and (
            classes is None
            or (
                isinstance(row.get("labels"), list)
                and len(row["labels"]) == len(classes)
                and all(label in (1, 0, -1, None) for label in row["labels"])
            )
        )
    )


def _check_store(out: Path, entries: dict[str, list[dict]]) -> list[str]:
    """Whether the store is a square uint8 array with one row for each entry."""
    try:
        store = np.load(out / "images.npy", mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return ["images.npy: missing or not a NumPy array"]
    if store.dtype != np.uint8 or store.ndim != 3 or store.shape[1] != store.shape[2]:
        return [f"images.npy: uint8 (N, S, S) expected, found {store.dtype} {store.shape}"]
    faults = []
    used: set[int] = set()
    for split in SPLITS:
        for entry in entries[split]:
            index = entry["image_index"]
            if not 0 <= index < len(store):
                faults.append(f"{split}.json: {entry['image_id']} points to row {index} of {len(store)}")
            elif index in used:
                faults.append(f"{split}.json: {entry['image_id']} points to row {index}, as another entry does")
            used.add(index)
    unused = len(store) - len(used & set(range(len(store))))
    return faults + ([f"images.npy: {unused} rows belong to no entry"] if unused else [])


def _check_subsets(out: Path, train_ids: set[str]) -> list[str]:
    """Whether each subset list is there and names training images, each once."""
    faults = []
    for name in _subset_names():
        try:
            ids = (out / name).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            faults.append(f"{name}: missing or unreadable")
            continue
        strangers = [image_id for image_id in ids if image_id not in train_ids]
        if strangers:
            faults.append(f"{name}: {len(strangers)} images are not in train.json, the first {strangers[0]}")
        if not ids or len(set(ids)) < len(ids):
            faults.append(f"{name}: empty, or an image stands twice in it")
    return faults
