"""The phantom as CheXpert Plus: one table of images, reports and their sections, and the images as PNG.

Files lie in two folders, as the archives that the original comes in unpack to. The table names them as CheXpert's JPEG.
"""

from pathlib import Path

from ..study import PhantomStudy
from .layout import Entry, Layout, PhantomOptions, Rows, draw, train_and_test, truth_row, write_image

_TABLE = "df_chexpert_plus_240401.csv"
_HEADER = (
    "path_to_image,path_to_dcm,frontal_lateral,ap_pa,deid_patient_id,patient_report_date_order,report,"
    "section_narrative,section_clinical_history,section_history,section_comparison,section_technique,"
    "section_procedure_comments,section_findings,section_impression,section_end_of_impression,section_summary,"
    "section_accession_number,age,sex,race,ethnicity,interpreter_needed,insurance_type,recent_bmi,deceased,split"
)
_SIGNATURE = "I have personally reviewed the images for this examination and agree with the report transcribed above."
_SEX = {"F": "Female", "M": "Male"}


def _sections(study: PhantomStudy) -> dict[str, str]:
    """The text of each section that a study's report has."""
    texts = {
        name: "\n\n".join(
            f"{number}.{sentence.upper()}" for number, sentence in enumerate(study.report.sentences(name), 1)
        )
        for name in ("findings", "impression")
    }
    return {"narrative": "CHEST RADIOGRAPHY", **texts, "end_of_impression": _SIGNATURE}


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {_TABLE: [], "truth": []}
    patient = f"patient{entry.number:05d}"
    for study in options.sample(entry.index):
        sections = _sections(study)
        report = "\n\n".join(f"{name.replace('_', ' ').upper()}:\n{text}" for name, text in sections.items() if text)
        folder = f"{entry.split}/{patient}/study{study.study_index + 1}"
        for number, view, image in draw(study, options):
            plane = "Lateral" if view == "LATERAL" else "Frontal"
            name = f"{folder}/view{number + 1}_{plane.lower()}"
            write_image(out / "PNG" / f"png_chexpert_plus_chunk_{entry.index % 2}" / f"{name}.png", image.pixels)
            cells = {
                "path_to_image": f"{name}.jpg",
                "path_to_dcm": f"{name}.dcm",
                "frontal_lateral": plane,
                "ap_pa": "" if plane == "Lateral" else view,
                "deid_patient_id": patient,
                "patient_report_date_order": study.study_index + 1,
                "report": report,
                **{f"section_{name}": text for name, text in sections.items()},
                "age": study.anatomy.age,
                "sex": _SEX[study.anatomy.sex],
                "split": entry.split,
            }
            rows[_TABLE].append([cells.get(column, "") for column in _HEADER.split(",")])
            rows["truth"].append(truth_row(study, view, image, path_to_image=f"{name}.jpg"))
    return rows


LAYOUT = Layout("chexpert_plus", _write_patient, {_TABLE: _HEADER}, lambda options: train_and_test(options, "valid"))
