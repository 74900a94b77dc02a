"""The smallest raw tree of each data set that is prepared without a complaint, for tests that spoil it."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import pytest

from mgca_mm.errors import UserError
from mgca_mm.phantom.dicom import write_dicom
from mgca_mm.preparation import Options, prepare

SECRET = "SECRETWORD"  # In every text of a patient: no message may repeat it.
REPORT = f"The lungs are clear {SECRET}. No effusion."
LUNG_BOXES = "annotations/imageannotation_ai_lung_bounding_boxes.json"
PADCHEST = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"
SIDE = 64
_VINDR_LABELS = (
    "Aortic enlargement,Atelectasis,Calcification,Cardiomegaly,Clavicle fracture,Consolidation,Edema,Emphysema,"
    "Enlarged PA,ILD,Infiltration,Lung Opacity,Lung cavity,Lung cyst,Mediastinal shift,Nodule/Mass,Pleural effusion,"
    "Pleural thickening,Pneumothorax,Pulmonary fibrosis,Rib fracture,Other lesion,COPD,Lung tumor,Pneumonia,"
    "Tuberculosis,Other diseases,No finding"
)


@dataclass
class RawTree:
    """What a tree is made of before it is written.

    Attributes:
        tables: Rows of each table, the header first where it has one.
        files: Content of the other files, but for images.
        images: Paths of the images that are prepared, in the order of the tables.
        side: Of the images, in pixels.
    """

    tables: dict[str, list[list[str]]]
    images: list[str]
    files: dict[str, bytes] = field(default_factory=dict)
    side: int = SIDE

    def write(self, folder: Path, images: bool = True) -> Path:
        for name, rows in self.tables.items():
            self.write_table(folder / name, rows)
        for name, content in self.files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        for number, name in enumerate(self.images if images else ()):
            write_image(folder / name, self.side, number)
        return folder

    @staticmethod
    def write_table(path: Path, rows: list[list[str]]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            if path.suffix == ".txt":
                file.writelines(" ".join(cells) + "\n" for cells in rows)
            else:
                csv.writer(file, lineterminator="\n").writerows(rows)


def write_image(path: Path, side: int = SIDE, number: int = 0) -> None:
    """A ramp, each number another one."""
    pixels = (np.arange(side, dtype=np.uint16) * 180 // side + 5 * number + np.zeros((side, 1), int)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in (".dcm", ".dicom"):
        write_dicom(path, pixels, SOPInstanceUID=f"1.2.{number}")
    else:
        cv2.imwrite(str(path), pixels)


def open_i_report(number: int, text: str = REPORT, images: tuple[str, ...] | None = None) -> bytes:
    """The XML of a report."""
    names = (f"CXR{number}_IM-{number:04}-1001",) if images is None else images
    parents = "".join(f'<parentImage id="{name}"/>' for name in names)
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<eCitation><uId id="CXR{number}"/><Abstract>'
        f'<AbstractText Label="FINDINGS">{text}</AbstractText><AbstractText Label="IMPRESSION"/>'
        f"</Abstract>{parents}</eCitation>\n"
    ).encode()


def refuse(name: str, raw: Path, message: str, **options) -> None:
    """Prepare, and expect a refusal that is short, quotes no text of a patient and leaves nothing that looks finished.

    Args:
        name: The data set.
        raw: Its folder; the output is beside it.
        message: Pattern of the message, in which a full stop stands for line ends too.
        **options: Of the preparation.
    """
    out = raw.with_name("refused")
    with pytest.raises(UserError, match=f"(?s){message}") as caught:
        prepare(name, raw, out, Options(**dict(image_size=16, vocab_size=200) | options))
    assert len(str(caught.value).splitlines()) <= 4
    assert SECRET not in str(caught.value)
    assert not (out / "manifest.json").exists() and not list(out.glob("**/*.json"))


def raw_tree(name: str) -> RawTree:
    """The tree of a data set, made anew."""
    return _TREES[name]()


def _mimic_cxr() -> RawTree:
    ids = [(f"d{n}", f"1000000{n}", f"5000000{n}", "validate" if n == 5 else "train") for n in range(6)]
    folder = "files/p10/p{}/s{}"
    return RawTree(
        {
            "mimic-cxr-2.0.0-metadata.csv": [["dicom_id", "subject_id", "study_id", "ViewPosition"]]
            + [[dicom, subject, study, "PA"] for dicom, subject, study, _ in ids],
            "mimic-cxr-2.0.0-split.csv": [["dicom_id", "study_id", "subject_id", "split"]]
            + [[dicom, study, subject, split] for dicom, subject, study, split in ids],
            "mimic-cxr-2.0.0-chexpert.csv": [["subject_id", "study_id", "Edema"]]
            + [[subject, study, "1.0"] for _, subject, study, _ in ids],
        },
        [f"{folder.format(subject, study)}/{dicom}.jpg" for dicom, subject, study, _ in ids],
        {f"{folder.format(subject, study)}.txt": f"FINDINGS: {REPORT}".encode() for _, subject, study, _ in ids},
    )


def _chexpert() -> RawTree:
    header = ["Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", "Edema", "Fracture"]
    paths = {
        split: [f"{split}/patient{n:05}/study1/view1_frontal.jpg" for n in numbers]
        for split, numbers in (("train", range(10)), ("valid", range(10, 12)))
    }
    return RawTree(
        {
            f"{split}.csv": [list(header)]
            + [[f"CheXpert-v1.0-small/{path}", "Male", "50", "Frontal", "PA", "1.0", ""] for path in names]
            for split, names in paths.items()
        },
        paths["train"] + paths["valid"],
    )


def _rsna_pneumonia() -> RawTree:
    rows = [[f"p{n}", "100.0", "200.0", "300.0", "400.0", "1"] for n in (0, 1, 2)]
    rows += [["p0", "600.0", "200.0", "300.0", "400.0", "1"]] + [[f"p{n}", "", "", "", "", "0"] for n in (3, 4, 5)]
    return RawTree(
        {"stage_2_train_labels.csv": [["patientId", "x", "y", "width", "height", "Target"], *rows]},
        [f"stage_2_train_images/p{n}.dcm" for n in range(6)],
        side=1024,
    )


def _covidx() -> RawTree:
    classes = ("normal", "pneumonia", "COVID-19")
    lists = {"train": range(6), "test": range(6, 9)}
    return RawTree(
        {
            f"{name}_COVIDx9A.txt": [[str(n), f"image {n}.png", classes[n % 3], "cohen"] for n in numbers]
            for name, numbers in lists.items()
        },
        [f"{name}/image {n}.png" for name, numbers in lists.items() for n in numbers],
    )


def _object_cxr() -> RawTree:
    objects = ["0 5 6 20 30;1 40 40 50 50", "2 1 1 30 5 20 40", ""]
    lists = {"train": range(6), "dev": range(6, 8)}
    return RawTree(
        {
            f"{name}.csv": [["image_name", "annotation"]] + [[f"{n:05}.jpg", objects[n % 3]] for n in numbers]
            for name, numbers in lists.items()
        },
        [f"{name}/{n:05}.jpg" for name, numbers in lists.items() for n in numbers],
    )


def _siim_pneumothorax() -> RawTree:
    rows = [[f"1.2.{n}", f" {10 * n + 1} 500 900 30"] for n in range(3)] + [["1.2.0", " 70000 5"]]
    return RawTree(
        {"train-rle.csv": [["ImageId", " EncodedPixels"], *rows, *([f"1.2.{n}", " -1"] for n in range(3, 6))]},
        [f"dicom-images-train/study{n}/series{n}/1.2.{n}.dcm" for n in range(6)],
        side=1024,
    )


def _iu_xray() -> RawTree:
    names = [f"{n}_IM-{n:04}-1001" for n in range(1, 7)]
    return RawTree(
        {
            "indiana_projections.csv": [["uid", "filename", "projection"]]
            + [[name[0], f"{name}.dcm.png", "Frontal"] for name in names]
        },
        [f"NLMCXR_png/CXR{name}.png" for name in names],
        {f"ecgen-radiology/{n}.xml": open_i_report(n) for n in range(1, 7)},
    )


def _covid_chestxray() -> RawTree:
    header = ["patientid", "finding", "view", "modality", "folder", "filename", "clinical_notes"]
    names = [f"{n}.png" for n in range(6)]
    rows = [[f"p{n}", "COVID-19", "PA", "X-ray", "images", name, REPORT] for n, name in enumerate(names)]
    boxes = {
        "images": [{"id": n, "file_name": f"{n}.png", "height": SIDE, "width": SIDE} for n in range(4)],
        "categories": [{"id": 1, "name": "Right Lung"}, {"id": 2, "name": "Left Lung"}],
        "annotations": [
            {"id": 2 * n + side, "image_id": n, "category_id": side, "bbox": [20.5 * side, 5, 20.0, 40]}
            for n in range(4)
            for side in (1, 2)
        ],
    }
    masks = [f"annotations/lungVAE-masks/{n}_mask.png" for n in range(2)]
    _, mask = cv2.imencode(".png", np.eye(SIDE, dtype=np.uint8) * 255)
    return RawTree(
        {"metadata.csv": [header, *rows]},
        [f"images/{name}" for name in names],
        {LUNG_BOXES: json.dumps(boxes).encode(), **dict.fromkeys(masks, mask.tobytes())},
    )


def _image_report_csv() -> RawTree:
    names = [f"scans/{n}{suffix}" for n, suffix in enumerate((".png", ".jpg", ".dcm", ".png", ".jpg", ".dcm"))]
    rows = [[name, REPORT, f"p{n}"] for n, name in enumerate(names)]
    return RawTree({"pairs.csv": [["image", "report", "patient"], *rows]}, names)


def _chexpert_plus() -> RawTree:
    header = ["path_to_image", "frontal_lateral", "ap_pa", "split"]
    header += ["section_impression", "section_findings", "report"]
    names = [f"{'train' if n < 10 else 'valid'}/patient{n:05}/study1/view1_frontal" for n in range(12)]
    rows = [
        [f"{name}.jpg", "Frontal", "PA", name.partition("/")[0], REPORT, "", f"IMPRESSION: {REPORT}"]
        for n, name in enumerate(names)
    ]
    images = [f"PNG/png_chexpert_plus_chunk_{n % 2}/{name}.png" for n, name in enumerate(names)]
    return RawTree({"df_chexpert_plus_240401.csv": [header, *rows]}, images)


def _padchest() -> RawTree:
    names = [f"{n}_a1b2c3.png" for n in range(6)]
    rows = [
        [name, str(n % 2), f"20{n}", f"p{n}", "PA", f"pinzamient sen {SECRET} . sin hallazg patolog . "]
        for n, name in enumerate(names)
    ]
    return RawTree(
        {PADCHEST: [["ImageID", "ImageDir", "StudyID", "PatientID", "Projection", "Report"], *rows]},
        [f"{n % 2}/{name}" for n, name in enumerate(names)],
    )


def _nih_chestxray14() -> RawTree:
    labels = ["No Finding", "Effusion|Infiltration", "Mass"]
    names = [f"{n:08}_000.png" for n in range(1, 9)]
    boxes = [
        [names[n], label, "100.5", "200", "300", "400.25", "", "", ""] for n, label in ((0, "Mass"), (6, "Nodule"))
    ]
    boxes += [[names[7], "Infiltrate", "1", "2", "3", "4", "", "", ""]]
    return RawTree(
        {
            "Data_Entry_2017_v2020.csv": [["Image Index", "Finding Labels", "Patient ID", "View Position"]]
            + [[name, labels[n % 3], str(n), "PA"] for n, name in enumerate(names, 1)],
            "train_val_list.txt": [[name] for name in names[:5]],
            "test_list.txt": [[name] for name in names[5:]],
            "BBox_List_2017.csv": [["Image Index", "Finding Label", "Bbox [x", "y", "w", "h]", "", "", ""], *boxes],
        },
        [f"images_{1 + n // 4:03}/images/{name}" for n, name in enumerate(names)],
        side=1024,
    )


def _vindr_cxr() -> RawTree:
    """Image t0 has a large heart, which two of three readers see; their boxes are of equal size, 4 pixels apart."""
    labels = _VINDR_LABELS.split(",")
    box = ["class_name", "x_min", "y_min", "x_max", "y_max"]
    names = {"train": [f"t{n}" for n in range(6)], "test": ["u0", "u1"]}
    readers = ["R1", "R2", "R9"]
    hearts = [
        ["t0", "R1", "Cardiomegaly", "10", "20", "30", "40"],
        ["t0", "R2", "Cardiomegaly", "14", "20", "34", "40"],
    ]
    seen = {tuple(row[:2]) for row in hearts}
    healthy = [(name, reader) for name in names["train"] for reader in readers if (name, reader) not in seen]
    trains = [
        [name, reader, *(str(int(n == (3 if (name, reader) in seen else 27))) for n in range(28))]
        for name in names["train"]
        for reader in readers
    ]
    tests = [["u0", *(str(int(n in (3, 24))) for n in range(28))], ["u1", *(str(int(n == 27)) for n in range(28))]]
    return RawTree(
        {
            "annotations/image_labels_train.csv": [["image_id", "rad_id", *labels], *trains],
            "annotations/image_labels_test.csv": [
                ["image_id", *(name.replace("Other diseases", "Other disease") for name in labels)],
                *tests,
            ],
            "annotations/annotations_train.csv": [
                ["image_id", "rad_id", *box],
                *hearts,
                *([*key, "No finding", "", "", "", ""] for key in healthy),
            ],
            "annotations/annotations_test.csv": [
                ["image_id", *box],
                ["u0", "Cardiomegaly", "10", "20", "30", "40"],
                ["u1", "No finding", "", "", "", ""],
            ],
        },
        [f"{split}/{name}.dicom" for split, found in names.items() for name in found],
    )


def _shenzhen() -> RawTree:
    return _nlm_tuberculosis("CHNCXR", "male 45yrs\nnormal", "mask/{}_mask.png")


def _montgomery() -> RawTree:
    """The third image is of the same patient as the second."""
    masks = ("ManualMask/leftMask/{}.png", "ManualMask/rightMask/{}.png")
    tree = _nlm_tuberculosis("MCUCXR", "Patient's Sex: F \nPatient's Age: 027Y\nnormal", *masks)
    tree.files["ClinicalReadings/MCUCXR_0003_0.txt"] += f" {SECRET} (same pt as MCUCXR_0002_1)".encode()
    return tree


def _nlm_tuberculosis(prefix: str, reading: str, *masks: str) -> RawTree:
    """Six images with labels in turn; the last has no mask."""
    names = [f"{prefix}_{n:04}_{(n + 1) % 2}" for n in range(1, 7)]
    images = [f"CXR_png/{name}.png" for name in names]
    files = {f"ClinicalReadings/{name}.txt": reading.encode() for name in names}
    for number, pattern in enumerate(masks):
        half = np.zeros((SIDE, SIDE), np.uint8)
        half[:, number * SIDE // 2 : (number + 1) * SIDE // 2] = 255
        _, mask = cv2.imencode(".png", half)
        files |= {pattern.format(name): mask.tobytes() for name in names[:-1]}
    # The images among the files, too, for without them there is no list of images.
    _, image = cv2.imencode(".png", np.full((SIDE, SIDE), 9, np.uint8))
    return RawTree({}, images, files | dict.fromkeys(images, image.tobytes()))


def _labels_csv() -> RawTree:
    names = [f"scans/{n}{suffix}" for n, suffix in enumerate((".png", ".jpg", ".dcm", ".png", ".jpg", ".dcm"))]
    rows = [[name, str(n % 2), ("", "-1", "1.0")[n % 3], f"p{n}"] for n, name in enumerate(names)]
    return RawTree({"labels.csv": [["image", "Edema", "Pleural Effusion", "patient"], *rows]}, names)


def coco_content(names: list[str], first: int = 0) -> dict:
    """Two boxes of two categories in each image but the last, which has none."""
    return {
        "images": [{"id": n, "file_name": name, "height": SIDE, "width": SIDE} for n, name in enumerate(names, first)],
        "categories": [{"id": 7, "name": "nodule"}, {"id": 3, "name": "knot, large"}],
        "annotations": [
            {"id": 2 * n + k, "image_id": n, "category_id": (7, 3)[k], "bbox": [10.5 + n, 5 + 20 * k, 20, 15]}
            for n in range(first, first + len(names) - 1)
            for k in range(2)
        ],
    }


def _coco() -> RawTree:
    names = [f"{n}{suffix}" for n, suffix in enumerate((".png", ".jpg", ".dcm", ".png", ".jpg", ".dcm"))]
    return RawTree({}, [f"images/{name}" for name in names], {"boxes.json": json.dumps(coco_content(names)).encode()})


def _masks() -> RawTree:
    names = [f"images/{n}{suffix}" for n, suffix in enumerate((".png", ".jpg", ".dcm", ".png", ".jpg", ".dcm"))]
    _, mask = cv2.imencode(".png", np.eye(SIDE, dtype=np.uint8) * 255)
    masks = [f"masks/{n}.png" for n in range(6)]
    rows = [[image, mask, f"p{n}"] for n, (image, mask) in enumerate(zip(names, masks, strict=True))]
    files = dict.fromkeys(masks, mask.tobytes())
    return RawTree({"masks.csv": [["image", "mask", "patient"], *rows]}, names, files)


_TREES = {
    "mimic_cxr": _mimic_cxr,
    "chexpert": _chexpert,
    "rsna_pneumonia": _rsna_pneumonia,
    "covidx": _covidx,
    "object_cxr": _object_cxr,
    "siim_pneumothorax": _siim_pneumothorax,
    "iu_xray": _iu_xray,
    "covid_chestxray": _covid_chestxray,
    "image_report_csv": _image_report_csv,
    "chexpert_plus": _chexpert_plus,
    "padchest": _padchest,
    "nih_chestxray14": _nih_chestxray14,
    "vindr_cxr": _vindr_cxr,
    "shenzhen": _shenzhen,
    "montgomery": _montgomery,
    "labels_csv": _labels_csv,
    "coco": _coco,
    "masks": _masks,
}
