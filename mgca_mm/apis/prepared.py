"""Pairs of a prepared folder, for looking at and searching among."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from mgca_mm.datasets.image_report import load_prepared
from mgca_mm.errors import UserError

from .inputs import NamedImage


class Pair(NamedTuple):
    """One image and what is known of it.

    Attributes:
        image: The image, read when it is needed; its name is the image's id.
        report: Cleaned report.
        findings: Names of its positive labels.
    """

    image: NamedImage
    report: str
    findings: tuple[str, ...]


def load_pairs(data_root: str | Path, split: str = "test") -> list[Pair]:
    """All pairs of a split.

    Raises:
        UserError: The folder is not prepared, or holds no reports.
    """
    metainfo, rows = load_prepared(str(Path(data_root) / f"{split}.json"), ("report",))
    classes = metainfo.get("classes") or []
    if not rows:
        raise UserError(f"{data_root}: the split {split} is empty")
    # Mapped into memory, so that a row is read from the disk when somebody looks at it.
    stores = {
        path: np.load(path, mmap_mode="r") for path in {row["image_store"] for row in rows if "image_store" in row}
    }
    pairs = []
    for row in rows:
        source = stores[row["image_store"]][row["image_index"]] if "image_store" in row else Path(row["img_path"])
        labels = row.get("labels") or []
        findings = tuple(name for name, label in zip(classes, labels, strict=False) if label == 1)
        pairs.append(Pair(NamedImage(row["image_id"], source), " ".join(row["report"]), findings))
    return pairs
