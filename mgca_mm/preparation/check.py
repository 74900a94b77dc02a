"""Checking a prepared folder: is it complete, unchanged, and free of leaks?"""

from collections.abc import Iterable
from pathlib import Path

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.files import is_inside
from mgca_mm.prepared import (
    MANIFEST,
    REJECTED,
    SCHEMA_VERSION,
    SPLITS,
    STORE,
    SUBSETS,
    coco_fault,
    entry_fault,
    open_store,
    read_annotations,
    read_names,
)

from .manifest import fingerprint
from .splits import find_shared_patients


def check(dataset: str, out: Path) -> list[str]:
    """Verify a prepared folder without the raw data.

    Every checksum; every row of every annotation file, and that each row of the image store is used; boxes inside their
    images; no patient in two splits (but for the released protocol, which leaks); subset lists drawn from the training
    images.

    Args:
        dataset: Name of the data set the folder should hold.
        out: The prepared folder.

    Returns:
        One line for each fault, none for an intact folder.
    """
    if not (out / MANIFEST).exists():
        return [f"{MANIFEST}: missing; the preparation has not finished"]
    try:
        manifest = read_json(out / MANIFEST)
        files = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
        parameters = dict(manifest["parameters"])
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return [f"{MANIFEST}: unreadable"]
    faults = []
    if manifest.get("schema_version") != SCHEMA_VERSION:
        faults.append(f"{MANIFEST}: schema version {SCHEMA_VERSION} expected")
    if manifest.get("dataset") != dataset:
        faults.append(f"{MANIFEST}: holds another data set than {dataset}")
    faults += _check_files(out, files)

    has_store = not parameters.get("annotations_only")
    # A part of the prepared data: where its annotation files and lists are, and its entries by split.
    parts = [("", _read_annotations(out, faults, has_store))]
    if any(name.startswith("detection/") for name in files):
        parts.append(("detection/", _read_boxes(out, faults, has_store)))
    if any(name.startswith("segmentation/") for name in files):
        parts.append(("segmentation/", _read_names(out, faults, files, has_store)))
    if has_store:
        faults += _check_store(out, [entry for _, entries in parts for rows in entries.values() for entry in rows])
    for folder, entries in parts:
        if parameters.get("protocol") == "paper":
            faults += _check_patients(folder, entries)
        faults += _check_subsets(out, folder, {entry["image_id"] for entry in entries["train"]})
    # Names in damaged lists may be no text, which a terminal refuses to print.
    return [fault.encode("utf-8", "backslashreplace").decode() for fault in faults]


def _check_files(out: Path, expected: dict[str, tuple[int, str]]) -> list[str]:
    """Compare each file with the manifest, and the manifest with the files there must be."""
    required = [*(f"{split}.json" for split in SPLITS), REJECTED, *(f"subsets/{name}.txt" for name in SUBSETS)]
    faults = [f"{name}: not in the manifest" for name in required if name not in expected]
    for name, (num_bytes, sha256) in expected.items():
        if not is_inside(name):
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


def _read_annotations(out: Path, faults: list[str], has_store: bool) -> dict[str, list[dict]]:
    """Well-formed entries of reports and labels by split; the faults of the others are appended."""
    entries: dict[str, list[dict]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        try:
            metainfo, rows = read_annotations(out / f"{split}.json")
        except UserError:
            faults.append(f"{split}.json: missing or not in MMEngine's annotation format")
            continue
        classes = metainfo.get("classes")
        required = ["patient_id", "image_index" if has_store else "raw_path"]
        required += ([] if classes else ["report"]) + ([] if classes is None else ["labels"])
        for number, row in enumerate(rows):
            if fault := entry_fault(row, classes, required):
                faults.append(f"{split}.json: entry {number} is malformed: it {fault}")
            else:
                entries[split].append(row)
    return entries


def _read_boxes(out: Path, faults: list[str], has_store: bool) -> dict[str, list[dict]]:
    """Images of the COCO files by split; faults of their boxes are appended."""
    entries: dict[str, list[dict]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        name = f"detection/{split}.json"
        try:
            content = read_json(out / name)
            if fault := coco_fault(content):
                faults.append(f"{name}: it {fault}")
                continue
            images = {image["id"]: image for image in content["images"]}
            for image in content["images"]:
                names = image["image_id"], image["patient_id"]
                if not all(isinstance(name, str) for name in names):
                    raise TypeError
                entry = {"image_id": image["image_id"], "patient_id": image["patient_id"]}
                entries[split].append(entry | ({"image_index": image["id"]} if has_store else {}))
            for box in content["annotations"]:
                image, (x, y, width, height) = images[box["image_id"]], box["bbox"]
                # Coordinates are rounded to a thousandth.
                inside = image["width"] is None or (
                    min(x, y) >= -0.01 and x + width <= image["width"] + 0.01 and y + height <= image["height"] + 0.01
                )
                if not (inside and width > 0 and height > 0):
                    faults.append(f"{name}: annotation {box['id']} is empty or outside of its image")
        except (UserError, KeyError, TypeError):
            faults.append(f"{name}: missing or not in COCO's format")
    return entries


def _read_names(out: Path, faults: list[str], files: Iterable[str], has_store: bool) -> dict[str, list[dict]]:
    """Images of the segmentation lists by split; missing images and masks are appended to the faults."""
    entries: dict[str, list[dict]] = {split: [] for split in SPLITS}
    for split in SPLITS:
        name = f"segmentation/{split}.txt"
        try:
            ids = read_names(out / name)
        except OSError:
            faults.append(f"{name}: missing or unreadable")
            continue
        entries[split] = [{"image_id": image_id} for image_id in ids]
        if has_store:
            wanted = (f"{folder}/{image_id}.png" for image_id in ids for folder in ("images", "masks"))
            faults += [f"{name}: {file} is not in the manifest" for file in wanted if file not in files]
    return entries


def _check_store(out: Path, entries: list[dict]) -> list[str]:
    """Whether the store is a square uint8 array in which each image has a row of its own, and each row an image."""
    try:
        store = open_store(out / STORE)
    except UserError:
        return [f"{STORE}: missing or not a NumPy array of uint8 (N, S, S)"]
    faults = []
    image_of_row: dict[int, str] = {}
    for entry in entries:
        index = entry.get("image_index")
        if index is None:
            continue
        if not 0 <= index < len(store):
            faults.append(f"{entry['image_id']} points to row {index} of {len(store)}")
        elif image_of_row.setdefault(index, entry["image_id"]) != entry["image_id"]:
            faults.append(f"{entry['image_id']} points to row {index}, as another image does")
    unused = len(store) - len(image_of_row)
    # Masks have no row number: a set of masks alone has images of which no other file speaks.
    named = {entry["image_id"] for entry in entries} - set(image_of_row.values())
    return faults + ([f"{STORE}: {unused} rows belong to no image"] if unused > len(named) else [])


def _check_patients(folder: str, entries: dict[str, list[dict]]) -> list[str]:
    """Whether each patient, or image where the file names no patients, is in one split."""
    members = {split: {row.get("patient_id", row["image_id"]) for row in rows} for split, rows in entries.items()}
    return [
        f"{folder or 'annotations'}: patient {patient} is in the splits {' and '.join(splits)}"
        for patient, splits in find_shared_patients(members)[:1]
    ]


def _check_subsets(out: Path, folder: str, train_ids: set[str]) -> list[str]:
    """Whether each subset list is there and names training images, each once."""
    faults = []
    for subset in SUBSETS:
        name = f"{folder}subsets/{subset}.txt"
        try:
            ids = read_names(out / name)
        except OSError:
            faults.append(f"{name}: missing or unreadable")
            continue
        strangers = [image_id for image_id in ids if image_id not in train_ids]
        if strangers:
            faults.append(f"{name}: {len(strangers)} images are not in the training split, the first {strangers[0]}")
        if len(set(ids)) < len(ids) or bool(ids) != bool(train_ids):
            faults.append(f"{name}: empty, or an image stands twice in it")
    return faults
