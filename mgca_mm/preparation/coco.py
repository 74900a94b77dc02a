"""A user's own boxes: images with one json file in COCO's format, or one a split."""

import math
import os
import re
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.files import is_inside

from .collection import Box, Collection, FilterLog, Sample
from .options import Options
from .own_files import SPLIT_WORDS, complete_splits, require_class_names, spell_as_stored
from .raw_folder import RawFolder

_EXPECTED = (
    "Expected one json file in COCO's format, or one a split: train.json, val.json, test.json, also in annotations/, "
    "as annotations/instances_train2017.json, or as train/_annotations.coco.json"
)
# "train", "instances_train2017"; of the folder where the file's name says nothing.
_SPLIT = re.compile(r"(?:instances_)?((train|validation|valid|val|test)\d*)")


class _File(NamedTuple):
    """A json file, its split (None for all of them), and the folder that COCO would have its images in."""

    path: Path
    split: str | None
    folder: str


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The json files."""
    return {str(file.path.relative_to(raw.path)): [file.path] for file in _find_files(raw)}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the boxes; without splits the patients are divided, or the images where ``patient`` is not given.

    An image without a box is one without objects. The outlines of objects (``segmentation``) are not read, and boxes
    around a crowd (``iscrowd``), which no metric of ours counts, are left out; notes say how many there were.
    """
    files = _find_files(raw)
    filters = FilterLog("images in the json")
    samples: dict[str, Sample] = {}
    categories: list[str] = []
    num_crowds = num_outlines = 0
    for file in files:
        content = _read(file.path)
        names = _category_names(file.path, content["categories"])
        if categories and set(categories) != set(names.values()):
            raise UserError(
                f"{file.path}: other categories than in {files[0].path.name}\nList all categories in each of the files."
            )
        categories = categories or list(names.values())
        require_class_names(categories, file.path)
        found = _read_images(raw, file, content["images"])
        for sample in found.values():
            if sample.image_id in samples:
                raise UserError(f"{file.path}: an image stands in {files[0].path.name} as well; remove it from one")
            filters.keep("images in the json")
            samples[sample.image_id] = sample
        seen: set[Any] = set()
        for number, entry in enumerate(content["annotations"]):
            place = f"{file.path}, annotation {number}"
            if "id" in entry and _key(entry["id"], place, "id") in seen:
                raise UserError(f"{place}: this id stands twice in the file; remove one of them")
            seen.add(entry.get("id"))
            image, category = (_key(entry.get(key), place, key) for key in ("image_id", "category_id"))
            for key, value, known in (("image_id", image, found), ("category_id", category, names)):
                if value not in known:
                    raise UserError(f"{place}: the file has no such {key}; correct or remove the annotation")
            num_outlines += bool(entry.get("segmentation"))
            if entry.get("iscrowd"):
                num_crowds += 1
                continue
            box = Box(*_corners(entry.get("bbox"), place), categories.index(names[category]), place)
            found[image].boxes.append(box)
    for image_id, sample in samples.items():
        present = {box.category for box in sample.boxes}
        samples[image_id] = replace(sample, labels=[int(index in present) for index in range(len(categories))])
    notes = [f"{num_outlines} outlines (segmentation) are not read: boxes alone"] if num_outlines else []
    notes += [f"{num_crowds} boxes around a crowd (iscrowd) are left out"] if num_crowds else []
    divided = complete_splits(list(samples.values()), files[0].path, notes)
    if not any(sample.boxes for sample in divided if "train" in sample.splits):
        raise UserError(
            f"{files[0].path}: no box on any image of the training split\n"
            "Is it a file of boxes, with the annotations of the training images?"
        )
    if not any(sample.boxes for sample in divided if "val" in sample.splits):
        notes.append("no box on any image of the validation split: a training needs some (--split-list FILE)")
    divided = [replace(sample, dense_splits=sample.splits) for sample in divided]
    return Collection(divided, filters, categories, categories=categories, notes=notes)


def _find_files(raw: RawFolder) -> list[_File]:
    """The json files, those of training first."""
    places = ("*.json", "annotations/*.json", "*/_annotations.coco.json")
    paths = sorted({path for place in places for path in raw.path.glob(place) if path.name[0] != "."})
    # COCO's own folder has key points and captions of the same images beside the boxes.
    paths = [path for path in paths if path.name.startswith("instances_")] or paths
    files = []
    for path in paths:
        raw.optional(path.relative_to(raw.path).as_posix())
        named = _SPLIT.fullmatch(path.stem.lower()) or _SPLIT.fullmatch(path.parent.name.lower())
        files.append(_File(path, named and SPLIT_WORDS[named[2]], named[1] if named else ""))
    if len(files) == 1:
        # The only file is divided, unless it is one of what nothing can be trained on.
        return [files[0]._replace(split=None if files[0].split == "train" else files[0].split)]
    splits = [file.split for file in files]
    if not files or None in splits or len(set(splits)) < len(splits):
        shown = ", ".join(str(path.relative_to(raw.path)) for path in paths[:10]) or "no json file"
        raise UserError(f"{raw.path}: {shown} in the folder, which are not one file a split\n{_EXPECTED}")
    return sorted(files, key=lambda file: list(SPLIT_WORDS.values()).index(file.split))


def _read(path: Path) -> dict[str, list[dict]]:
    """A file whose three parts are lists of dictionaries."""
    content = read_json(path)
    for part in ("images", "annotations", "categories"):
        entries = content.get(part) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UserError(f"{path}: not in COCO's format: it has no list {part!r} of dictionaries\n{_EXPECTED}")
    if not content["categories"]:
        raise UserError(f"{path}: the list 'categories' is empty; name each category: {{'id': 1, 'name': 'nodule'}}")
    return content


def _category_names(path: Path, entries: list[dict]) -> dict[Any, str]:
    """Name of each category by its id."""
    names: dict[Any, str] = {}
    for number, entry in enumerate(entries):
        place, name = f"{path}, category {number}", entry.get("name")
        if not (isinstance(name, str) and name.strip() and name.isprintable()):
            raise UserError(f"{place}: it has no name; add one: 'name': 'nodule'")
        identifier = _key(entry.get("id"), place, "id")
        if identifier in names or name.strip() in names.values():
            raise UserError(f"{place}: its id or its name stands twice in the file; give each category its own")
        names[identifier] = name.strip()
    return names


def _read_images(raw: RawFolder, file: _File, entries: list[dict]) -> dict[Any, Sample]:
    """A sample without boxes for each image, by its id."""
    samples: dict[Any, Sample] = {}
    seen: set[str] = set()
    patient_key = next((key for key in ("patient", "patient_id") if any(key in entry for entry in entries)), None)
    for number, entry in enumerate(entries):
        place, name = f"{file.path}, image {number}", entry.get("file_name")
        path = str(PurePosixPath(name.replace("\\", "/"))) if isinstance(name, str) and name.strip() else ""
        if not (path and is_inside(path) and path.isprintable()):
            raise UserError(f"{place}: 'file_name' is not a path inside the folder; correct it")
        identifier = _key(entry.get("id"), place, "id")
        if identifier in samples or path in seen:
            raise UserError(f"{place}: its id or its file_name stands twice in the file; remove one of them")
        seen.add(path)
        patient = path if patient_key is None else entry.get(patient_key)
        if type(patient) not in (int, str) or not str(patient).strip():
            raise UserError(f"{place}: '{patient_key}' is given of other images, but not of this one; add it")
        found = _find_image(raw, file, path)
        samples[identifier] = Sample(
            image_id=found,
            patient_id=found if patient_key is None else str(patient).strip(),
            image_path=found,
            splits=() if file.split is None else (file.split,),
            shape=_shape(entry, place),
            boxes=[],
        )
    return samples


def _find_image(raw: RawFolder, file: _File, path: str) -> str:
    """Where an image lies: beside its json, in ``images/``, or in the folder of its split, here or in ``images/``.

    The first of these places if it is in none; that it is missing is found out later, with the others.
    """
    beside = file.path.parent.relative_to(raw.path)
    places = [PurePosixPath(folder, path) for folder in ("images", "", beside, f"images/{file.folder}", file.folder)]
    spelled = [spell_as_stored(raw, str(place)) for place in places]
    return next((place for place in spelled if os.path.lexists(raw.path / place)), str(places[0]))


def _shape(entry: dict, place: str) -> tuple[int, int] | None:
    """Height and width that the boxes are made for; None where they are not given."""
    sides = [entry.get(side) for side in ("height", "width")]
    if sides == [None, None]:
        return None
    numbers = [_number(side) for side in sides]
    if any(number != number // 1 or number < 1 for number in numbers):
        raise UserError(f"{place}: 'height' and 'width' are not whole numbers of pixels; correct or remove them")
    return int(numbers[0]), int(numbers[1])


def _corners(value: Any, place: str) -> list[float]:
    """The four numbers of a box, which may be written as texts."""
    numbers = [_number(number) for number in value] if isinstance(value, list) else []
    if len(numbers) != 4 or not all(map(math.isfinite, numbers)):
        raise UserError(f"{place}: 'bbox' is not the four numbers x, y, width, height; correct or remove it")
    return numbers


def _number(value: Any) -> float:
    """A number, which may be written as text; NaN for anything else."""
    try:
        return math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _key(value: Any, place: str, key: str) -> int | str:
    """An identifier."""
    if type(value) not in (int, str):
        raise UserError(f"{place}: {key!r} is no number; correct it")
    return value
