"""MIMIC-CXR: the images of MIMIC-CXR-JPG, 2.0.0 or 2.1.0, with the reports of MIMIC-CXR, in the layout of PhysioNet.

Version 2.1.0 has the tables of 2.0.0 under their old names, and one more: labels that a radiologist gave to the reports
of some studies of the test.
"""

import contextlib
import struct
import zipfile
import zlib
from pathlib import Path

from mgca_mm.bounds import allowed_bytes
from mgca_mm.errors import UserError
from mgca_mm.progress import tracked
from mgca_mm.reports.cleaning import decode_report
from mgca_mm.tables import LABEL_VALUES, read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .options import Options
from .raw_folder import RawFolder
from .report_words import CleanReport, ReportWords

# The first is read; one of both versions is the same table.
_METADATA, _SPLIT, _LABELS = (
    tuple(f"mimic-cxr-{version}-{name}.csv" for version in ("2.0.0", "2.1.0"))
    for name in ("metadata", "split", "chexpert")
)
_TEST_LABELS = "mimic-cxr-2.1.0-test-set-labeled.csv"
_OTHER_NAMES = {"Airspace Opacity": "Lung Opacity"}  # in the labels of the test, and in CheXpert's
_REPORTS_ZIP = "mimic-cxr-reports.zip"
_REMEDY = (
    "Expected: mimic-cxr-2.0.0-metadata.csv.gz and -split.csv.gz (or 2.1.0) beside files/. "
    "They are part of MIMIC-CXR-JPG: https://physionet.org/content/mimic-cxr-jpg/"
)

Labels = dict[str, list[int | None]]  # by study
_FRONTAL_VIEWS = ("PA", "AP")
_SPLIT_NAMES = {"train": "train", "validate": "val", "test": "test"}
_MAX_REPORT_BYTES = 1024 * 1024  # A report of a few kilobytes is long; one of gigabytes is an attack on the memory.
_MEMBER = 1000  # Bytes that a member takes in memory, its name included, whether it is read or not.
# What zipfile and its decompressor raise: RuntimeError for encryption, ValueError for names that are none, OSError for
# offsets outside of the file.
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The tables and the archive the preparation depends on, those that are there."""
    sources = [raw.table(*_METADATA, remedy=_REMEDY), raw.table(*_SPLIT, remedy=_REMEDY)]
    optional = (_find_labels(raw), raw.optional_table(_TEST_LABELS), raw.optional(_REPORTS_ZIP))
    return {path.name: [path] for path in (*sources, *filter(None, optional))}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Filter the rows of the metadata and read their reports, once a study; the split is the official one.

    Args:
        raw: Folder with the csv files, ``files/`` and the reports, loose beside the images or in the archive.
        options: ``protocol='released'`` merges the official validation and test into the validation.

    The classes are those of CheXpert's labeler, or the radiologist's where only these are there. The radiologist's
    labels take the place of the labeler's for the studies of the test that have them.
    """
    metadata = raw.table(*_METADATA, remedy=_REMEDY)
    released = options.protocol == "released"
    split_of_image = _read_splits(raw.table(*_SPLIT, remedy=_REMEDY))
    classes, labels_of_study = (None, {}) if (path := _find_labels(raw)) is None else _read_labels(path)
    by_hand: Labels = {}
    if (path := raw.optional_table(_TEST_LABELS)) is not None:
        names, by_hand = _read_labels(path)
        classes = classes or names
        by_hand = {study: _arrange(values, names, classes) for study, values in by_hand.items()}
    filters = FilterLog("rows in the metadata")
    samples: list[Sample] = []
    seen: set[str] = set()
    studies_by_hand: set[str] = set()
    rejected: list[Rejected] = []
    report_of_study: dict[str, CleanReport | str | None] = {}
    words = ReportWords(options.words)
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    with _open_archive(raw.optional(_REPORTS_ZIP)) as archive:
        rows = read_table(metadata, columns)
        for row in tracked(rows, "reports"):
            image_id = row.file_name("dicom_id")
            subject, study = row.identifier("subject_id"), row.identifier("study_id")
            row.require_new("dicom_id", image_id, seen)
            seen.add(image_id)
            filters.keep("rows in the metadata")
            if not filters.keep("in the split file", image_id in split_of_image):
                continue
            if not filters.keep("view PA or AP", row["ViewPosition"] in _FRONTAL_VIEWS):
                continue
            folder = f"files/p{subject[:2]}/p{subject}/s{study}"
            image_path = f"{folder}/{image_id}.jpg"
            if study not in report_of_study:
                text = _read_report(raw, archive, f"{folder}.txt")
                report_of_study[study] = text if text is None else _clean(text, f"{folder}.txt", words, subject)
            report = report_of_study[study]
            if not filters.keep("report exists", report is not None):
                continue
            if not filters.keep("report readable", not isinstance(report, str)):
                rejected.append(Rejected(image_id, image_path, True, report))
                continue
            if not passes_text_filters(report.sentences, filters):
                rejected.append(Rejected(image_id, image_path, False, report.fault))
                continue
            split = split_of_image[image_id]
            labels = None if classes is None else labels_of_study.get(study, [None] * len(classes))
            if study in by_hand and split == "test":
                labels = by_hand[study]
                studies_by_hand.add(study)
            samples.append(
                Sample(
                    image_id=image_id,
                    patient_id=subject,
                    study_id=study,
                    view=row["ViewPosition"],
                    splits=("val" if released and split == "test" else split,),
                    report=report.sentences,
                    image_path=image_path,
                    labels=labels,
                )
            )
    if report_of_study and all(report is None for report in report_of_study.values()):
        raise raw.missing(
            f"{raw.path}: none of {len(report_of_study)} studies has a report",
            (),
            f"Expected {_REPORTS_ZIP}, or files/pNN/pNNNNNNNN/sNNNNNNNN.txt in it or in mimic-cxr-reports/. "
            "Reports are part of https://physionet.org/content/mimic-cxr/2.0.0/",
        )
    notes = ["the official validation and test are merged into val"] if released else []
    if by_hand:
        notes.append(f"labels of {len(studies_by_hand)} studies of the test are a radiologist's ({_TEST_LABELS})")
    for tables in (_METADATA, _SPLIT, _LABELS):
        if all(map(raw.optional_table, tables)):
            notes.append(f"{tables[0]} is read; {tables[1]} is not")
    return Collection(samples, filters, classes, rejected=rejected, notes=notes, words=words)


def _read_splits(path: Path) -> dict[str, str]:
    """Read the official split of each image."""
    splits: dict[str, str] = {}
    for row in read_table(path, ("dicom_id", "split")):
        row.require_new("dicom_id", row.text("dicom_id"), splits)
        splits[row["dicom_id"]] = row.choice("split", _SPLIT_NAMES)
    return splits


def _find_labels(raw: RawFolder) -> Path | None:
    """The labels that CheXpert's labeler found, which are optional."""
    return next(filter(None, map(raw.optional_table, _LABELS)), None)


def _arrange(values: list[int | None], names: list[str], classes: list[str]) -> list[int | None]:
    """Labels of some names in the order of the classes; what has no name there is not mentioned."""
    value_of = dict(zip(names, values, strict=True))
    return [value_of.get(name) for name in classes]


def _read_labels(path: Path) -> tuple[list[str], Labels]:
    """Class names, as CheXpert has them, and labels by study of a table."""
    columns: list[str] = []
    labels: Labels = {}
    for row in read_table(path, ("study_id",)):
        columns = columns or row.label_columns(("subject_id", "study_id"))
        row.require_new("study_id", row.identifier("study_id"), labels)
        labels[row["study_id"]] = [row.choice(name, LABEL_VALUES) for name in columns]
    return [_OTHER_NAMES.get(name, name) for name in columns], labels


def _open_archive(path: Path | None) -> contextlib.AbstractContextManager[zipfile.ZipFile | None]:
    """The archive of the reports, if there is one.

    Raises:
        UserError: It is damaged, or has more members than a file of its size may.
    """
    if path is None:
        return contextlib.nullcontext()
    # Each has an entry that starts with these bytes; how many there are is written nowhere else for sure.
    if _MEMBER * _count(path, b"PK\x01\x02") > allowed_bytes(path):
        raise UserError(f"{path}: refused, it has too many members\nUnpack it: unzip")
    try:
        return zipfile.ZipFile(path)
    except _DAMAGED_ZIP as error:
        raise UserError(f"{path}: not a zip file, or truncated; copy it again") from error


def _count(path: Path, word: bytes) -> int:
    """How often some bytes stand in a file, which may be larger than the memory."""
    found, tail = 0, b""
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found += (tail + block).count(word)
            tail = (tail + block)[1 - len(word) :]  # too short to hold the word
    return found


def _read_report(raw: RawFolder, archive: zipfile.ZipFile | None, name: str) -> bytes | None:
    """A report, loose beside the images, from the unpacked archive, or from the archive.

    Returns:
        At most one byte more than a report can have, or None where there is none.

    Raises:
        UserError: The archive is damaged at this report.
    """
    names = (name, f"mimic-cxr-reports/{name}")
    path = next(filter(None, map(raw.optional, names)), None)
    member = next((member for member in names if member in archive.NameToInfo), None) if archive else None
    if path is not None:
        with open(path, "rb") as file:
            return file.read(_MAX_REPORT_BYTES + 1)
    if member is not None:
        # The others unpack all that is stored of a member at once, whatever size it says it has.
        if archive.getinfo(member).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            place = f"{archive.filename}: {member}"
            raise UserError(f"{place} is compressed by an unusual method\nUnpack the archive: unzip")
        try:
            with archive.open(member) as file:
                return file.read(_MAX_REPORT_BYTES + 1)
        except _DAMAGED_ZIP as error:
            raise UserError(f"{archive.filename}: {member} cannot be unpacked; copy the archive again") from error
    return None


def _clean(data: bytes, name: str, words: ReportWords, patient: str) -> CleanReport | str:
    """A report as it is trained on, or why it cannot be read."""
    if len(data) > _MAX_REPORT_BYTES:
        return f"{name}: more than {_MAX_REPORT_BYTES} bytes are no report; copy it again"
    try:
        text = decode_report(data)
    except ValueError as error:
        return f"{name}: {error}"
    return words.clean(text, patient)
