"""Parts of a data set: the prepared lists of training images (1 %, 10 %), and equally many images of each class."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from mgca_mm.errors import UserError
from mgca_mm.prepared import read_names


def keep_subset(rows: Sequence[dict], path: Path) -> list[dict]:
    """Entries that a list names, in their order.

    Args:
        rows: Entries with ``image_id``.
        path: A list with one image a line, such as ``subsets/train_1pct_seed42.txt`` of a prepared folder.

    Raises:
        UserError: If the list is missing or names an image that is not among the entries.
    """
    try:
        wanted = set(read_names(path))
    except OSError as error:
        raise UserError(
            f"Subset list '{path}' cannot be read ({error.strerror}).\n"
            "mgca-mm prepare writes those of 1 and 10 % with the seeds 42, 43 and 44."
        ) from error
    kept = [row for row in rows if row["image_id"] in wanted]
    if len(kept) < len(wanted):
        raise UserError(
            f"Subset list '{path}' names {len(wanted) - len(kept)} images that are not in the annotation file.\n"
            "A list belongs to train.json of the same folder."
        )
    return kept


def keep_single_class(
    rows: list[dict],
    classes: Sequence[str],
    metainfo: dict,
    ann_file: str,
    per_class: int,
    groups: Sequence[str] = (),
    seed: int = 42,
) -> list[dict]:
    """Images that show one of some classes and nothing else, equally many of each: the 5 x 200 and 8 x 200 sets.

    Every label of the file counts, not only ``classes``: all others must be negative or not mentioned, an uncertain
    one (-1) is neither. "No Finding" counts only where it is one of the ``classes``. How many there are of each class
    is told in the log.

    Args:
        rows: Entries of an annotation file.
        classes: Names of the classes.
        metainfo: Of the file.
        ann_file: Its name, for messages.
        per_class: Images of a class; all, where there are fewer.
        groups: Labels that may be positive beside a class since they only name a group that it belongs to.
        seed: Of the draw.

    Returns:
        The entries kept, in their order, each with its class as ``gt_label``.

    Raises:
        UserError: The file lacks one of the labels, or no image shows one of the classes alone.
        ValueError: ``per_class`` is below 1.
    """
    if per_class < 1:
        raise ValueError(f"per_class must be at least 1, got {per_class}")
    columns = label_columns(classes, metainfo, ann_file)
    overlooked = {metainfo["classes"].index(name) for name in ("No Finding",) if name in metainfo["classes"]}
    if groups:
        overlooked |= set(label_columns(groups, metainfo, ann_file))
    counted = [column for column in range(len(metainfo["classes"])) if column in columns or column not in overlooked]
    by_class: dict[int, list[int]] = {label: [] for label in range(len(classes))}
    for number, row in enumerate(rows):
        found = [column for column in counted if row["labels"][column]]
        if len(found) == 1 and found[0] in columns and row["labels"][found[0]] == 1:
            by_class[columns.index(found[0])].append(number)
    _log_counts(classes, by_class, per_class, ann_file)
    rng = np.random.default_rng(seed)
    kept = {}
    for label, numbers in by_class.items():
        drawn = rng.permutation(len(numbers))[:per_class]
        kept |= {numbers[index]: label for index in drawn}
    return [{**rows[number], "gt_label": label} for number, label in sorted(kept.items())]


def label_columns(classes: Sequence[str], metainfo: dict, ann_file: str) -> list[int]:
    """Where each class stands among the labels of an annotation file.

    Raises:
        UserError: The file has no such class, or there are none.
    """
    known = list(metainfo.get("classes") or [])
    strangers = [name for name in classes if name not in known]
    if strangers or not classes:
        raise UserError(f"'{ann_file}' has no label {', '.join(strangers)}; it has: {', '.join(known) or 'none'}.")
    return [known.index(name) for name in classes]


def _log_counts(classes: Sequence[str], by_class: dict[int, list[int]], per_class: int, ann_file: str) -> None:
    """Log how many images each class has, and warn of classes with too few.

    Raises:
        UserError: None has any.
    """
    counts = {name: len(by_class[label]) for label, name in enumerate(classes)}
    if not any(counts.values()):
        raise UserError(
            f"'{ann_file}' has no image that shows {' or '.join(classes)} and nothing else.\n"
            "Labels that name a group of the others may be overlooked: groups=('Lung Opacity',)"
        )
    told = ", ".join(f"{name} {min(count, per_class)} of {count}" for name, count in counts.items())
    print_log(f"{Path(ann_file).name}, images of one label alone: {told}", "current")
    short = [name for name, count in counts.items() if count < per_class]
    if short:
        print_log(
            f"Fewer than {per_class} images of {', '.join(short)}: the set is not balanced", "current", logging.WARNING
        )
