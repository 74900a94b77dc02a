"""The prepared folder, ``data/<name>/``: one definition for what writes it, checks it and reads it.

``train.json``, ``val.json`` and ``test.json`` have an entry for each image (:func:`entry_fault`), with the row of
``images.npy`` that it is (:func:`open_store`). Where there are boxes, ``detection/`` has them in COCO's format
(:func:`coco_fault`), where there are masks, ``segmentation/`` lists the images of ``images/`` and ``masks/``. The lists
of ``subsets/`` name training images, ``tokenizer/`` is made of their reports, and ``manifest.json`` seals it all.
"""

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mgca_mm.bounds import read_json, size_of
from mgca_mm.errors import UserError
from mgca_mm.files import is_inside

DATA_SETS = (
    *("mimic_cxr", "chexpert", "rsna_pneumonia", "covidx", "object_cxr", "siim_pneumothorax", "iu_xray"),
    *("covid_chestxray", "chexpert_plus", "padchest", "nih_chestxray14", "vindr_cxr", "shenzhen", "montgomery"),
    *("image_report_csv", "labels_csv", "coco", "masks"),
)
SCHEMA_VERSION = 2
MANIFEST = "manifest.json"
SPLITS = ("train", "val", "test")
STORE = "images.npy"
REJECTED = "rejected.csv"  # what was left out, and why
SUSPICIOUS = "suspicious.csv"  # what shows nearly nothing
# Percent and seed of each list of training images.
SUBSETS = {f"train_{percent}pct_seed{seed}": (percent, seed) for percent in (1, 10) for seed in (42, 43, 44)}
# By task: where the names of the classes stand.
OWN_CLASSES = {
    "classification": "train.json",
    "detection": "detection/train.json",
    "segmentation": "segmentation/classes.txt",
}
_PLACES = {"image_index", "img_path", "raw_path"}
_TEXTS = {"image_id", "patient_id", "study_id", "view", "raw_path"}
_KNOWN = _PLACES | _TEXTS | {"report", "labels"}
_LABELS = {1, 0, -1, None}
# What numpy writes before the pixels, and nothing else: its own reader runs the header through Python's parser.
_HEADER = re.compile(
    rb"{'descr': '\|u1', 'fortran_order': False, 'shape': \(([1-9]\d{0,11}), ([1-9]\d{0,5}), \2\), } *\n"
)
_MAGIC = b"\x93NUMPY\x01\x00"


def load_prepared(ann_file: str, required: Sequence[str] = ()) -> tuple[dict, list[dict]]:
    """Read an annotation file of a prepared folder.

    Args:
        ann_file: ``train.json``, ``val.json`` or ``test.json`` of the folder.
        required: Keys each entry must have besides ``image_id`` and its image.

    Returns:
        The file's ``metainfo``, with the folder's ``words`` (:func:`words_of`), and its entries with ``data_root`` and
        either ``image_store`` or the full ``img_path``.

    Raises:
        UserError: If the file is missing, is not in the prepared format, names an image twice, or was made without
            images.
    """
    require_prepared(ann_file)
    metainfo, entries = read_annotations(ann_file)
    root = Path(ann_file).parent
    metainfo["words"] = words_of(root)
    for number, entry in enumerate(entries):
        fault = entry_fault(entry, metainfo.get("classes"), required)
        if fault is None and "raw_path" in entry:
            fault = "lacks an image: it was prepared with --annotations-only"
        if fault:
            raise UserError(f"'{ann_file}', entry {number} {fault}.\nPrepare the data set again with mgca-mm prepare.")
        entry["data_root"] = str(root)
        if "img_path" in entry:
            entry["img_path"] = str(root / entry["img_path"])
        else:
            entry["image_store"] = str(root / STORE)
    if len({entry["image_id"] for entry in entries}) < len(entries):
        raise UserError(f"'{ann_file}' names an image twice.\nPrepare the data set again with mgca-mm prepare.")
    return metainfo, entries


def words_of(data_root: str | os.PathLike | None) -> str:
    """Which words the reports of a prepared folder have, ``ascii`` or ``unicode``; ``ascii`` where nothing says so.

    See :func:`mgca_mm.reports.cleaning.clean_text`.
    """
    path = None if data_root is None else Path(data_root, MANIFEST)
    manifest = read_json(path) if path and path.is_file() else None
    parameters = manifest.get("parameters") if isinstance(manifest, dict) else None
    return "unicode" if isinstance(parameters, dict) and parameters.get("words") == "unicode" else "ascii"


def require_prepared(ann_file: str | Path) -> None:
    """Raise a :class:`UserError` with the command that makes an annotation file, if it does not exist."""
    ann_file = Path(ann_file)
    if not ann_file.is_file():
        folder = ann_file.parent
        name = folder.name if folder.name in DATA_SETS else "NAME"
        raise UserError(
            f"Annotation file '{ann_file}' does not exist.\n"
            f"Make it: mgca-mm prepare {name} --raw DIR --out {folder}\n"
            "or point to prepared data: --cfg-options data_root=DIR"
        )


def read_annotations(ann_file: str | os.PathLike) -> tuple[dict, list]:
    """The ``metainfo`` of an annotation file, and its entries, which may be anything.

    Raises:
        UserError: If it cannot be read or has no such parts.
    """
    content = read_json(ann_file)
    if not isinstance(content, dict) or not isinstance(content.get("data_list"), list):
        fault = "it needs 'metainfo' and a list 'data_list'"
    else:
        fault = metainfo_fault(content.get("metainfo"))
    if fault:
        raise UserError(f"'{ann_file}' is not an annotation file: {fault}.\nMake it with mgca-mm prepare.")
    return content["metainfo"], content["data_list"]


def read_names(path: str | os.PathLike) -> list[str]:
    """Images of a list of ``subsets/`` or ``segmentation/``, one a line; ``OSError`` if it cannot be read."""
    return Path(path).read_text(encoding="utf-8", errors="surrogateescape").splitlines()


def read_classes(data_root: str | os.PathLike, task: str) -> tuple[list[str], bool]:
    """Classes of a prepared folder.

    Args:
        data_root: The folder.
        task: ``classification``, ``detection`` or ``segmentation``.

    Returns:
        Their names, of masks the background first, and whether they exclude one another: exactly one of the labels is
        true of an image, or a pixel has one of more than two classes.

    Raises:
        UserError: There is no such folder, or it has no such labels, boxes or masks.
    """
    path = Path(data_root, OWN_CLASSES[task])
    require_prepared(Path(data_root, "train.json"))
    if not path.is_file():
        raise UserError(
            f"'{data_root}' has nothing for the {task}: there is no {OWN_CLASSES[task]}.\n"
            "Its data set has other annotations; point to another one: --cfg-options data_root=DIR"
        )
    if task == "classification":
        metainfo, _ = read_annotations(path)
        classes, exclusive = metainfo.get("classes") or [], bool(metainfo.get("exclusive"))
    elif task == "detection":
        content = read_json(path)
        if fault := coco_fault(content):
            raise UserError(f"'{path}' is not in COCO's format: it {fault}.\nPrepare the data set again.")
        classes, exclusive = [category["name"] for category in content["categories"]], False
    else:
        classes = read_names(path)
        exclusive = len(classes) > 2
    if not classes:
        raise UserError(f"'{path}' names no class.\nFor labels of your own: mgca-mm prepare labels_csv")
    return classes, exclusive


def metainfo_fault(metainfo: object) -> str | None:
    """What is wrong with the ``metainfo`` of an annotation file; None for nothing.

    Its values are texts, numbers and lists of texts; ``classes``, if any, are different texts.
    """
    if not isinstance(metainfo, dict):
        return "'metainfo' must be a dictionary"
    classes = metainfo.get("classes")
    if classes is not None and not (_are_texts(classes) and len(set(classes)) == len(classes)):
        return "the 'classes' must be a list of different names"
    plain = (str, int, float, type(None))
    strange = [key for key, value in metainfo.items() if not (isinstance(value, plain) or _are_texts(value))]
    return f"{strange[0]!r} of its metainfo must be a text, a number or a list of texts" if strange else None


def entry_fault(entry: object, classes: Sequence[str] | None, required: Sequence[str] = ()) -> str | None:
    """What is wrong with an entry of an annotation file; None for nothing.

    Args:
        entry: As json has it.
        classes: Names of the labels; None where the file has none.
        required: Keys it must have besides ``image_id`` and one of ``image_index``, ``img_path``, ``raw_path``.

    Returns:
        A clause without any value of the entry, which may be a text about a patient.
    """
    if not isinstance(entry, dict):
        return "is no dictionary"
    places = entry.keys() & _PLACES
    missing = [key for key in ("image_id", *required) if key not in entry]
    missing += [] if places else ["image_index or img_path"]
    if missing:
        return f"lacks {', '.join(missing)}"
    if len(places) > 1:
        return f"has {' and '.join(sorted(places))}: one is expected"
    for key in entry.keys() & _TEXTS:
        if not (isinstance(entry[key], str) and entry[key]):
            return f"has no text as {key}"
    if "image_index" in entry and not (type(entry["image_index"]) is int and entry["image_index"] >= 0):
        return "has an image_index that is no number of a row"
    path = entry.get("img_path", ".")
    if not (isinstance(path, str) and path and is_inside(path)):
        return "has an img_path that is no file within the folder"
    if "report" in entry and not _is_report(entry["report"]):
        return "has a report that is no list of sentences"
    if "labels" in entry and not _are_labels(entry["labels"], len(classes or ())):
        return "has labels other than one of 1, 0, -1, null for each of the classes"
    if "image_store" in entry:  # which would be another folder's
        return "has an image_store"
    if not all(_is_shallow(entry[key]) for key in entry.keys() - _KNOWN):  # MMEngine copies each entry
        return "has a value of its own that is nested too deep"
    return None


def coco_fault(content: object) -> str | None:
    """What is wrong with a file in COCO's format, which mmdet and pycocotools take as it is; None for nothing."""
    if not isinstance(content, dict):
        return "must be a dictionary"
    parts = ("images", "annotations", "categories")
    images, boxes, categories = (content.get(part) for part in parts)
    for part in parts:
        entries = content.get(part)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            return f"needs a list of dictionaries '{part}'"
        ids = [entry.get("id") for entry in entries]
        if not all(type(number) is int for number in ids) or len(set(ids)) < len(ids):
            return f"needs different whole numbers as 'id' of its {part}"
    for number, image in enumerate(images):
        sizes = [image.get(side) for side in ("height", "width")]
        if not all(size is None or (type(size) is int and size > 0) for size in sizes):
            return f"has no size of image {number}"
        if not isinstance(image.get("file_name"), str) or "\0" in image["file_name"]:
            return f"has no 'file_name' of image {number}"
    if not all(isinstance(category.get("name"), str) for category in categories):
        return "has a category without a name"
    image_ids, category_ids = ({entry["id"] for entry in entries} for entries in (images, categories))
    for number, box in enumerate(boxes):
        sides = box.get("bbox")
        if not isinstance(sides, list) or len(sides) != 4 or not all(map(_is_finite, sides)):
            return f"has no four numbers as 'bbox' of annotation {number}"
        ids = box.get("image_id"), box.get("category_id")
        if not all(type(found) is int for found in ids) or ids[0] not in image_ids or ids[1] not in category_ids:
            return f"has no such image or category as annotation {number} names"
        if not _is_finite(box.get("area", 0)) or box.get("iscrowd", 0) not in (0, 1):
            return f"has an invalid 'area' or 'iscrowd' of annotation {number}"
    return None


def open_store(path: str | os.PathLike) -> np.ndarray:
    """Memory map (N, S, S) uint8 of ``images.npy``, read-only.

    Raises:
        UserError: It is missing, is no such array as the preparation writes, or has another size than its header says.
    """
    num_bytes = size_of(path)
    try:
        with open(path, "rb") as file:
            magic, length = file.read(len(_MAGIC)), int.from_bytes(file.read(2), "little")
            header = _HEADER.fullmatch(file.read(length))
            start = file.tell()
    except OSError as error:
        raise UserError(f"Image store '{path}' cannot be read: {error.strerror}") from error
    count, side = (int(number) for number in header.groups()) if header else (0, 0)
    if magic != _MAGIC or header is None or start + count * side**2 != num_bytes:
        raise UserError(
            f"Image store '{path}' is damaged: it is no NumPy array of uint8 (N, S, S), or cut off.\n"
            "Prepare the data set again with mgca-mm prepare."
        )
    return np.memmap(path, np.uint8, "r", start, (count, side, side))


def row_of(store: np.ndarray, index: int, path: str | os.PathLike) -> np.ndarray:
    """An image (S, S) of a store, not copied.

    Raises:
        UserError: The store has no such row.
    """
    if not 0 <= index < len(store):
        raise UserError(
            f"Image store '{path}' has {len(store)} images, and its annotation file asks for number {index}.\n"
            "Prepare the data set again with mgca-mm prepare."
        )
    return store[index]


def _is_report(value: object) -> bool:
    sentences = [value] if isinstance(value, str) else value
    return _are_texts(sentences) and bool(sentences) and all(sentences)


def _is_shallow(value: object, depth: int = 5) -> bool:
    if not isinstance(value, dict | list):
        return True
    parts = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(part, depth - 1) for part in parts)


def _is_finite(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_texts(values: object) -> bool:
    return isinstance(values, list) and set(map(type, values)) <= {str}


def _are_labels(values: object, count: int) -> bool:
    # bool is a kind of int, and nan equals nothing.
    kinds = isinstance(values, list) and set(map(type, values)) <= {int, type(None)}
    return kinds and len(values) == count and _LABELS.issuperset(values)
