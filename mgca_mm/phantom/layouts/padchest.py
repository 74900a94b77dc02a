"""The phantom as PadChest: 16-bit PNG files in numbered folders, and one table with reports in Spanish stems.

The reports name what was drawn, and deny some of what was not. A few are empty, as in the original.
"""

from pathlib import Path

import numpy as np

from ..study import LABELS_OF, PhantomStudy
from .layout import Entry, Layout, PhantomOptions, Rows, draw, hex_id, layout_rng, truth_row, write_image

_TABLE = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
_HEADER = (
    ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection,"
    "MethodProjection,Pediatric,Modality_DICOM,Manufacturer_DICOM,PhotometricInterpretation_DICOM,"
    "PixelRepresentation_DICOM,PixelAspectRatio_DICOM,SpatialResolution_DICOM,BitsStored_DICOM,WindowCenter_DICOM,"
    "WindowWidth_DICOM,Rows_DICOM,Columns_DICOM,XRayTubeCurrent_DICOM,Exposure_DICOM,ExposureInuAs_DICOM,"
    "ExposureTime,RelativeXRayExposure_DICOM,ReportID,Report,MethodLabel,Labels,Localizations,"
    "LabelsLocalizationsBySentence,labelCUIS,LocalizationsCUIS"
)
_STEMS = {  # the words of the reports, and the label
    "cardiomegaly": ("cardiomegali", "cardiomegaly"),
    "pleural_effusion": ("derram pleural", "pleural effusion"),
    "consolidation": ("consolid alveol", "consolidation"),
    "atelectasis": ("atelectasi lamin", "laminar atelectasis"),
    "edema": ("edem pulmon", "pulmonary edema"),
    "pneumothorax": ("neumotorax", "pneumothorax"),
    "nodule": ("nodul pulmon", "nodule"),
    "pneumonia": ("infiltr neumon", "pneumonia"),
    "foreign_object": ("dispositiv medic", "electrical device"),
}
_SIDES = {"left": "izquierd", "right": "derech", "bilateral": "bilateral"}
_GRADES = ("", "lev", "moder", "sever")
_PROJECTIONS = {"PA": "PA", "AP": "AP_horizontal", "LATERAL": "L"}
_EMPTY, _DENIED = 0.02, 0.4  # fractions of the reports, and of what is not there
_DEPTH = 257  # from 8 bits to 16


def _report(study: PhantomStudy, rng: np.random.Generator) -> str:
    """A study's report, or nothing."""
    present = {finding.kind for finding in study.findings}
    sentences = [
        " ".join(filter(None, (_STEMS[finding.kind][0], _GRADES[finding.severity], _SIDES.get(finding.side))))
        for finding in study.findings
    ]
    denied = [kind for kind in LABELS_OF if kind not in present and rng.random() < _DENIED]
    sentences += [f"no se observ {_STEMS[kind][0]}" for kind in denied]
    sentences += [] if present else ["sin hallazg patolog signific"]
    return "" if rng.random() < _EMPTY else "".join(f"{sentence} . " for sentence in sentences)


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    rows: Rows = {_TABLE: [], "truth": []}
    for study in options.sample(entry.index):
        report = _report(study, layout_rng(study))
        labels = sorted({_STEMS[finding.kind][1] for finding in study.findings}) or ["normal"]
        for number, view, image in draw(study, options):
            name = f"{study.study_id}{study.subject_id}_{hex_id(study, number, 6)}.png"
            folder = str(entry.index % 54)
            write_image(out / folder / name, image.pixels.astype(np.uint16) * _DEPTH)
            cells = {
                "ImageID": name,
                "ImageDir": folder,
                "StudyDate_DICOM": study.date,
                "StudyID": study.study_id,
                "PatientID": study.subject_id,
                "PatientSex_DICOM": study.anatomy.sex,
                "Projection": _PROJECTIONS[view],
                "BitsStored_DICOM": 16,
                "Rows_DICOM": image.pixels.shape[0],
                "Columns_DICOM": image.pixels.shape[1],
                "ReportID": study.study_id,
                "Report": report,
                "Labels": str(labels),
            }
            rows[_TABLE].append([cells.get(column, "") for column in _HEADER.split(",")])
            rows["truth"].append(truth_row(study, view, image, ImageID=name))
    return rows


LAYOUT = Layout("padchest", _write_patient, {_TABLE: _HEADER})
