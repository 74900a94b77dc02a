"""MIMIC-CXR: the images of MIMIC-CXR-JPG 2.0.0 with the reports of MIMIC-CXR, in the layout of PhysioNet."""

import struct
import zipfile
import zlib
from pathlib import Path

from tqdm import tqdm

from mgca_mm.bounds import allowed_bytes
from mgca_mm.errors import UserError
from mgca_mm.reports import cleaning as reports
from mgca_mm.tables import LABEL_VALUES, read_table

from .collection import TEXT_STAGES, Collection, FilterLog, Rejected, Sample, passes_text_filters
from .options import Options
from .raw_folder import RawFolder

_METADATA = "mimic-cxr-2.0.0-metadata.csv"
_SPLIT = "mimic-cxr-2.0.0-split.csv"
_LABELS = "mimic-cxr-2.0.0-chexpert.csv"
_REPORTS_ZIP = "mimic-cxr-reports.zip"
_REMEDY = "It is part of MIMIC-CXR-JPG: https://physionet.org/content/mimic-cxr-jpg/2.0.0/"

_FRONTAL_VIEWS = ("PA", "AP")
_SPLIT_NAMES = {"train": "train", "validate": "val", "test": "test"}
_STAGES = (
    "rows in the metadata",
    "in the split file",
    "view PA or AP",
    "report exists",
    "report readable",
    *TEXT_STAGES,
)


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The tables and the archive the preparation depends on, those that are there.

    Raises:
        UserError: The metadata or the split file is missing, or one of the others is no file.
    """
    sources = [raw.table(_METADATA, remedy=_REMEDY), raw.table(_SPLIT, remedy=_REMEDY)]
    optional = (raw.optional_table(_LABELS), raw.optional(_REPORTS_ZIP))
    return {path.name: [path] for path in (*sources, *filter(None, optional))}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Filter the rows of the metadata and read their reports, once a study.

    Args:
        raw: Folder with the csv files, ``files/`` and the reports, loose beside the images or in the archive.
        options: ``protocol='released'`` merges the official validation and test into the validation.

    Returns:
        Samples in the order of the metadata, in the official split.

    Raises:
        UserError: A table is missing or malformed, an image stands twice in one, or there is no report at all.
    """
    metadata = raw.table(_METADATA, remedy=_REMEDY)
    split_names = _SPLIT_NAMES | ({"test": "val"} if options.protocol == "released" else {})
    split_of_image = _read_splits(raw.table(_SPLIT, remedy=_REMEDY), split_names)
    classes, labels_of_study = _read_labels(raw)
    filters = FilterLog(_STAGES)
    samples: list[Sample] = []
    seen: set[str] = set()
    rejected: list[Rejected] = []
    report_of_study: dict[str, list[str] | str | None] = {}
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    with _ReportReader(raw) as reader:
        rows = read_table(metadata, columns)
        for row in tqdm(rows, desc="reports", unit="row", disable=None):
            image_id = row.file_name("dicom_id")
            subject, study = row.identifier("subject_id"), row.identifier("study_id")
            row.require_new("dicom_id", image_id, seen)
            seen.add(image_id)
            filters.passed(_STAGES[0])
            if image_id not in split_of_image:
                continue
            filters.passed(_STAGES[1])
            if row["ViewPosition"] not in _FRONTAL_VIEWS:
                continue
            filters.passed(_STAGES[2])
            image_path = f"{_patient_folder(subject)}/s{study}/{image_id}.jpg"
            if study not in report_of_study:
                report_of_study[study] = _read_report(reader, subject, study)
            report = report_of_study[study]
            if report is None:
                continue
            filters.passed(_STAGES[3])
            if isinstance(report, str):
                rejected.append(Rejected(image_id, image_path, True, report))
                continue
            filters.passed(_STAGES[4])
            if not passes_text_filters(report, filters):
                rejected.append(Rejected(image_id, image_path, False, reports.TOO_SHORT))
                continue
            samples.append(
                Sample(
                    image_id=image_id,
                    patient_id=subject,
                    study_id=study,
                    view=row["ViewPosition"],
                    splits=(split_of_image[image_id],),
                    report=report,
                    image_path=image_path,
                    labels=None if classes is None else labels_of_study.get(study, [None] * len(classes)),
                )
            )
    if report_of_study and all(report is None for report in report_of_study.values()):
        raise UserError(
            f"{raw.path}: none of {len(report_of_study)} studies has a report; expected {_REPORTS_ZIP} or "
            f"files/pNN/pNNNNNNNN/sNNNNNNNN.txt\nReports are part of https://physionet.org/content/mimic-cxr/2.0.0/"
        )
    notes = ["the official validation and test are merged into val"] if options.protocol == "released" else []
    return Collection(samples, filters, classes, rejected=rejected, notes=notes)


def _read_report(reader: "_ReportReader", subject: str, study: str) -> list[str] | str | None:
    """Sentences of a study's report; why it cannot be read; or None where there is none."""
    try:
        text = reader.read(subject, study)
    except ValueError as error:
        return f"{_patient_folder(subject)}/s{study}.txt: {error}"
    return None if text is None else reports.report_sentences(text)


def _patient_folder(subject: str) -> str:
    """Folder of a patient, the same for images and reports."""
    return f"files/p{subject[:2]}/p{subject}"


def _read_splits(path: Path, names: dict[str, str]) -> dict[str, str]:
    """Read the split of each image.

    Raises:
        UserError: A split has an unknown name, or an image stands twice in the file.
    """
    splits: dict[str, str] = {}
    for row in read_table(path, ("dicom_id", "split")):
        row.require_new("dicom_id", row.text("dicom_id"), splits)
        splits[row["dicom_id"]] = row.choice("split", names)
    return splits


def _read_labels(raw: RawFolder) -> tuple[list[str] | None, dict[str, list[int | None]]]:
    """Class names and labels by study from the optional CheXpert file; no names where it is missing.

    Raises:
        UserError: A label is none of blank, 1.0, 0.0, -1.0, or a study stands twice in the file.
    """
    path = raw.optional_table(_LABELS)
    if path is None:
        return None, {}
    classes: list[str] = []
    labels: dict[str, list[int | None]] = {}
    for row in read_table(path, ("subject_id", "study_id")):
        classes = classes or row.label_columns(("subject_id", "study_id"))
        row.require_new("study_id", row.identifier("study_id"), labels)
        labels[row["study_id"]] = [row.choice(name, LABEL_VALUES) for name in classes]
    return classes, labels


_MAX_REPORT_BYTES = 1024 * 1024
_MEMBER = 1000  # Bytes that a member takes in memory, its name included, whether it is read or not.
# What zipfile and its decompressor raise: RuntimeError for encryption, ValueError for names that are none, OSError for
# offsets outside of the file.
_DAMAGED_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, ValueError, RuntimeError)


class _ReportReader:
    """Reads the report of a study, loose beside the images, from the unpacked archive, or from the archive."""

    def __init__(self, raw: RawFolder) -> None:
        self._raw = raw
        self._path = raw.optional(_REPORTS_ZIP)
        self._archive: zipfile.ZipFile | None = None

    def __enter__(self) -> "_ReportReader":
        if self._path is not None:
            # Each has an entry that starts with these bytes; how many there are is written nowhere else for sure.
            if _MEMBER * _count(self._path, b"PK\x01\x02") > allowed_bytes(self._path):
                raise UserError(f"{self._path}: refused, it has too many members\nUnpack it: unzip")
            try:
                self._archive = zipfile.ZipFile(self._path)
            except _DAMAGED_ZIP as error:
                raise UserError(f"{self._path}: not a zip file, or truncated; copy it again") from error
        return self

    def __exit__(self, *_) -> None:
        if self._archive is not None:
            self._archive.close()

    def read(self, subject: str, study: str) -> str | None:
        """Text of the report of a study, or None where there is no such report.

        Raises:
            ValueError: It is no text.
            UserError: The archive is damaged at this report.
        """
        name = f"{_patient_folder(subject)}/s{study}.txt"
        names = (name, f"mimic-cxr-reports/{name}")
        for path in filter(None, map(self._raw.optional, names)):
            with open(path, "rb") as file:
                return self._decode(file.read(_MAX_REPORT_BYTES + 1))
        for member in names if self._archive is not None else ():
            try:
                info = self._archive.getinfo(member)
            except KeyError:
                continue
            # The others unpack all that is stored of a member at once, whatever size it says it has.
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise UserError(f"{self._path}: {member} is compressed by an unusual method\nUnpack the archive: unzip")
            try:
                with self._archive.open(info) as file:
                    data = file.read(_MAX_REPORT_BYTES + 1)
            except _DAMAGED_ZIP as error:
                raise UserError(f"{self._path}: {member} cannot be unpacked; copy the archive again") from error
            return self._decode(data)
        return None

    @staticmethod
    def _decode(data: bytes) -> str:
        """A report of a few kilobytes is long; one of gigabytes is an attack on the memory."""
        if len(data) > _MAX_REPORT_BYTES:
            raise ValueError(f"more than {_MAX_REPORT_BYTES} bytes are no report; copy it again")
        return reports.decode_report(data)


def _count(path: Path, word: bytes) -> int:
    """How often some bytes stand in a file."""
    found, tail = 0, b""
    with open(path, "rb") as file:
        while block := tail + file.read(1 << 20):
            if len(block) == len(tail):
                break
            found += block.count(word)
            tail = block[1 - len(word) :]  # too short to hold the word
    return found
