"""Pairs of a prepared folder, for looking at and searching among."""

from pathlib import Path
from typing import NamedTuple

from mgca_mm.errors import UserError
from mgca_mm.prepared import load_prepared, open_store, row_of

from .inputs import NamedImage

_GROUPS = ("Lung Opacity", "Enlarged Cardiomediastinum")  # of CheXpert's hierarchy (Irvin et al. 2019, Figure 1)


class Pair(NamedTuple):
    """One image and what is known of it.

    Attributes:
        image: The image, read when it is needed; its name is the image's id.
        report: Cleaned report.
        finding: The only one of its labels that is positive, with none uncertain; None if there is no such. A label
            that names a group of others counts where none of these is there.
    """

    image: NamedImage
    report: str
    finding: str | None


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
    stores = {path: open_store(path) for path in {row["image_store"] for row in rows if "image_store" in row}}
    pairs = []
    for row in rows:
        if path := row.get("image_store"):
            source = row_of(stores[path], row["image_index"], path)
        else:
            source = Path(row["img_path"])
        labels = {name: label for name, label in zip(classes, row.get("labels") or [], strict=False) if label}
        pairs.append(Pair(NamedImage(row["image_id"], source), " ".join(row["report"]), _only_finding(labels)))
    return pairs


def _only_finding(labels: dict[str, int]) -> str | None:
    """Of the labels that are positive (1) or uncertain (-1)."""
    narrow = {name: label for name, label in labels.items() if name not in _GROUPS} or labels
    return next(iter(narrow)) if list(narrow.values()) == [1] else None
