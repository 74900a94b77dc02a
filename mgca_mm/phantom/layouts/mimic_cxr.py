"""The phantom as MIMIC-CXR-JPG 2.0.0 and the reports of MIMIC-CXR, so that one preparation reads both."""

from pathlib import Path

from ..findings import Finding
from ..render import PhantomImage
from ..reports import merge_effusions, name_finding
from ..study import CHEXPERT_LABELS, PhantomStudy
from .layout import (
    FRONTAL,
    Entry,
    Layout,
    PhantomOptions,
    Rows,
    draw,
    hex_id,
    layout_rng,
    truth_row,
    write_image,
    write_text,
)

_METADATA, _SPLIT, _CHEXPERT = (f"mimic-cxr-2.0.0-{name}.csv.gz" for name in ("metadata", "split", "chexpert"))
PHRASES = "phantom-phrases.csv"  # with boxes, in the columns of MS-CXR's table
_TABLES = {
    _METADATA: "dicom_id,subject_id,study_id,PerformedProcedureStepDescription,ViewPosition,Rows,Columns,StudyDate,"
    "StudyTime,ProcedureCodeSequence_CodeMeaning,ViewCodeSequence_CodeMeaning,"
    "PatientOrientationCodeSequence_CodeMeaning",
    _SPLIT: "dicom_id,study_id,subject_id,split",
    _CHEXPERT: ",".join(("subject_id", "study_id", *CHEXPERT_LABELS)),
    PHRASES: "dicom_id,category_name,label_text,path,x,y,w,h,image_width,image_height,split",
}
_VIEW_CODE = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral"}


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {table: [] for table in ("truth", *_TABLES)}
    for study in options.sample(entry.index):
        subject = f"p{study.subject_id}"
        folder = Path(out, "files", subject[:3], subject, f"s{study.study_id}")
        write_text(folder.with_suffix(".txt"), study.report.text)
        labels = [f"{value:.1f}" for value in study.labels.values()]
        rows[_CHEXPERT].append((study.subject_id, study.study_id, *labels))
        for number, view, image in draw(study, options):
            dicom_id = _dicom_id(study, number)
            write_image(folder / f"{dicom_id}.jpg", image.pixels)
            rows[_METADATA].append(_metadata_row(study, dicom_id, view, image))
            rows[_SPLIT].append((dicom_id, study.study_id, study.subject_id, entry.split))
            rows["truth"].append(truth_row(study, view, image, dicom_id=dicom_id))
            if view in FRONTAL:
                path = f"files/{subject[:3]}/{subject}/s{study.study_id}/{dicom_id}.jpg"
                rows[PHRASES] += [(*row, entry.split) for row in _phrase_rows(study, dicom_id, path, image)]
    return rows


def _phrase_rows(study: PhantomStudy, dicom_id: str, path: str, image: PhantomImage) -> list[tuple]:
    """A row for each box; the two boxes of effusions that are named together have one text."""
    rng = layout_rng(study)
    height, width = image.pixels.shape
    boxes = dict(zip(study.findings, image.boxes, strict=True))
    rows = []
    for named in merge_effusions(study.findings):
        text = name_finding(named, rng)[1]
        rows += [
            (dicom_id, named.kind.replace("_", " "), text, path, *box, width, height)
            for finding, box in boxes.items()
            if _is_part(finding, named) and box is not None
        ]
    return rows


def _is_part(finding: Finding, named: Finding) -> bool:
    """Whether a finding is the named one, or one of the two effusions of a bilateral one."""
    both = named.kind == finding.kind == "pleural_effusion" and named.side == "bilateral"
    return both or finding == named


def _metadata_row(study: PhantomStudy, dicom_id: str, view: str, image: PhantomImage) -> tuple:
    several = "CHEST (PA AND LAT)" if len(study.views) > 1 else "CHEST (SINGLE VIEW)"
    exam = "CHEST (PORTABLE AP)" if view == "AP" else several
    posture = "Recumbent" if view == "AP" else "Erect"
    ids = (dicom_id, study.subject_id, study.study_id)
    return (*ids, exam, view, *image.pixels.shape, study.date, study.time, exam, _VIEW_CODE[view], posture)


def _dicom_id(study: PhantomStudy, number: int) -> str:
    """MIMIC's form of an image's name: five groups of eight hexadecimal digits."""
    digits = hex_id(study, number, 40)
    return "-".join(digits[start : start + 8] for start in range(0, 40, 8))


LAYOUT = Layout(
    "mimic_cxr",
    _write_patient,
    _TABLES,
    lambda options: dict(zip(("train", "validate", "test"), options.split, strict=True)),
)
