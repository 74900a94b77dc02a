"""COVIDx (Wang, Lin and Wong, 2020), lists of version 9A: normal, pneumonia, COVID-19."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from mgca_mm.tables import Row, read_lines

from .collection import Collection, FilterLog, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import hold_out

_LISTS = {"train": "train_COVIDx9A.txt", "test": "test_COVIDx9A.txt"}
_REMEDY = (
    "Expected: train_COVIDx9A.txt and test_COVIDx9A.txt beside train/ and test/. "
    "The lists of version 9A are published in https://github.com/lindawangg/COVID-Net"
)
_CLASSES = ["normal", "pneumonia", "COVID-19"]
_LABELS = {name: [int(name == other) for other in _CLASSES] for name in _CLASSES}


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The two lists."""
    return {name: [raw.table(name, remedy=_REMEDY)] for name in _LISTS.values()}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Keep the original test list and hold out a tenth of the training patients for validation.

    See docs/protocol.md#classification.

    A patient is known by source and number, for the numbers are unique within a source only. Training images of a
    patient of the test list, should there be any, are dropped. The three labels exclude each other.

    Args:
        raw: Folder with the two lists, ``train/`` and ``test/``.
        options: ``protocol='released'`` holds out a fifth of the training images, whosever they are.
    """
    filters = FilterLog("rows in the lists")
    train, test = (list(_read_list(raw.table(name, remedy=_REMEDY), folder)) for folder, name in _LISTS.items())
    filters.add("rows in the lists", len(train) + len(test))
    if options.protocol == "released":
        unit, val = "image_id", 0.2
        notes = ["validation is drawn by image: its patients may be in training too, as in the released code"]
    else:
        unit, val, notes = "patient_id", 0.1, []
        test_patients = {sample.patient_id for sample in test}
        train = [sample for sample in train if sample.patient_id not in test_patients]
    filters.add("patient of one list only", len(train) + len(test))
    ids = dict.fromkeys(getattr(sample, unit) for sample in train)
    split_of = hold_out(list(ids), val, raw.path / _LISTS["train"])
    train = [replace(sample, splits=(split_of[getattr(sample, unit)],)) for sample in train]
    return Collection(train + test, filters, _CLASSES, notes=notes)


def _read_list(path: Path, folder: str) -> Iterator[Sample]:
    """Samples of a list; a file name may have spaces, the other three words of a line may not."""
    seen: set[str] = set()
    for line, text in read_lines(path):
        patient, *name, label, source = text.split(" ") if text.count(" ") >= 3 else ("", "", "", "")
        row = Row({"file_name": " ".join(name), "class": label}, path, line)
        if not patient or not source:
            raise row.fault("patient_id, file_name, class and source are expected")
        file_name = row.file_name("file_name")
        row.require_new("file_name", file_name, seen)
        seen.add(file_name)
        yield Sample(
            image_id=f"{folder}/{file_name}",
            patient_id=f"{source}/{patient}",
            image_path=f"{folder}/{file_name}",
            splits=("test",) if folder == "test" else (),
            labels=row.choice("class", _LABELS),
        )
