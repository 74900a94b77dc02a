"""A user's own image-report pairs: one csv file with an image and a report a row."""

from dataclasses import replace
from pathlib import Path, PurePosixPath

from mgca_mm.errors import UserError
from mgca_mm.files import is_inside
from mgca_mm.reports.cleaning import decode_report
from mgca_mm.tables import Row, read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .options import Options
from .raw_folder import RawFolder
from .report_words import ReportWords
from .splits import SPLIT_NAMES, divide

_FORMAT = "one csv file with the columns image, report and, where they are known, patient and split"


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table, the only csv file of the folder."""
    tables = sorted(path for path in raw.path.iterdir() if path.name.endswith((".csv", ".csv.gz")))
    if len(tables) != 1:
        raise UserError(f"{raw.path}: {len(tables)} csv files in the folder; expected {_FORMAT}")
    return {tables[0].name: [raw.table(tables[0].name.removesuffix(".gz"), remedy=_FORMAT)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the pairs; those without a split of their own are divided 80/10/10 by patient.

    The text is the impression and the findings of a report that has such sections, else all of it but sections known to
    be something else (see :func:`mgca_mm.reports.cleaning.split_report`). Without a patient column each image counts as
    a patient. The images are JPEG, PNG or DICOM files beside the table, in any folders.
    """
    ((table,),) = find_sources(raw).values()
    filters = FilterLog("rows in the table")
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    words = ReportWords(options.words)
    seen: set[str] = set()
    for row in read_table(table, ("image", "report")):
        image = _relative_path(row)
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
        patient = row.text("patient") if "patient" in row else image
        report = words.clean(text, patient, all_of_it=True)
        if not passes_text_filters(report.sentences, filters):
            rejected.append(Rejected(image, image, False, report.fault))
            continue
        samples.append(
            Sample(
                image_id=image,
                patient_id=patient,
                study_id=image,
                report=report.sentences,
                image_path=image,
                splits=(row.choice("split", SPLIT_NAMES),) if "split" in row else (),
            )
        )
    undivided = dict.fromkeys(sample.patient_id for sample in samples if not sample.splits)
    if undivided:
        split_of = divide(list(undivided), 0.2, 0.5, table)
        samples = [replace(sample, splits=(split_of[sample.patient_id],)) for sample in samples]
    known = samples and samples[0].patient_id != samples[0].image_id
    notes = [] if known else ["patients are not given: one with several images may be in several splits"]
    return Collection(samples, filters, rejected=rejected, notes=notes, words=words)


def _relative_path(row: Row) -> str:
    """Path of an image inside the raw folder; no control characters, which no list with one name a line could hold."""
    path = str(PurePosixPath(row.text("image")))
    if not (is_inside(path) and path.isprintable()):
        raise row.fault("column 'image' is not a path inside the folder of the table")
    return path
