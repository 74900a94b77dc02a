"""Checking a prepared folder: is it complete, unchanged, and free of leaks?"""

from collections.abc import Container, Iterator
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
    parts: dict[str, dict[str, list[dict]]] = {}
    for folder, (ending, kind, read) in _PARTS.items():
        if folder and not any(name.startswith(folder) for name in files):
            continue
        parts[folder] = {split: [] for split in SPLITS}
        for split, entries in parts[folder].items():
            name = f"{folder}{split}.{ending}"
            try:
                for fault in read(out / name, entries, has_store, files):
                    faults.append(f"{name}: {fault}")
            except (UserError, OSError, KeyError, TypeError):
                faults.append(f"{name}: missing or {kind}")
    if has_store:
        faults += _check_store(out, [entry for splits in parts.values() for rows in splits.values() for entry in rows])
    for folder, splits in parts.items():
        if parameters.get("protocol") == "paper":
            faults += _check_patients(folder, splits)
        faults += _check_subsets(out, folder, {entry["image_id"] for entry in splits["train"]})
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


def _read_annotations(path: Path, entries: list[dict], has_store: bool, _: Container[str]) -> Iterator[str]:
    """Add the well-formed entries of reports and labels; the faults of the others."""
    metainfo, rows = read_annotations(path)
    classes = metainfo.get("classes")
    required = ["patient_id", "image_index" if has_store else "raw_path"]
    required += ([] if classes else ["report"]) + ([] if classes is None else ["labels"])
    for number, row in enumerate(rows):
        if fault := entry_fault(row, classes, required):
            yield f"entry {number} is malformed: it {fault}"
        else:
            entries.append(row)


def _read_boxes(path: Path, entries: list[dict], has_store: bool, _: Container[str]) -> Iterator[str]:
    """Add the images of a COCO file; the faults of their boxes."""
    content = read_json(path)
    if fault := coco_fault(content):
        yield f"it {fault}"
        return
    for image in content["images"]:
        entry = {name: image[name] for name in ("image_id", "patient_id")}
        if not all(isinstance(name, str) for name in entry.values()):
            raise TypeError
        entries.append(entry | ({"image_index": image["id"]} if has_store else {}))
    images = {image["id"]: image for image in content["images"]}
    for box in content["annotations"]:
        image, (x, y, width, height) = images[box["image_id"]], box["bbox"]
        # Coordinates are rounded to a thousandth.
        inside = image["width"] is None or (
            min(x, y) >= -0.01 and x + width <= image["width"] + 0.01 and y + height <= image["height"] + 0.01
        )
        if not (inside and width > 0 and height > 0):
            yield f"annotation {box['id']} is empty or outside of its image"


def _read_names(path: Path, entries: list[dict], has_store: bool, files: Container[str]) -> Iterator[str]:
    """Add the images of a segmentation list; which images and masks are missing."""
    entries += ({"image_id": image_id} for image_id in read_names(path))
    for entry in entries if has_store else ():
        for file in (f"images/{entry['image_id']}.png", f"masks/{entry['image_id']}.png"):
            if file not in files:
                yield f"{file} is not in the manifest"


# Where the files of a part are; their ending, what they are not if they are damaged, and what reads them.
_PARTS = {
    "": ("json", "not in MMEngine's annotation format", _read_annotations),
    "detection/": ("json", "not in COCO's format", _read_boxes),
    "segmentation/": ("txt", "unreadable", _read_names),
}


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
