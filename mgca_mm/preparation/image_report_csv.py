"""A user's own image-report pairs: one csv file with an image and a report a row."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from mgca_mm.files import is_inside
from mgca_mm.reports.cleaning import decode_report
from mgca_mm.tables import Row, is_name, read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .options import Options
from .raw_folder import RawFolder
from .report_words import ReportWords
from .splits import SPLIT_NAMES, divide

_REQUIRED = ("image", "report")
_OPTIONAL = {  # How names begin that others have for them.
    "patient": ("patient", "subject"),
    "study": ("study", "accession"),
    "split": ("split",),
    "view": ("view", "projection"),
}
_NO_WORKBOOK = "Of a workbook (.xlsx), save the sheet as CSV UTF-8; let the name of any other table end in .csv."
_FORMAT = "one csv file with the columns image, report and, where they are known, patient, study, split and view"
_ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
# Without patients, images of one text are views of one study up to this number. More have a text of many patients.
_MAX_VIEWS = 4


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table, the only csv file of the folder."""
    tables = _tables(raw.path.iterdir())
    if len(tables) != 1:
        below = [] if tables else _tables(raw.path.glob("*/*"))
        what = f"{raw.path}: {len(tables)} csv files in the folder; expected {_FORMAT}"
        raise raw.missing(what, below, _NO_WORKBOOK)
    return {tables[0]: [raw.table(tables[0].removesuffix(".gz"), remedy=_NO_WORKBOOK)]}


def _tables(paths: Iterable[Path]) -> list[str]:
    """Names of the csv files among some; hidden ones are what macOS puts into archives."""
    return sorted(p.name for p in paths if p.name.lower().endswith(_ENDINGS) and not p.name.startswith("."))


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the pairs; those without a split of their own are divided 80/10/10 by patient.

    The text is the impression and the findings of a report that has such sections, else all of it but sections known to
    be something else (see :func:`mgca_mm.reports.sections.split_report`). The images are JPEG, PNG or DICOM
    files beside the table, in any folders.

    Without a study column, the images of one patient with one report are a study. Where patients are not given either,
    a report at two to four images is a study, and this its patient, lest its views come into several splits; a report
    at more of them is one that many patients have, and each image counts as a study and a patient.
    """
    ((table,),) = find_sources(raw).values()
    filters = FilterLog("rows in the table")
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    words = ReportWords(options.words)
    seen: set[str] = set()
    first_of_study: dict[tuple[str | None, str], tuple[list[str], int]] = {}
    row = None
    for row in read_table(table, _REQUIRED):
        image = _relative_path(row, raw)
        row.require_new("image", image, seen)
        seen.add(image)
        filters.keep("rows in the table")
        try:
            text = decode_report(row["report"].encode("utf-8", "surrogateescape"))
        except ValueError as error:
            filters.keep("report readable", False)
            rejected.append(Rejected(image, image, True, f"{row.place}: {error}"))
            continue
        filters.keep("report readable")
        patient, study = (row.text(name) if name in row else None for name in ("patient", "study"))
        report = words.clean(text, patient or image, all_of_it=True)
        if not passes_text_filters(report.sentences, filters):
            rejected.append(Rejected(image, image, False, report.fault))
            continue
        sentences = report.sentences
        if study is not None:
            first, line = first_of_study.setdefault((patient, study), (sentences, row.line))
            if first != sentences:
                raise row.fault(
                    f"another report than in line {line}, which is of the same study\n"
                    "A study has one report: correct the column 'study', or one of the reports."
                )
            sentences = first
        samples.append(
            Sample(
                image_id=image,
                patient_id=patient,
                study_id=study,
                view=row.get("view") or None,
                report=sentences,
                image_path=image,
                splits=(row.choice("split", SPLIT_NAMES),) if "split" in row else (),
            )
        )
    columns = [] if row is None else list(row)
    samples = _name_studies(samples) if "study" in columns else _find_studies(samples)
    undivided = dict.fromkeys(sample.patient_id for sample in samples if not sample.splits)
    if undivided:
        split_of = divide(list(undivided), 0.2, 0.5, table)
        samples = [replace(sample, splits=(split_of[sample.patient_id],)) for sample in samples]
    return Collection(samples, filters, rejected=rejected, notes=_describe(columns), words=words)


def _name_studies(samples: list[Sample]) -> list[Sample]:
    """Samples of known studies, which may be numbered within a patient; a study without a patient stands for one."""
    patients_of: dict[str, set[str | None]] = {}
    for sample in samples:
        patients_of.setdefault(sample.study_id, set()).add(sample.patient_id)
    if any(len(patients) > 1 for patients in patients_of.values()):
        samples = [replace(sample, study_id=f"{sample.patient_id}/{sample.study_id}") for sample in samples]
    return [replace(sample, patient_id=sample.patient_id or sample.study_id) for sample in samples]


def _find_studies(samples: list[Sample]) -> list[Sample]:
    """Samples with their studies, found by patient and report; named by their first images."""
    keys = [(sample.patient_id, sample.splits, tuple(sample.report)) for sample in samples]
    count = Counter(keys)
    first_of: dict[tuple, Sample] = {}
    found = []
    for sample, key in zip(samples, keys, strict=True):
        is_known = sample.patient_id is not None or count[key] <= _MAX_VIEWS
        first = first_of.setdefault(key, sample) if is_known else sample
        study = first.image_id
        found.append(replace(sample, study_id=study, patient_id=sample.patient_id or study, report=first.report))
    return found


def _describe(columns: list[str]) -> list[str]:
    """What the manifest says about the columns of the table."""
    notes = []
    if columns and "patient" not in columns:
        what = "studies" if "study" in columns else "images"
        notes.append(f"patients are not given: one with several {what} may be in several splits")
    others = [column for column in columns if column and column not in (*_REQUIRED, *_OPTIONAL)]
    if others:
        names = [column for column in others if is_name(column)]
        hidden = [f"{len(others) - len(names)} more"] if len(names) < len(others) else []
        notes.append(f"columns not read: {', '.join(names[:20] + hidden)}")
    for expected, beginnings in _OPTIONAL.items():
        similar = [column for column in others if is_name(column) and column.lower().startswith(beginnings)]
        if similar and expected not in columns:
            notes.append(f"to be read, the column {similar[0]!r} must be named {expected!r}")
    return notes


def _relative_path(row: Row, raw: RawFolder) -> str:
    """Path of an image inside the raw folder; no control characters, which no list with one name a line could hold."""
    text = row.text("image")
    path, windows = str(PurePosixPath(text)), PureWindowsPath(text)
    if "\\" in text and not os.path.lexists(raw.path / path):
        path = windows.as_posix()
    if not (is_inside(path) and path.isprintable()) or windows.drive:
        raise row.fault(
            "column 'image' is not a path inside the folder of the table\n"
            "Write it from this folder on, such as scans/1.png, without a drive or a leading slash."
        )
    return path
