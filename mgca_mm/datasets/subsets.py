"""The prepared lists of training images: 1 % and 10 %, drawn with a seed."""

from collections.abc import Sequence
from pathlib import Path

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
