"""Division into train, val and test (docs/protocol.md#classification): scikit-learn, seed 0, in the table's order."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.model_selection import train_test_split

from mgca_mm.errors import UserError
from mgca_mm.prepared import SPLITS
from mgca_mm.tables import read_table

from .collection import Collection, Sample, group_by_split

SPLIT_NAMES = {split: split for split in SPLITS}  # choices of a table's column
_SEED = 0


def divide(ids: Sequence[str], rest: float, test: float, source: Path) -> dict[str, str]:
    """Divide patients or images into three: the share ``rest`` leaves training, the share ``test`` of it is the test.

    Args:
        ids: Unique names, in the order of the data set's table.
        rest: Share that is not for training.
        test: Share of the rest that is the test, the others are for validation.
        source: The table, for the error message.

    Returns:
        Split by name.

    Raises:
        UserError: There are fewer than three, too few to give each split one.
    """
    if len(ids) < 3:
        raise UserError(f"{source}: {len(ids)} patients are left after the filters; three splits need at least 3")
    num_rest = max(2, math.ceil(rest * len(ids)))
    num_test = min(num_rest - 1, math.ceil(test * num_rest))
    train, others = train_test_split(list(ids), test_size=num_rest, random_state=_SEED)
    val, test_ids = train_test_split(others, test_size=num_test, random_state=_SEED)
    return dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test_ids, "test")


def hold_out(ids: Sequence[str], val: float, source: Path) -> dict[str, str]:
    """As :func:`divide`, for data sets with a test of their own: the share ``val`` is for validation, the others train.

    Raises:
        UserError: There are fewer than two.
    """
    if len(ids) < 2:
        raise UserError(f"{source}: {len(ids)} patients are left after the filters; two splits need at least 2")
    train, held = train_test_split(list(ids), test_size=math.ceil(val * len(ids)), random_state=_SEED)
    return dict.fromkeys(train, "train") | dict.fromkeys(held, "val")


def hold_out_images(num_images: Mapping[str, int], target: int) -> dict[str, str]:
    """Draw whole patients for validation until they have so many images.

    A patient who would exceed the number is passed over, so that it is met exactly wherever small patients are left.

    Args:
        num_images: Images by patient, in the order of the data set's table.
        target: Images wanted for validation.

    Returns:
        Split by patient.
    """
    split = dict.fromkeys(num_images, "train")
    patients = list(num_images)
    for index in np.random.RandomState(_SEED).permutation(len(patients)):
        if num_images[patients[index]] <= target:
            split[patients[index]] = "val"
            target -= num_images[patients[index]]
    return split


def apply_split_list(collection: Collection, path: Path) -> None:
    """Replace the splits of a collection by those of a list; samples that it does not name are dropped.

    Args:
        collection: Changed in place.
        path: A csv file with the columns ``id``, an image or a patient, and ``split``.

    Raises:
        UserError: The list is malformed, names an id twice or none of the data set's.
    """
    split_of: dict[str, str] = {}
    for row in read_table(path, ("id", "split")):
        row.require_new("id", row.text("id"), split_of)
        split_of[row["id"]] = row.choice("split", SPLIT_NAMES)
    kept = []
    for sample in collection.samples:
        split = split_of.get(sample.image_id, split_of.get(sample.patient_id))
        if split is not None:
            splits, dense_splits = ((split,) if former else () for former in (sample.splits, sample.dense_splits))
            kept.append(replace(sample, splits=splits, dense_splits=dense_splits))
    if not kept:
        raise UserError(
            f"{path}: none of its {len(split_of)} ids is an image or a patient of the data set\n"
            "The ids are those of the annotation files: image_id or patient_id."
        )
    collection.samples = kept
    collection.filters.add("in the split list", len(kept))


def find_shared_patients(patients_of_split: Mapping[str, set[str]]) -> list[tuple[str, list[str]]]:
    """Patients that stand in several splits, in alphabetical order, with those splits."""
    splits_of_patient = defaultdict(list)
    for split, patients in patients_of_split.items():
        for patient in patients:
            splits_of_patient[patient].append(split)
    return sorted((patient, splits) for patient, splits in splits_of_patient.items() if len(splits) > 1)


def find_leaks(samples: Iterable[Sample], dense: bool = False) -> list[tuple[str, list[str]]]:
    """Patients of samples that stand in several splits (see :func:`group_by_split`), with those splits."""
    groups = group_by_split(samples, dense)
    return find_shared_patients({split: {sample.patient_id for sample in groups[split]} for split in SPLITS})


def require_disjoint_patients(samples: Iterable[Sample], dense: bool = False) -> None:
    """Make sure that no patient is in two splits (see :func:`group_by_split`).

    Raises:
        UserError: One is; the message names the splits, and the patient unless the name has the looks of a sentence.
    """
    for patient, splits in find_leaks(samples, dense)[:1]:
        is_identifier = patient.isprintable() and " " not in patient and len(patient) <= 64
        raise UserError(
            f"{f'patient {patient}' if is_identifier else 'one patient'} is in the splits {' and '.join(splits)}\n"
            "Models would be tested on patients they were trained on; correct the split in the raw tables."
        )
