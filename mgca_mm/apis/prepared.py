"""Pairs and images of a prepared folder, for looking at and searching among."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mgca_mm.bounds import read_json
from mgca_mm.datasets.grounding import read_phrases
from mgca_mm.errors import UserError
from mgca_mm.prepared import SPLITS, coco_fault, load_prepared, open_store, row_of
from mgca_mm.radiographs.reading import Placement
from mgca_mm.reports.finding_words import find_mentions

from .inputs import NamedImage

_GROUPS = ("Lung Opacity", "Enlarged Cardiomediastinum")  # of CheXpert's hierarchy (Irvin et al. 2019, Figure 1)


class NamedBox(NamedTuple):
    """A box in pixels of the stored image, and the phrase or class that it is of."""

    x: float
    y: float
    width: float
    height: float
    name: str


class Pair(NamedTuple):
    """One image and what is known of it.

    Attributes:
        image: The image, read when it is needed; its name is the image's id.
        report: Cleaned report, the sentences in a line.
        finding: The only one of its labels that is positive, with none uncertain; None if there is no such. A label
            that names a group of others counts where none of these is there.
        sentences: Cleaned sentences of the report.
        labels: Name → 1 for positive, -1 for uncertain; others are not there.
        boxes: What is marked in the image.
        patient: Whose image it is; None where the folder does not say.
    """

    image: NamedImage
    report: str
    finding: str | None
    sentences: tuple[str, ...] = ()
    labels: dict[str, int] = {}  # noqa: RUF012  nobody changes it
    boxes: tuple[NamedBox, ...] = ()
    patient: str | None = None


def load_pairs(data_root: str | Path, split: str = "test", phrases: str | Path | None = None) -> list[Pair]:
    """All pairs of a split.

    Args:
        data_root: Prepared folder.
        split: ``train``, ``val`` or ``test``.
        phrases: Table of phrases with boxes, MS-CXR's or a phantom's ``phantom-phrases.csv``. The folder's own boxes
            (``detection/``) are there in any case.

    Raises:
        UserError: The folder is not prepared, or holds no reports; a file of boxes is missing or malformed.
    """
    ann_file = Path(data_root) / f"{split}.json"
    metainfo, rows = load_prepared(str(ann_file), ("report",))
    classes = metainfo.get("classes") or []
    if not rows:
        raise UserError(f"{data_root}: the split {split} is empty")
    images = _images_of(rows)
    boxes = _own_boxes(Path(data_root), images)
    if phrases is not None:
        for phrase in read_phrases(phrases, ann_file, images, metainfo["words"])[0]:
            place = _placement(images[phrase.image_id], phrase.shape)
            boxes[phrase.image_id] += [NamedBox(*place.of_box(*box, phrase.shape), phrase.text) for box in phrase.boxes]
    pairs = []
    for row in rows:
        report, image_id = row["report"], row["image_id"]
        sentences = (report,) if isinstance(report, str) else tuple(report)
        labels = {name: label for name, label in zip(classes, row.get("labels") or [], strict=False) if label}
        found = tuple(boxes.get(image_id, ()))
        finding, patient = _only_finding(labels), row.get("patient_id")
        pairs.append(Pair(images[image_id], " ".join(sentences), finding, sentences, labels, found, patient))
    return pairs


def load_frontal(data_root: str | Path, count: int) -> tuple[list[NamedImage], list[str]]:
    """Frontal radiographs of all splits, whether there are reports or not; those of unknown view count.

    Args:
        data_root: Prepared folder.
        count: How many at most, drawn at random but always the same.

    Returns:
        The images, and whose they are.

    Raises:
        UserError: The folder is not prepared, or has no such image.
    """
    rows = [row for split in SPLITS for row in load_prepared(str(Path(data_root) / f"{split}.json"))[1]]
    rows = [row for row in rows if not row.get("view", "").upper().startswith("L")]  # L, LL, LATERAL
    if not rows:
        raise UserError(f"{data_root}: there is no frontal radiograph")
    drawn = np.random.default_rng(0).permutation(len(rows))[:count]
    rows = [rows[number] for number in sorted(drawn)]
    return list(_images_of(rows).values()), [row.get("patient_id", row["image_id"]) for row in rows]


def _images_of(rows: Sequence[dict]) -> dict[str, NamedImage]:
    """Image by its id; mapped into memory, so that a row is read from the disk when somebody looks at it."""
    stores = {path: open_store(path) for path in {row["image_store"] for row in rows if "image_store" in row}}
    images = {}
    for row in rows:
        if path := row.get("image_store"):
            source = row_of(stores[path], row["image_index"], path)
        else:
            source = Path(row["img_path"])
        images[row["image_id"]] = NamedImage(row["image_id"], source)
    return images


def _own_boxes(data_root: Path, image_ids: Collection[str]) -> defaultdict[str, list[NamedBox]]:
    """The boxes of some images in the folder's files for detection, which may be divided otherwise than the pairs."""
    boxes = defaultdict(list)
    for path in (data_root / "detection" / f"{split}.json" for split in SPLITS):
        if not path.is_file():
            continue
        content = read_json(path)
        if fault := coco_fault(content):
            raise UserError(f"'{path}' is not in COCO's format: it {fault}.\nPrepare the data set again.")
        names = {category["id"]: category["name"] for category in content["categories"]}
        image_id_of = {image["id"]: str(image.get("image_id")) for image in content["images"]}
        for box in content["annotations"]:
            if (image_id := image_id_of[box["image_id"]]) in image_ids:
                boxes[image_id].append(NamedBox(*box["bbox"], names[box["category_id"]]))
    return boxes


def _placement(image: NamedImage, shape: tuple[int, int]) -> Placement:
    """Where a raw image of this shape lies in the stored one: padded in the store's square, or resized in a file."""
    if isinstance(image.source, Path):
        return Placement(*image.read().shape, top=0, left=0)
    return Placement.of(*shape, size=len(image.source))


def findings_of(pair: Pair) -> list[str]:
    """What is there: by the labels, of which a group counts where none of its own does; without any, by the report."""
    if not pair.labels:
        said = (mention.finding for mention in find_mentions(pair.sentences) if not mention.is_negated)
        return list(dict.fromkeys(said))
    found = [name for name, label in pair.labels.items() if label == 1 and name != "No Finding"]
    return [name for name in found if name not in _GROUPS] or found


def _only_finding(labels: dict[str, int]) -> str | None:
    """Of the labels that are positive (1) or uncertain (-1)."""
    narrow = {name: label for name, label in labels.items() if name not in _GROUPS} or labels
    return next(iter(narrow)) if list(narrow.values()) == [1] else None
