"""CheXpert Plus (Chambon et al., 2024): the radiographs of CheXpert with their reports, one table of both."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

from mgca_mm.progress import tracked
from mgca_mm.reports.sections import find_sections
from mgca_mm.tables import Row, read_table

from .collection import Collection, FilterLog, Rejected, Sample, passes_text_filters
from .image_files import find_images
from .options import Options
from .raw_folder import RawFolder
from .report_words import CleanReport, ReportWords, label_sections, read_report
from .splits import hold_out_images

_TABLE = "df_chexpert_plus_240401.csv"
_REMEDY = (
    "It is part of CheXpert Plus: https://stanfordaimi.azurewebsites.net/datasets/5158c524-d3ab-4e02-96e9-6ee9efc110a1"
)
_TEXTS = {"IMPRESSION": "section_impression", "FINDINGS": "section_findings"}
_COLUMNS = ("path_to_image", "frontal_lateral", "ap_pa", "split", *_TEXTS.values(), "report")
_PATH = re.compile(r"(((?:train|valid)/(patient\d+)/study\d+)/view\d+_(?:frontal|lateral))\.jpg", re.ASCII)
_VIEWS = {"Frontal": True, "Lateral": False}
_SPLITS = {"train": (), "valid": ("test",)}
_ENDINGS = (".png", ".jpg", ".dcm")  # of CheXpert Plus, of CheXpert, and of the original files
_NUM_VALIDATION = 5000


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The table."""
    return {_TABLE: [raw.table(_TABLE, remedy=_REMEDY)]}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Keep the frontal images whose study has a report; ``valid`` is the test, as in :mod:`.chexpert`.

    5,000 frontal training images, a tenth of a smaller set, are drawn for validation, all images of a patient together.

    The text is the columns of the impression and the findings; where both are empty, such sections of the column
    ``report``, and never its last paragraph, which is the radiologist's signature.

    Args:
        raw: Folder with the table, and the images in any folders below it, ``train/patient…/study…/view….png``, or as
            CheXpert's JPEG or as DICOM.
        options: ``words``.
    """
    table = raw.table(_TABLE, remedy=_REMEDY)
    path_of = find_images(raw, _ENDINGS, depth=4)
    filters = FilterLog("rows in the table")
    samples: list[Sample] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    words = ReportWords(options.words)
    report_of_study: dict[str, CleanReport] = {}
    for row in tracked(read_table(table, _COLUMNS), "reports"):
        image_id = row.text("path_to_image")
        match = _PATH.fullmatch(image_id)
        if match is None:
            raise row.fault("column 'path_to_image' is not of the form train/patient1/study1/view1_frontal.jpg")
        row.require_new("path_to_image", image_id, seen)
        seen.add(image_id)
        filters.keep("rows in the table")
        if not filters.keep("frontal view", row.choice("frontal_lateral", _VIEWS)):
            continue
        name, study, patient = match.groups()
        image_path = path_of.get(name, image_id)
        if study not in report_of_study:
            report_of_study[study] = words.clean(_described(row), patient)
        report = report_of_study[study]
        if not passes_text_filters(report.sentences, filters):
            rejected.append(Rejected(image_id, image_path, False, report.fault))
            continue
        samples.append(
            Sample(
                image_id=image_id,
                patient_id=patient,
                study_id=study,
                view=row["ap_pa"] or "Frontal",
                splits=row.choice("split", _SPLITS),
                report=report.sentences,
                image_path=image_path,
            )
        )
    num_images = Counter(sample.patient_id for sample in samples if not sample.splits)
    split_of = hold_out_images(num_images, min(_NUM_VALIDATION, num_images.total() // 10))
    samples = [replace(sample, splits=sample.splits or (split_of[sample.patient_id],)) for sample in samples]
    return Collection(samples, filters, rejected=rejected, words=words)


def _described(row: Row) -> str:
    """The sections of a row's report that describe the image; no text where there are none."""
    sections = {name: read_report(row, column) for name, column in _TEXTS.items() if row[column]}
    if sections:
        return label_sections(sections)
    report = read_report(row, "report")
    return report if find_sections(report) else ""
