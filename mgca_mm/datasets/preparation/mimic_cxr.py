"""MIMIC-CXR: the images of MIMIC-CXR-JPG 2.0.0 with the reports of MIMIC-CXR, in the layout of PhysioNet."""

import zipfile
import zlib
from pathlib import Path

from tqdm import tqdm

from mgca_mm.errors import UserError

from . import reports
from .common import Collection, FilterLog, Sample
from .tables import find_table, read_table, require, require_file_name, require_number

_METADATA = "mimic-cxr-2.0.0-metadata.csv"
_SPLIT = "mimic-cxr-2.0.0-split.csv"
_LABELS = "mimic-cxr-2.0.0-chexpert.csv"
_REPORTS_ZIP = "mimic-cxr-reports.zip"
_REMEDY = "It is part of MIMIC-CXR-JPG: https://physionet.org/content/mimic-cxr-jpg/2.0.0/"

_FRONTAL_VIEWS = ("PA", "AP")
_SPLIT_NAMES = {"train": "train", "validate": "val", "test": "test"}
_LABEL_VALUES = {"": None, "1.0": 1, "0.0": 0, "-1.0": -1, "1": 1, "0": 0, "-1": -1}

_STAGES = (
    "rows in the metadata",
    "in the split file",
    "view PA or AP",
    "report exists",
    "report has text",
    f"report of {reports.MIN_TOKENS} tokens or more",
)


def find_sources(raw: Path) -> list[Path]:
    """The tables and the archive the preparation depends on, those that are there.

    Raises:
        UserError: The metadata or the split file is missing.
    """
    sources = [find_table(raw, _METADATA, _REMEDY), find_table(raw, _SPLIT, _REMEDY)]
    optional = (raw / f"{_LABELS}.gz", raw / _LABELS, raw / _REPORTS_ZIP)
    return sources + [path for path in optional if path.is_file()]


def collect(raw: Path) -> Collection:
    """Filter the rows of the metadata and read their reports, once a study.

    Args:
        raw: Folder with the csv files, ``files/`` and the reports, loose beside the images or in the archive.

    Returns:
        Samples in the order of the metadata, in the official split.

    Raises:
        UserError: A table is missing or malformed, an image stands twice in one, or there is no report at all.
    """
    metadata = find_table(raw, _METADATA, _REMEDY)
    split_of_image = _read_splits(find_table(raw, _SPLIT, _REMEDY))
    classes, labels_of_study = _read_labels(raw)
    filters = FilterLog(_STAGES)
    samples: list[Sample] = []
    seen: set[str] = set()
    texts_of_study: dict[str, list[str] | None] = {}
    sentences_of_study: dict[str, list[str]] = {}
    columns = ("dicom_id", "subject_id", "study_id", "ViewPosition")
    with _ReportReader(raw) as reader:
        rows = read_table(metadata, columns)
        for line, row in tqdm(rows, desc="reports", unit="row", disable=None):
            image_id = require_file_name(row, "dicom_id", metadata, line)
            subject = require_number(row, "subject_id", metadata, line)
            study = require_number(row, "study_id", metadata, line)
            if image_id in seen:
                raise UserError(f"{metadata}, line {line}: dicom_id {image_id} stands twice in the file")
            seen.add(image_id)
            filters.passed(_STAGES[0])
            if image_id not in split_of_image:
                continue
            filters.passed(_STAGES[1])
            if row["ViewPosition"] not in _FRONTAL_VIEWS:
                continue
            filters.passed(_STAGES[2])
            if study not in sentences_of_study:
                text = reader.read(subject, study)
                texts = None if text is None else reports.report_texts(text)
                texts_of_study[study] = texts
                sentences_of_study[study] = [s for part in texts or [] for s in reports.clean_text(part)]
            if texts_of_study[study] is None:
                continue
            filters.passed(_STAGES[3])
            if not texts_of_study[study]:
                continue
            filters.passed(_STAGES[4])
            if reports.count_tokens(sentences_of_study[study]) < reports.MIN_TOKENS:
                continue
            filters.passed(_STAGES[5])
            samples.append(
                Sample(
                    image_id=image_id,
                    patient_id=subject,
                    study_id=study,
                    view=row["ViewPosition"],
                    split=split_of_image[image_id],
                    report=sentences_of_study[study],
                    image_path=f"{_patient_folder(subject)}/s{study}/{image_id}.jpg",
                    labels=None if classes is None else labels_of_study.get(study, [None] * len(classes)),
                )
            )
    if texts_of_study and all(texts is None for texts in texts_of_study.values()):
        raise UserError(
            f"{raw}: none of {len(texts_of_study)} studies has a report; expected {_REPORTS_ZIP} or "
            f"files/pNN/pNNNNNNNN/sNNNNNNNN.txt\nReports are part of https://physionet.org/content/mimic-cxr/2.0.0/"
        )
    return Collection(samples, filters, classes)


def _patient_folder(subject: str) -> str:
    """Folder of a patient, the same for images and reports."""
    return f"files/p{subject[:2]}/p{subject}"


def _read_splits(path: Path) -> dict[str, str]:
    """Split by image.

    Raises:
        UserError: A split has an unknown name, or an image stands twice in the file.
    """
    splits: dict[str, str] = {}
    for line, row in read_table(path, ("dicom_id", "split")):
        image_id = require(row, "dicom_id", path, line)
        if row["split"] not in _SPLIT_NAMES:
            raise UserError(f"{path}, line {line}: column 'split' is none of {', '.join(_SPLIT_NAMES)}")
        if image_id in splits:
            raise UserError(f"{path}, line {line}: dicom_id {image_id} stands twice in the file")
        splits[image_id] = _SPLIT_NAMES[row["split"]]
    return splits


def _read_labels(raw: Path) -> tuple[list[str] | None, dict[str, list[int | None]]]:
    """Class names and labels by study from the optional CheXpert file; no names where it is missing.

    Raises:
        UserError: A label is none of blank, 1.0, 0.0, -1.0, or a study stands twice in the file.
    """
    path = next((path for path in (raw / f"{_LABELS}.gz", raw / _LABELS) if path.is_file()), None)
    if path is None:
        return None, {}
    classes: list[str] = []
    labels: dict[str, list[int | None]] = {}
    for line, row in read_table(path, ("subject_id", "study_id")):
        classes = classes or [column for column in row if column not in ("subject_id", "study_id")]
        study = require_number(row, "study_id", path, line)
        if study in labels:
            raise UserError(f"{path}, line {line}: study_id {study} stands twice in the file")
        unknown = [name for name in classes if row[name] not in _LABEL_VALUES]
        if unknown:
            raise UserError(f"{path}, line {line}: column {unknown[0]!r} is none of blank, 1.0, 0.0, -1.0")
        labels[study] = [_LABEL_VALUES[row[name]] for name in classes]
    return classes, labels


_MAX_REPORT_BYTES = 64 * 1024 * 1024


class _ReportReader:
    """Reads the report of a study, loose beside the images, from the unpacked archive, or from the archive."""

    def __init__(self, raw: Path) -> None:
        self._folders = [raw, raw / "mimic-cxr-reports"]
        self._path = raw / _REPORTS_ZIP
        self._archive: zipfile.ZipFile | None = None
        self._members: set[str] = set()

    def __enter__(self) -> "_ReportReader":
        if self._path.is_file():
            try:
                self._archive = zipfile.ZipFile(self._path)
            except zipfile.BadZipFile as error:
                raise UserError(f"{self._path}: not a zip file, or truncated; copy it again") from error
            self._members = set(self._archive.namelist())
        return self

    def __exit__(self, *_) -> None:
        if self._archive is not None:
            self._archive.close()

    def read(self, subject: str, study: str) -> str | None:
        """Text of the report of a study, or None where there is no such report.

        Raises:
            UserError: The archive is damaged at this report.
        """
        name = f"{_patient_folder(subject)}/s{study}.txt"
        for folder in self._folders:
            if (folder / name).is_file():
                self._refuse_huge((folder / name).stat().st_size, folder / name)
                return reports.decode_report((folder / name).read_bytes())
        for member in (name, f"mimic-cxr-reports/{name}"):
            if member in self._members:
                self._refuse_huge(self._archive.getinfo(member).file_size, f"{self._path}: {member}")
                try:
                    return reports.decode_report(self._archive.read(member))
                # RuntimeError: encrypted; NotImplementedError: a compression Python does not know.
                except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
                    raise UserError(f"{self._path}: {member} cannot be unpacked; copy the archive again") from error
        return None

    @staticmethod
    def _refuse_huge(size: int, name: object) -> None:
        """A report of a few kilobytes is long; a zip member of gigabytes is an attack on the memory."""
        if size > _MAX_REPORT_BYTES:
            raise UserError(f"{name}: {size} bytes are no report (limit {_MAX_REPORT_BYTES}); copy the file again")
