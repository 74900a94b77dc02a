"""What a preparation writes about its images: annotation files, lists of names, the seeded subsets."""

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from .collection import Collection, Rejected, Sample

SUBSET_PERCENTS = (1, 10)
SUBSET_SEEDS = (42, 43, 44)
REJECTED = "rejected.csv"
FAILED = "failed.csv"  # The same list of a preparation that rejected too much, until one succeeds.


def write_annotations(
    path: Path, metainfo: dict, samples: Iterable[Sample], row_of_image: Mapping[str, int] | None
) -> None:
    """Write one split in MMEngine's annotation format, one sample a line.

    Args:
        path: The json file.
        metainfo: Data set, split, and the names of the labels where there are any.
        samples: The samples.
        row_of_image: Rows in the image store; None where there is no store.
    """
    with open(path, "w", encoding="ascii") as file:
        # Written sample by sample: as one string, the whole of MIMIC-CXR would be held in memory twice.
        file.write(f'{{"metainfo": {json.dumps(metainfo)}, "data_list": [')
        for number, sample in enumerate(samples):
            entry = {
                "image_id": sample.image_id,
                "patient_id": sample.patient_id,
                "study_id": sample.study_id,
                "view": sample.view,
                "report": sample.report,
                "labels": sample.labels,
            }
            entry = _place(sample, row_of_image) | {key: value for key, value in entry.items() if value is not None}
            file.write(f"{',' if number else ''}\n{json.dumps(entry)}")
        file.write("\n]}\n")


def write_coco(
    path: Path,
    metainfo: dict,
    samples: Sequence[Sample],
    categories: Sequence[str],
    row_of_image: Mapping[str, int] | None,
) -> None:
    """Write one split's boxes in COCO's format.

    Args:
        path: The json file.
        metainfo: Data set and split.
        samples: The samples; boxes are in pixels of the images that the file names.
        categories: What the boxes hold; their ids start at 1.
        row_of_image: Rows in the image store, which are the ids of the images; None where there is no store.
    """
    images, annotations = [], []
    for number, sample in enumerate(samples):
        image_id = number if row_of_image is None else row_of_image[sample.image_id]
        height, width = sample.shape or (None, None)
        images.append(
            {
                "id": image_id,
                "file_name": sample.image_path if row_of_image is None else f"{sample.image_id}.png",
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


def write_names(path: Path, names: Iterable[str]) -> None:
    """Write a list with one name a line."""
    path.write_bytes("".join(f"{name}\n" for name in names).encode("utf-8", "surrogateescape"))


def draw_subsets(train: Sequence[Sample]) -> dict[str, list[Sample]]:
    """Draw 1 % and 10 % of the training samples, three seeds each.

    A draw is the head of one permutation, so that the 1 % of a seed are among its 10 %. ``RandomState`` is used because
    NumPy guarantees its stream for ever, which it does not for ``Generator``.

    Args:
        train: Training samples in order.

    Returns:
        Samples in order by the subset's name, such as ``train_1pct_seed42``.
    """
    subsets = {}
    for seed in SUBSET_SEEDS:
        order = np.random.RandomState(seed).permutation(len(train))
        for percent in SUBSET_PERCENTS:
            drawn = sorted(order[: max(1, len(train) * percent // 100)])
            subsets[f"train_{percent}pct_seed{seed}"] = [train[index] for index in drawn]
    return subsets


def write_subsets(folder: Path, train: Sequence[Sample]) -> None:
    """Write the lists of the drawn images (see :func:`draw_subsets`) into a folder, which is made."""
    folder.mkdir()
    for name, samples in draw_subsets(train).items():
        write_names(folder / f"{name}.txt", (sample.image_id for sample in samples))


def subset_names() -> list[str]:
    """File names of the subset lists."""
    return [f"train_{percent}pct_seed{seed}.txt" for percent in SUBSET_PERCENTS for seed in SUBSET_SEEDS]


def write_rejected(path: Path, rejected: Iterable[Rejected], raw: Path) -> None:
    """Write what was left out, one image a row, with paths relative to the raw folder."""
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("image_id", "file", "kind", "reason"))
        for row in rejected:
            kind = "broken" if row.broken else "without text"
            writer.writerow((row.image_id, row.file, kind, row.reason.replace(f"{raw}/", "")))


def describe(collection: Collection, dataset: str, split: str) -> dict:
    """The ``metainfo`` of an annotation file."""
    metainfo = {"dataset": dataset, "split": split}
    return metainfo if collection.classes is None else metainfo | {"classes": collection.classes}


def _place(sample: Sample, row_of_image: Mapping[str, int] | None) -> dict:
    """Where the image is: a row of the store, or a file of the raw folder."""
    if row_of_image is None:
        return {"raw_path": sample.image_path}
    return {"image_index": row_of_image[sample.image_id]}
