"""A user's own image-report pairs: one csv file with an image and a report a row."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from mgca_mm.errors import UserError
from mgca_mm.reports.cleaning import TOO_SHORT
from mgca_mm.tables import is_name, read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .options import Options
from .own_files import names_patients, only_table, patient_of, relative_path
from .raw_folder import RawFolder
from .report_words import CleanReport, ReportWords, read_report
from .splits import SPLIT_NAMES, divide

_REQUIRED = ("image", "report")
_OPTIONAL = {  # How names begin that others have for them.
    "patient": ("patient", "subject"),
    "study": ("study", "accession"),
    "split": ("split",),
    "view": ("view", "projection"),
}
_FORMAT = "with the columns image, report and, where they are known, patient, study, split and view"
# Without patients, images of one text are views of one study up to this number. More have a text of many patients.
_MAX_VIEWS = 4


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table."""
    table = only_table(raw, _FORMAT)
    return {table.name: [table]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the pairs; those without a split of their own are divided 80/10/10 by patient.

    The text is the impression and the findings of a report that has such sections, else all of it but sections known to
    be something else (see :func:`mgca_mm.reports.sections.split_report`). The images are JPEG, PNG or DICOM
    files beside the table, in any folders.

    Without a study column, the images of one patient with one report are a study. Where patients are not given either,
    a report at two to four images is a study, and this its patient, lest its views come into several splits; a report
    at more of them is one that many patients have, and each image counts as a study and a patient.

    With a study column, an image whose report is blank has that of its study. The words of a report are counted once a
    study.
    """
    ((table,),) = find_sources(raw).values()
    filters = FilterLog("rows in the table")
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    words = ReportWords(options.words)
    seen: set[str] = set()
    clean: dict[tuple[str | None, str | None, str], CleanReport] = {}
    num_rows: Counter[tuple[str | None, str | None, str]] = Counter()
    first_of_study: dict[tuple[str | None, str | None], tuple[list[str], int]] = {}
    row = None
    for row in read_table(table, _REQUIRED):
        image = relative_path(row, "image", raw)
        row.require_new("image", image, seen)
        seen.add(image)
        filters.keep("rows in the table")
        try:
            text = read_report(row, "report")
        except UserError as error:
            filters.keep("report readable", False)
            rejected.append(Rejected(image, image, True, str(error)))
            continue
        filters.keep("report readable")
        patient, study = patient_of(row, "") or None, row.text("study") if "study" in row else None
        report = None
        if text.strip() or study is None:
            if (key := (patient, study, text)) not in clean:
                clean[key] = words.clean(text, patient or "", all_of_it=True)
            num_rows[key] += 1
            if not passes_text_filters(clean[key].sentences, filters):
                rejected.append(Rejected(image, image, False, clean[key].fault))
                continue
            report = clean[key].sentences
        if report is not None and study is not None:
            first, line = first_of_study.setdefault((patient, study), (report, row.line))
            if first != report:
                raise row.fault(
                    f"another report than in line {line}, which is of the same study\n"
                    "A study has one report: correct the column 'study', or one of the reports."
                )
            report = first
        samples.append(
            Sample(
                image_id=image,
                patient_id=patient,
                study_id=study,
                view=row.get("view") or None,
                report=report,
                image_path=image,
                splits=(row.choice("split", SPLIT_NAMES),) if "split" in row else (),
            )
        )
    for (*names, text), count in num_rows.items():
        if names == [None, None] and count > _MAX_VIEWS:
            words.clean(text, "", all_of_it=True, times=count - 1)
    columns = [] if row is None else list(row)
    notes = _describe(columns)
    if blank := sum(sample.report is None for sample in samples):
        report_of = {key: report for key, (report, _) in first_of_study.items()}
        samples = _fill_reports(samples, report_of, filters, rejected)
        notes.append(f"{blank} images without a report of their own have that of their study, where there is one")
    samples = _name_studies(samples) if "study" in columns else _find_studies(samples)
    undivided = dict.fromkeys(sample.patient_id for sample in samples if not sample.splits)
    if undivided:
        split_of = divide(list(undivided), 0.2, 0.5, table)
        samples = [replace(sample, splits=(split_of[sample.patient_id],)) for sample in samples]
    return Collection(samples, filters, rejected=rejected, notes=notes, words=words)


def _fill_reports(
    samples: list[Sample],
    report_of: dict[tuple[str | None, str | None], list[str]],
    filters: FilterLog,
    rejected: list[Rejected],
) -> list[Sample]:
    """Samples whose blank report is that of their study; those of a study that has none are left out."""
    filled = []
    for sample in samples:
        if sample.report is None:
            sample = replace(sample, report=report_of.get((sample.patient_id, sample.study_id), []))
            if not passes_text_filters(sample.report, filters):
                rejected.append(Rejected(sample.image_id, sample.image_path, False, TOO_SHORT))
                continue
        filled.append(sample)
    return filled


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
    patient = next(filter(names_patients, columns), "patient")
    if columns and patient not in columns:
        what = "studies" if "study" in columns else "images"
        notes.append(f"patients are not given: one with several {what} may be in several splits")
    if patient != "patient":
        notes.append(f"patients are those of the column {patient!r}")
    others = [column for column in columns if column and column not in (*_REQUIRED, *_OPTIONAL, patient)]
    if others:
        names = [column for column in others if is_name(column)]
        hidden = [f"{len(others) - len(names)} more"] if len(names) < len(others) else []
        notes.append(f"columns not read: {', '.join(names[:20] + hidden)}")
    for expected, beginnings in _OPTIONAL.items():
        similar = [column for column in others if is_name(column) and column.lower().startswith(beginnings)]
        if similar and expected not in columns and not (expected == "patient" and patient in columns):
            notes.append(f"to be read, the column {similar[0]!r} must be named {expected!r}")
    return notes
