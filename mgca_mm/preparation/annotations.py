"""The annotation files of a prepared folder: reports and labels, boxes, names of images and masks, seeded subsets."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mgca_mm.files import write_atomically
from mgca_mm.prepared import SPLITS, SUBSETS

from .collection import Collection, PreparedSample, Rejected, Sample, group_by_split


def write_image_level(folder: Path, dataset: str, collection: Collection) -> None:
    """Write reports and labels of prepared samples: an annotation file a split, and the subset lists."""
    groups = group_by_split(collection.samples)
    for split in SPLITS:
        metainfo = {"dataset": dataset, "split": split}
        metainfo |= {} if collection.classes is None else {"classes": collection.classes}
        metainfo |= {"exclusive": True} if collection.exclusive else {}
        _write_annotations(folder / f"{split}.json", metainfo, groups[split])
    _write_subsets(folder / "subsets", groups["train"])


def write_dense(folder: Path, dataset: str, collection: Collection) -> None:
    """Write boxes of prepared samples as mmdet reads them, names of images and masks as mmseg does; subset lists."""
    groups = group_by_split(collection.samples, dense=True)
    if collection.categories is not None:
        boxed = {split: [sample for sample in groups[split] if sample.boxes is not None] for split in SPLITS}
        train = _write_subsets(folder / "detection" / "subsets", boxed["train"])
        for name, found in (boxed | {f"subsets/{name}": drawn for name, drawn in train.items()}).items():
            metainfo = {"dataset": dataset, "split": Path(name).name}
            _write_coco(folder / "detection" / f"{name}.json", metainfo, found, collection.categories)
    if collection.mask_classes is not None:
        masked = {split: [sample for sample in groups[split] if sample.mask is not None] for split in SPLITS}
        _write_subsets(folder / "segmentation" / "subsets", masked["train"])
        for split in SPLITS:
            _write_names(folder / "segmentation" / f"{split}.txt", (sample.image_id for sample in masked[split]))
        _write_names(folder / "segmentation" / "classes.txt", collection.mask_classes)


def write_rejected(path: Path, rejected: Iterable[Rejected], raw: Path) -> None:
    """Write what was left out, one image a row, with paths relative to the raw folder; completely or not at all."""
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(("image_id", "file", "kind", "reason"))
    for row in rejected:
        kind = "broken" if row.broken else "without text"
        writer.writerow((row.image_id, row.file, kind, row.reason.replace(f"{raw}/", "")))
    write_atomically(path, file.getvalue().encode("utf-8", "surrogateescape"))


def _write_annotations(path: Path, metainfo: dict, samples: Iterable[PreparedSample]) -> None:
    """Write a split in MMEngine's annotation format, one entry (see :mod:`mgca_mm.prepared`) a line."""
    with open(path, "w", encoding="ascii") as file:
        # Written sample by sample: as one string, the whole of MIMIC-CXR would be held in memory twice.
        file.write(f'{{"metainfo": {json.dumps(metainfo)}, "data_list": [')
        for number, sample in enumerate(samples):
            is_stored = sample.image_index is not None
            entry = {"image_index": sample.image_index} if is_stored else {"raw_path": sample.image_path}
            for key in ("image_id", "patient_id", "study_id", "view", "report", "labels"):
                if (value := getattr(sample, key)) is not None:
                    entry[key] = value
            file.write(f"{',' if number else ''}\n{json.dumps(entry)}")
        file.write("\n]}\n")


def _write_coco(path: Path, metainfo: dict, samples: Iterable[PreparedSample], categories: Sequence[str]) -> None:
    """Write boxes in COCO's format; ids of images are their rows in the image store, those of categories from 1."""
    images, annotations = [], []
    for number, sample in enumerate(samples):
        is_stored = sample.image_index is not None
        image_id = sample.image_index if is_stored else number
        height, width = sample.shape or (None, None)
        images.append(
            {
                "id": image_id,
                "file_name": f"{sample.image_id}.png" if is_stored else sample.image_path,
                "height": height,
                "width": width,
                "image_id": sample.image_id,
                "patient_id": sample.patient_id,
            }
        )
        for box in sample.boxes or ():
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": box.category + 1,
                    # A box has an extent, however far it was shrunk.
                    "bbox": [round(box.x, 3), round(box.y, 3), *(max(round(side, 3), 0.001) for side in box[2:4])],
                    "area": round(box.width * box.height, 3),
                    "iscrowd": 0,
                }
            )
    content = {
        "info": metainfo,
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for number, name in enumerate(categories, start=1)],
    }
    path.write_text(json.dumps(content) + "\n", encoding="ascii")


def _write_names(path: Path, names: Iterable[str]) -> None:
    """Write a list with one name a line."""
    path.write_bytes("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def _write_subsets(folder: Path, train: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Draw 1 % and 10 % of the training samples, three seeds each, and write their lists into a new folder.

    A draw is the head of one permutation, so that the 1 % of a seed are among its 10 %. ``RandomState`` is used because
    NumPy guarantees its stream forever, which it does not for ``Generator``.

    Returns:
        Samples in order by the subset's name, such as ``train_1pct_seed42``.
    """
    folder.mkdir(parents=True)
    subsets = {}
    for name, (percent, seed) in SUBSETS.items():
        order = np.random.RandomState(seed).permutation(len(train))
        subsets[name] = [train[index] for index in sorted(order[: max(1, len(train) * percent // 100)])]
        _write_names(folder / f"{name}.txt", (sample.image_id for sample in subsets[name]))
    return subsets
