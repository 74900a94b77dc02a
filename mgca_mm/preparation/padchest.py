"""PadChest (Bustos et al., 2020): radiographs with reports in Spanish, in the layout of BIMCV's download."""

from dataclasses import replace
from pathlib import Path

from mgca_mm.progress import tracked
from mgca_mm.tables import read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .image_files import find_images
from .options import Options
from .raw_folder import RawFolder
from .report_words import CleanReport, ReportWords, read_report
from .splits import divide

_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
_REMEDY = "It is part of PadChest: https://bimcv.cipf.es/bimcv-projects/padchest/"
_COLUMNS = ("ImageID", "StudyID", "PatientID", "Projection", "Report")
_FRONTAL = ("PA", "AP", "AP_horizontal")  # the last of a patient who lies


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table."""
    return {_TABLE: [raw.table(_TABLE, remedy=_REMEDY)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Keep the frontal images whose study has a report, and divide the patients 80/10/10: no split is published.

    Reports are published as stems in lower case, ``sin hallazg patolog . ``, without sections.

    Args:
        raw: Folder with the table, and the PNG files of the archives in any folders below it.
        options: ``words``.
    """
    table = raw.table(_TABLE, remedy=_REMEDY)
    path_of = find_images(raw, (".png",))
    filters = FilterLog("rows in the table")
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    words = ReportWords(options.words)
    report_of_study: dict[str, CleanReport] = {}
    for row in tracked(read_table(table, _COLUMNS), "reports"):
        image_id = row.file_name("ImageID")
        row.require_new("ImageID", image_id, seen)
        seen.add(image_id)
        filters.keep("rows in the table")
        if not filters.keep("frontal projection", row["Projection"] in _FRONTAL):
            continue
        study, image_path = row.text("StudyID"), path_of.get(image_id.removesuffix(".png"), image_id)
        if study not in report_of_study:
            report_of_study[study] = words.clean(read_report(row, "Report"), row.text("PatientID"), all_of_it=True)
        report = report_of_study[study]
        if not passes_text_filters(report.sentences, filters):
            rejected.append(Rejected(image_id, image_path, False, report.fault))
            continue
        samples.append(
            Sample(
                image_id=image_id,
                patient_id=row.text("PatientID"),
                study_id=study,
                view=row["Projection"],
                report=report.sentences,
                image_path=image_path,
            )
        )
    split_of = divide(list(dict.fromkeys(sample.patient_id for sample in samples)), 0.2, 0.5, table)
    samples = [replace(sample, splits=(split_of[sample.patient_id],)) for sample in samples]
    return Collection(samples, filters, rejected=rejected, words=words)
