"""What every data set's preparation shares: the sample, the filter counts, and the division of patients."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sklearn.model_selection import train_test_split

from mgca_mm.errors import UserError

SPLITS = ("train", "val", "test")


@dataclass(slots=True)
class Sample:
    """One radiograph with its report.

    Attributes:
        image_id: Name of the image, unique in the data set.
        patient_id: Patient the image shows.
        study_id: Examination; its images share one report.
        view: View position as the data set names it, such as ``PA``.
        split: ``train``, ``val`` or ``test``.
        report: Cleaned sentences; images of one study hold the same list.
        image_path: Image file, relative to the raw folder.
        labels: 1, 0, -1 (uncertain) or None (not mentioned) for each class; None where the data set has no labels.
    """

    image_id: str
    patient_id: str
    study_id: str
    view: str
    split: str
    report: list[str]
    image_path: str
    labels: list[int | None] | None = None


class FilterLog:
    """Counts what remains after each filter, in the order of the filters.

    Rows are streamed: each one passes some stages, and is counted at each of them.

    Args:
        stages: Names of the stages; the first one is the number of rows there are.
    """

    def __init__(self, stages: Sequence[str]) -> None:
        self._kept = dict.fromkeys(stages, 0)

    def passed(self, stage: str) -> None:
        """Count one row that passed a stage."""
        self._kept[stage] += 1

    def add(self, stage: str, kept: int) -> None:
        """Append a stage with its count."""
        self._kept[stage] = kept

    def counts(self) -> list[dict[str, str | int]]:
        """The stages in order: ``{"stage": name, "kept": count, "dropped": count}``."""
        rows, before = [], None
        for stage, kept in self._kept.items():
            rows.append({"stage": stage, "kept": kept, "dropped": 0 if before is None else before - kept})
            before = kept
        return rows

    def lines(self) -> list[str]:
        """One line a stage, for the terminal."""
        return [f"{row['stage']:<32} kept {row['kept']:>8,}  dropped {row['dropped']:>8,}" for row in self.counts()]


@dataclass(slots=True)
class Collection:
    """What a data set hands to the shared steps.

    Attributes:
        samples: The samples in the order of the data set's own table.
        filters: Counts of the filters passed so far.
        classes: Names of the labels, or None where there are no labels.
    """

    samples: list[Sample]
    filters: FilterLog
    classes: list[str] | None = None


def group_by_split(samples: Iterable[Sample]) -> dict[str, list[Sample]]:
    """Samples of each of the three splits, in order."""
    groups: dict[str, list[Sample]] = {split: [] for split in SPLITS}
    for sample in samples:
        groups[sample.split].append(sample)
    return groups


def find_shared_patient(patients_of_split: dict[str, set[str]]) -> tuple[str, list[str]] | None:
    """First patient, in alphabetical order, that stands in several splits, with those splits."""
    splits_of_patient = defaultdict(list)
    for split, patients in patients_of_split.items():
        for patient in patients:
            splits_of_patient[patient].append(split)
    shared = sorted(patient for patient, splits in splits_of_patient.items() if len(splits) > 1)
    return (shared[0], splits_of_patient[shared[0]]) if shared else None


def assert_disjoint_patients(samples: Iterable[Sample]) -> None:
    """Make sure that no patient is in two splits.

    Raises:
        UserError: One is; the message names the patient and the splits.
    """
    groups = group_by_split(samples)
    found = find_shared_patient({split: {sample.patient_id for sample in groups[split]} for split in SPLITS})
    if found is not None:
        patient, splits = found
        raise UserError(
            f"patient {patient} is in the splits {' and '.join(splits)}\n"
            "Models would be tested on patients they were trained on; correct the split in the raw tables."
        )


def split_patients(patients: Sequence[str], source: Path) -> dict[str, str]:
    """Divide patients 70/10/20 into train, val and test, the same way every time.

    Args:
        patients: Unique patients, in the order of the data set's table.
        source: The table, for the error message.

    Returns:
        Split by patient.

    Raises:
        UserError: There are fewer than three patients, too few to give each split one.
    """
    if len(patients) < 3:
        raise UserError(f"{source}: {len(patients)} patients are left after the filters; three splits need at least 3")
    num_test = max(1, round(0.2 * len(patients)))
    num_val = max(1, round(0.1 * len(patients)))
    rest, test = train_test_split(list(patients), test_size=num_test, random_state=0)
    train, val = train_test_split(rest, test_size=num_val, random_state=0)
    return dict.fromkeys(train, "train") | dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
