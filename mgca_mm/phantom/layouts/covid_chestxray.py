"""The phantom as the covid-chestxray-dataset, with what real collections do to their readers.

Some patients' images lack notes, some share one note on the whole case, some have names with blanks and brackets, some
rows lack age and date, laterals stand among the frontals, and a few patients have a CT slice. Lung boxes and lung masks
exist for some of the frontal images. What counts as COVID-19 and as another pneumonia is COVIDx's rule (``covidx.py``);
``No Finding`` is written where nothing was drawn and ``todo`` where only something else was.
"""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from ..anatomy import SIDES
from ..render import PhantomImage, tight_box
from ..study import PhantomStudy
from .covidx import infection
from .layout import FRONTAL, Entry, Layout, PhantomOptions, Rows, draw, truth_row, write_image, write_text

_HEADER = (
    "patientid,offset,sex,age,finding,survival,intubated,intubation_present,went_icu,in_icu,needed_supplemental_O2,"
    "extubated,temperature,pO2_saturation,leukocyte_count,neutrophil_count,lymphocyte_count,view,modality,date,location,"
    "folder,filename,doi,url,license,clinical_notes,other_notes"
)
_COLUMNS = tuple(_HEADER.split(","))
_FINDINGS = {"COVID-19": "Pneumonia/Viral/COVID-19", "pneumonia": "Pneumonia/Bacterial/Streptococcus"}
_VIEWS = {"PA": ("PA",), "AP": ("AP", "AP Supine"), "LATERAL": ("L",)}
_CATEGORIES = {"right": 1, "left": 2}


def _write_patient(out: Path, options: PhantomOptions, entry: Entry) -> Rows:
    """Write one patient; each oddity belongs to some patients, by index, so that few of them show them all."""
    index = entry.index
    rows: Rows = {"metadata.csv": [], "boxes": [], "truth": []}
    studies = options.sample(index)
    for study in studies:
        described = () if index % 5 == 1 else studies if index % 4 == 2 else (study,)
        row = _study_row(study, entry, studies[0]) | {"clinical_notes": _note(described)}
        for number, view, image in draw(study, options):
            name = _file_name(study, entry, number)
            row_of_image = row | {"view": _VIEWS[view][index % len(_VIEWS[view])], "filename": name}
            write_image(out / "images" / name, image.pixels)
            rows["metadata.csv"].append(_cells(row_of_image))
            rows["truth"].append(truth_row(study, view, image, filename=name))
            if view in FRONTAL and index % 3 != 2:
                rows["boxes"].append(_box_entry(row_of_image, image))
            if view in FRONTAL and index % 2 == 0:
                mask = 255 * (image.lungs["right"] | image.lungs["left"]).astype(np.uint8)
                write_image(out / "annotations" / "lungVAE-masks" / f"{Path(name).stem}_mask.png", mask)
    if index % 10 == 0:
        name = f"{entry.number}-ct.png"
        write_image(out / "images" / name, _ct_slice(options.size))
        rows["metadata.csv"].append(_cells(row | {"view": "Axial", "modality": "CT", "filename": name}))
    return rows


def _file_name(study: PhantomStudy, entry: Entry, number: int) -> str:
    suffix = (".png", ".jpg", ".jpeg")[entry.index % 3]
    if entry.index % 4 == 0:
        return f"case {entry.number} [study {study.study_index}] ({number}){suffix}"
    return f"{entry.number}-{study.study_index}-{number}{suffix}"


def _study_row(study: PhantomStudy, entry: Entry, first: PhantomStudy) -> dict[str, str]:
    """What the rows of a study's images share."""
    tube = any(finding.device == "endotracheal_tube" for finding in study.findings)
    known = entry.index % 7 != 3
    finding = _FINDINGS.get(infection(study), "todo" if study.findings else "No Finding")
    return {
        "patientid": str(entry.number),
        "offset": str((_day(study) - _day(first)).days) if known else "",
        "sex": study.anatomy.sex,
        "age": str(study.anatomy.age) if known else "",
        "finding": finding,
        "intubation_present": "Y" if tube else "N",
        "modality": "X-ray",
        "date": str(_day(study).year) if known else "",
        "folder": "images",
        "license": "Apache 2.0",
    }


def _day(study: PhantomStudy) -> datetime.date:
    return datetime.datetime.strptime(str(study.date), "%Y%m%d").date()


def _note(studies: Sequence[PhantomStudy]) -> str:
    """The reports' sentences, each once."""
    sentences = (sentence for study in studies for sentence in study.report.sentences())
    return " ".join(dict.fromkeys(sentences))


def _box_entry(row: dict[str, str], image: PhantomImage) -> dict[str, object]:
    """An image of the COCO file, with the lungs' boxes beside it."""
    height, width = image.pixels.shape
    known = {name: row[name] for name in _COLUMNS if row.get(name)}
    metadata = {name.replace("clinical_notes", "clinical notes"): value for name, value in known.items()}
    entry = {"license": 1, "file_name": row["filename"], "height": height, "width": width, "metadata": metadata}
    return {"image": entry, "lungs": {side: tight_box(image.lungs[side]) for side in SIDES}}


def _ct_slice(size: int) -> np.ndarray:
    """A disc of tissue with two lungs, uint8 (H, W): enough to be what no radiograph is."""
    pixels = np.zeros((size, size), np.uint8)
    cv2.ellipse(pixels, (size // 2, size // 2), (size * 9 // 20, size // 3), 0, 0, 360, 160, -1)
    for x in (size * 3 // 10, size * 7 // 10):
        cv2.ellipse(pixels, (x, size // 2), (size * 3 // 20, size // 5), 0, 0, 360, 30, -1)
    return pixels


def _cells(row: dict[str, str]) -> list[str]:
    return [row.get(name, "") for name in _COLUMNS]


def _write_boxes(out: Path, tables: Rows) -> None:
    images, annotations = [], []
    for image_id, entry in enumerate(tables["boxes"], 1):
        images.append(entry["image"] | {"id": image_id})
        for side, box in entry["lungs"].items():
            if box is not None:
                annotations.append(
                    {
                        "segmentation": [],
                        "area": float(box[2] * box[3]),
                        "image_id": image_id,
                        "bbox": [float(value) for value in box],
                        "id": len(annotations) + 1,
                        "category_id": _CATEGORIES[side],
                    }
                )
    categories = [
        {"supercategory": "Lungs", "id": number, "name": f"{side.title()} Lung"} for side, number in _CATEGORIES.items()
    ]
    coco = {
        "info": {"description": "Phantom: Lung Bounding Boxes"},
        "licenses": [{"url": "http://www.apache.org/licenses/LICENSE-2.0", "id": 1, "name": "Apache 2.0"}],
        "categories": categories,
        "images": images,
        "annotations": annotations,
    }
    write_text(out / "annotations" / "imageannotation_ai_lung_bounding_boxes.json", json.dumps(coco))


LAYOUT = Layout("covid_chestxray", _write_patient, {"metadata.csv": _HEADER}, write_more=_write_boxes)
