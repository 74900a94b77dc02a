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
_REMEDY = "The lists of version 9A are published in https://github.com/lindawangg/COVID-Net"
_CLASSES = ["normal", "pneumonia", "COVID-19"]
_LABELS = {name: [int(name == other) for other in _CLASSES] for name in _CLASSES}
_STAGES = ("rows in the lists", "patient of one list only")


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The two lists.

    Raises:
        UserError: One is missing.
    """
    return {name: [raw.table(name, remedy=_REMEDY)] for name in _LISTS.values()}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Keep the original test list and hold out a tenth of the training patients for validation.

    See docs/protocol.md#classification.

    A patient is known by source and number, for the numbers are unique within a source only. Training images of a
    patient of the test list, should there be any, are dropped.

    Args:
        raw: Folder with the two lists, ``train/`` and ``test/``.
        options: ``protocol='released'`` holds out a fifth of the training images, whosever they are.

    Returns:
        Samples in the order of the lists, training first. The three labels exclude each other.

    Raises:
        UserError: A list is missing or malformed, or an image stands in it twice.
    """
    filters = FilterLog(_STAGES)
    rows = {}
    for name, file_name in _LISTS.items():
        rows[name] = list(_read_list(raw.table(file_name, remedy=_REMEDY), name))
        for _ in rows[name]:
            filters.passed(_STAGES[0])
    test_patients = {sample.patient_id for sample in rows["test"]}
    samples = []
    for sample in (*rows["train"], *rows["test"]):
        is_leak = not sample.splits and sample.patient_id in test_patients
        if is_leak and options.protocol == "paper":
            continue
        filters.passed(_STAGES[1])
        samples.append(sample)

    if options.protocol == "released":
        unit, val = "image_id", 0.2
        notes = ["validation is drawn by image: its patients may be in training too, as in the released code"]
    else:
        unit, val, notes = "patient_id", 0.1, []
    ids = dict.fromkeys(getattr(sample, unit) for sample in samples if not sample.splits)
    split_of = hold_out(list(ids), val, raw.path / _LISTS["train"])
    samples = [s if s.splits else replace(s, splits=(split_of[getattr(s, unit)],)) for s in samples]
    return Collection(samples, filters, _CLASSES, notes=notes)


def _read_list(path: Path, folder: str) -> Iterator[Sample]:
    """Samples of a list; a file name may have spaces, the other three words of a line may not.

    Raises:
        UserError: A line has too few words or an unknown class, or names an image again.
    """
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
