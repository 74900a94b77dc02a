"""covid-chestxray-dataset (Cohen et al., 2020): radiographs with clinical notes, as its repository lays them out.

The text is ``clinical_notes`` alone. ``other_notes`` holds credits ("Case courtesy of …") in all but three of the 155
rows of the redistributable part that have it: nothing about the image, and names of people.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from mgca_mm.errors import UserError

from . import reports
from .common import Collection, FilterLog, Sample, split_patients
from .tables import find_table, read_table, require_file_name

_METADATA = "metadata.csv"
_REMEDY = "It is part of the data set: https://github.com/ieee8023/covid-chestxray-dataset"
_COLUMNS = ("patientid", "finding", "view", "modality", "filename", "clinical_notes")
_CLASSES = ["COVID-19"]
_NO_FINDING_GIVEN = ("", "todo", "unknown")  # Rows their authors have not labelled yet; not the same as "No Finding".

_STAGES = (
    "rows in the metadata",
    "modality X-ray",
    "image file exists",
    "frontal view",
    "patient given",
    f"note of {reports.MIN_TOKENS} tokens or more",
    "one row an image",
)


def find_sources(raw: Path) -> list[Path]:
    """The table the preparation depends on.

    Raises:
        UserError: It is missing.
    """
    return [find_table(raw, _METADATA, _REMEDY)]


def collect(raw: Path) -> Collection:
    """Filter the rows of the metadata and divide their patients 70/10/20.

    The raw set has no studies. The images of one patient described by the same note are one here, which is what a
    study is to MIMIC-CXR: several images, one report.

    A row without a patient is dropped: nothing would keep its patient out of another split. Some images stand in the
    table twice, under different patients: these are one patient (see :func:`_merge_patients`), and the first of such
    rows is kept.

    Args:
        raw: Folder with ``metadata.csv`` and the image folders it names.

    Returns:
        Samples in the order of the metadata.

    Raises:
        UserError: The table is malformed, a row names a file outside of the folder, or under three patients are left.
    """
    metadata = find_table(raw, _METADATA, _REMEDY)
    rows = []
    for line, row in read_table(metadata, _COLUMNS):
        require_file_name(row, "filename", metadata, line)
        row["path"] = str(_image_path(row, metadata, line))
        rows.append(row)
    patient_of = _merge_patients((row["filename"], row["patientid"]) for row in rows if row["patientid"])

    filters = FilterLog(_STAGES)
    samples: dict[str, Sample] = {}
    studies: dict[tuple[str, ...], str] = {}
    num_studies: dict[str, int] = {}
    for row in tqdm(rows, desc="reports", unit="row", disable=None):
        filters.passed(_STAGES[0])
        if row["modality"] != "X-ray":
            continue
        filters.passed(_STAGES[1])
        if not (raw / row["path"]).is_file():
            continue
        filters.passed(_STAGES[2])
        if not _is_frontal(row["view"]):
            continue
        filters.passed(_STAGES[3])
        if not row["patientid"]:
            continue
        filters.passed(_STAGES[4])
        sentences = reports.clean_text(row["clinical_notes"])
        if reports.count_tokens(sentences) < reports.MIN_TOKENS:
            continue
        filters.passed(_STAGES[5])
        if row["filename"] in samples:
            continue
        filters.passed(_STAGES[6])
        patient = patient_of[row["patientid"]]
        key = (patient, *sentences)
        if key not in studies:
            num_studies[patient] = num_studies.get(patient, 0) + 1
            studies[key] = f"{patient}-{num_studies[patient]}"
        samples[row["filename"]] = Sample(
            image_id=row["filename"],
            patient_id=patient,
            study_id=studies[key],
            view=row["view"],
            split="train",  # Until the patients are divided, below.
            report=sentences,
            image_path=row["path"],
            labels=[_covid_label(row["finding"])],
        )
    split_of = split_patients(list(dict.fromkeys(sample.patient_id for sample in samples.values())), metadata)
    for sample in samples.values():
        sample.split = split_of[sample.patient_id]
    return Collection(list(samples.values()), filters, _CLASSES)


def _image_path(row: dict[str, str], metadata: Path, line: int) -> PurePosixPath:
    """Path of a row's image inside the raw folder.

    Raises:
        UserError: The folder leads out of the raw folder.
    """
    folder = PurePosixPath(row.get("folder") or "images")
    if folder.is_absolute() or ".." in folder.parts or "\0" in str(folder):
        raise UserError(f"{metadata}, line {line}: column 'folder' leads out of the data set")
    return folder / row["filename"]


def _merge_patients(rows: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Give patients that share an image one identity.

    The data set has cases that were entered twice under different patients. Kept apart, they would put one patient,
    even one image, into two splits.

    Args:
        rows: Image and patient of each row.

    Returns:
        The first patient of each group of connected patients, by patient.
    """
    leader: dict[str, str] = {}
    patient_of_image: dict[str, str] = {}

    def find(patient: str) -> str:
        while leader[patient] != patient:
            patient = leader[patient]
        return patient

    for image, patient in rows:
        leader.setdefault(patient, patient)
        other = find(patient_of_image.setdefault(image, patient))
        mine = find(patient)
        if mine != other:
            # The one that was named first leads; dictionaries keep that order.
            first = next(name for name in leader if name in (mine, other))
            leader[mine] = leader[other] = first
    return {patient: find(patient) for patient in leader}


def _is_frontal(view: str) -> bool:
    """Whether a view is PA or AP, whatever the patient's position ("AP Supine", "AP semi erect")."""
    return view.upper().split()[:1] in (["PA"], ["AP"])


def _covid_label(finding: str) -> int | None:
    """1 where the finding mentions COVID-19 ("COVID-19, ARDS", "Pneumonia/Viral/COVID-19"); None for no finding."""
    if finding.lower() in _NO_FINDING_GIVEN:
        return None
    return int("covid-19" in finding.lower())
