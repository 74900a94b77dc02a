"""What the module of a data set gives to the shared steps: its samples, what was left out, and the counts of both."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

from mgca_mm.prepared import SPLITS
from mgca_mm.reports.cleaning import MIN_TOKENS, count_tokens

from .report_words import ReportWords


class Box(NamedTuple):
    """A box in the pixels of the raw image.

    Attributes:
        x: Left edge.
        y: Upper edge.
        width: Extent to the right.
        height: Extent downwards.
        category: Index into the collection's categories.
        place: File and line it was read from, for messages.
    """

    x: float
    y: float
    width: float
    height: float
    category: int
    place: str


class MaskFile(NamedTuple):
    """A mask of a user's own, which may be one of several of an image.

    Attributes:
        path: Image file, relative to the raw folder.
        label: Class of what is brighter than half (see :func:`.dense.read_mask`); None: the pixels are classes.
    """

    path: str
    label: int | None


@dataclass(frozen=True, slots=True)
class Sample:
    """One radiograph and what the raw data say about it.

    Attributes:
        image_id: Name of the image, unique in the data set.
        patient_id: Patient the image shows.
        image_path: Image file, relative to the raw folder.
        splits: Split in the image-level annotations (reports, labels); none where it has no part in them, several only
            where the released protocol leaks.
        study_id: Examination; its images share one report.
        view: View position as the data set names it, such as ``PA``.
        report: Cleaned sentences; images of one study hold the same list.
        labels: 1, 0, -1 (uncertain) or None (not mentioned) for each class; None where the data set has no labels.
        dense_splits: Split in the annotations of boxes and masks; as ``splits``.
        boxes: Boxes, none for an image without objects; None where the data set has no boxes.
        mask: Parts whose union is the mask, none for an image without foreground: boxes, filled; run lengths in COCO's
            encoding, on the image's grid; image files, relative to the raw folder, foreground where they are brighter
            than half, all of class 1; mask files of other classes, of which the last wins. None where the mask is not
            known.
        shape: Height and width in pixels of the image that boxes and mask are made for; None where they are made for
            whatever it has.
    """

    image_id: str
    patient_id: str
    image_path: str
    splits: tuple[str, ...] = ()
    study_id: str | None = None
    view: str | None = None
    report: list[str] | None = None
    labels: list[int | None] | None = None
    dense_splits: tuple[str, ...] = ()
    boxes: list[Box] | None = None
    mask: Sequence[Box | dict | str | MaskFile] | None = None
    shape: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class PreparedSample(Sample):
    """A sample as the prepared folder has it: shape and boxes are those of the prepared image.

    Attributes:
        image_index: Row of the image store; None where there is no store, and the raw images stand for themselves.
    """

    image_index: int | None = None

    @classmethod
    def of(cls, sample: Sample, **changes: Any) -> "PreparedSample":
        """A sample with some of its attributes changed."""
        return cls(**{known.name: getattr(sample, known.name) for known in fields(sample)} | changes)


class Rejected(NamedTuple):
    """An image or a report that was left out; a row of ``rejected.csv``.

    Attributes:
        image_id: Name of the image.
        file: File it is about, relative to the raw folder.
        broken: Whether it is damaged, and counts towards the share that may be. A report without text is not.
        reason: Why, without a word of the report.
    """

    image_id: str
    file: str
    broken: bool
    reason: str


class FilterLog:
    """Counts what remains after each filter, in the order of the filters.

    Rows are streamed: each one passes some stages, and is counted at each of them.

    Args:
        rows: Name of the first stage, the number of rows there are.
        units: Stages that count something else than the one before, such as images after reports.
    """

    def __init__(self, rows: str, units: Sequence[str] = ()) -> None:
        self._kept = {rows: 0}
        self._units = (rows, *units)

    def keep(self, stage: str, passes: bool = True) -> bool:
        """Count one row at a stage if it passes, and return whether it does."""
        self._kept[stage] = self._kept.get(stage, 0) + passes
        return passes

    def add(self, stage: str, kept: int) -> None:
        """Append a stage with its count."""
        self._kept[stage] = kept

    def counts(self) -> list[dict[str, str | int]]:
        """The stages in order: ``{"stage": name, "kept": count, "dropped": count}``."""
        rows, before = [], 0
        for stage, kept in self._kept.items():
            rows.append({"stage": stage, "kept": kept, "dropped": 0 if stage in self._units else before - kept})
            before = kept
        return rows

    def lines(self) -> list[str]:
        """One line a stage, for the terminal."""
        return [f"{row['stage']:<32} kept {row['kept']:>8,}  dropped {row['dropped']:>8,}" for row in self.counts()]


def passes_text_filters(report: list[str], filters: FilterLog) -> bool:
    """Count a report at the last two filters of every data set with reports, and return whether it passes both."""
    filters.keep("report has text", bool(report))
    return filters.keep(f"report of {MIN_TOKENS} tokens or more", count_tokens(report) >= MIN_TOKENS)


@dataclass(slots=True)
class Collection:
    """What a data set gives to the shared steps.

    Attributes:
        samples: The samples in the order of the data set's own table; prepared ones once the images are.
        filters: Counts of the filters passed so far.
        classes: Names of the labels, or None where there are no labels.
        exclusive: Whether exactly one label is true of each image.
        boxes_scale: Whether an image may be a smaller copy of the one that its boxes are made for; there are no masks
            then.
        categories: Names of what the boxes hold, or None where there are no boxes.
        mask_classes: Names of the values of the masks, the background first, or None where there are no masks.
        rejected: What was left out so far.
        notes: Sentences for the manifest: what a user of the prepared data should know.
        words: Counts of the words of the reports, or None where there are no reports with sections.
    """

    samples: list[Sample]
    filters: FilterLog
    classes: list[str] | None = None
    categories: list[str] | None = None
    mask_classes: list[str] | None = None
    exclusive: bool = False
    boxes_scale: bool = False
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    words: ReportWords | None = None


def group_by_split(samples: Iterable[Sample], dense: bool = False) -> dict[str, list[Sample]]:
    """Samples of each of the three splits, in order; ``dense``: by the splits of boxes and masks."""
    groups: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for sample in samples:
        for split in sample.dense_splits if dense else sample.splits:
            groups[split].append(sample)
    return groups
