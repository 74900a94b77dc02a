"""Parts of a data set: the prepared lists of training images (1 %, 10 %), and equally many images of each class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mgca_mm.errors import UserError


def keep_subset(rows: Sequence[dict], path: Path) -> list[dict]:
    """Entries that a list names, in their order.

    Args:
        rows: Entries with ``image_id``.
        path: A list with one image a line, such as ``subsets/train_1pct_seed42.txt`` of a prepared folder.

    Raises:
        UserError: If the list is missing or names an image that is not among the entries.
    """
    try:
        wanted = set(path.read_text(encoding="utf-8", errors="surrogateescape").splitlines())
    except OSError as error:
        raise UserError(
            f"Subset list '{path}' cannot be read ({error.strerror}).\n"
            "tools/prepare_data.py writes those of 1 and 10 % with the seeds 42, 43 and 44."
        ) from error
    kept = [row for row in rows if row["image_id"] in wanted]
    if len(kept) < len(wanted):
        raise UserError(
            f"Subset list '{path}' names {len(wanted) - len(kept)} images that are not in the annotation file.\n"
            "A list belongs to train.json of the same folder."
        )
    return kept


def keep_single_class(rows: list[dict], positives: list[list[int]], per_class: int, seed: int = 42) -> list[dict]:
    """Images that show one of some classes and no other, equally many of each: the 5 x 200 and 8 x 200 sets.

    Args:
        rows: Entries of an annotation file.
        positives: For each, the indices of its positive classes.
        per_class: Images of a class; all, where there are fewer.
        seed: Of the draw.

    Returns:
        The entries kept, in their order, each with its class as ``gt_label``.
    """
    by_class: dict[int, list[int]] = {}
    for number, found in enumerate(positives):
        if len(found) == 1:
            by_class.setdefault(found[0], []).append(number)
    rng = np.random.default_rng(seed)
    kept = {}
    for label, numbers in sorted(by_class.items()):
        drawn = rng.permutation(len(numbers))[:per_class]
        kept |= {numbers[index]: label for index in drawn}
    return [{**rows[number], "gt_label": label} for number, label in sorted(kept.items())]
