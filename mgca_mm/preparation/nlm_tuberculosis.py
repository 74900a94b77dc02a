"""What the two tuberculosis sets of the National Library of Medicine (Jaeger et al., 2014) have in common.

There are no tables: the label is in the name of an image, masks are files, and a reading says whose image it is where
that is not a patient of its own.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from mgca_mm.errors import UserError
from mgca_mm.tables import read_lines

from .collection import Collection, FilterLog, Sample
from .raw_folder import RawFolder
from .splits import divide

_IMAGE, _READING = "CXR_png/{}.png", "ClinicalReadings/{}.txt"
Places = Sequence[Sequence[str]]  # where masks may lie: files that make a mask together, {} for the image's name


def find_sources(raw: RawFolder, prefix: str, places: Places) -> dict[str, list[Path]]:
    """The images, whose names are the table, the masks and the readings."""
    names = _read_names(raw, prefix)
    sources = {
        "CXR_png": [_IMAGE.format(name) for name in names],
        "masks": [path for name in names for path in _find_mask(raw, name, places) or ()],
        "ClinicalReadings": [_READING.format(name) for name in names],
    }
    return {key: [path for path in map(raw.optional, paths) if path] for key, paths in sources.items()}


def collect(raw: RawFolder, prefix: str, places: Places) -> Collection:
    """Divide the patients 70/15/15, for no split is published; an image without a mask has its label only.

    Args:
        raw: Folder with ``CXR_png/``, ``ClinicalReadings/`` and the masks.
        prefix: First part of the images' names.
        places: Where masks are looked for; the first that has a part of an image's is taken.
    """
    labels = _read_names(raw, prefix)
    filters = FilterLog("images")
    filters.add("images", len(labels))
    patient_of = _read_patients(raw, prefix, labels)
    split_of = divide(list(dict.fromkeys(patient_of.values())), 0.3, 0.5, raw.path / "CXR_png")
    samples = []
    for name, label in labels.items():
        mask = _find_mask(raw, name, places)
        splits = (split_of[patient_of[name]],)
        samples.append(
            Sample(
                image_id=name,
                patient_id=patient_of[name],
                image_path=_IMAGE.format(name),
                splits=splits,
                view="PA",
                labels=[label],
                dense_splits=() if mask is None else splits,
                mask=mask,
            )
        )
    without = sum(sample.mask is None for sample in samples)
    expected = " and ".join(path.format("NAME") for path in places[0])
    notes = [f"{without} images have no mask, {expected}"] if without else []
    if not any(raw.optional(_READING.format(name)) for name in labels):
        notes.append("no ClinicalReadings/: which images show one patient is not known, each counts as one")
    mask_classes = ["background", "lung"] if without < len(samples) else None
    return Collection(samples, filters, ["Tuberculosis"], mask_classes=mask_classes, notes=notes)


def _read_names(raw: RawFolder, prefix: str) -> dict[str, int]:
    """Label by name, in order.

    Raises:
        UserError: There is no image, one of another name, or one with both labels.
    """
    folder = raw.file("CXR_png")
    labels: dict[str, int] = {}
    for name in sorted(path.stem for path in folder.glob(f"{prefix}_*.png")):
        if not re.fullmatch(rf"{prefix}_[0-9]+_[01]", name):
            raise UserError(
                f"{folder}: the name of an image is not {prefix}_, a number, _0 or _1 for its label, .png\n"
                "Rename or remove it."
            )
        if f"{name[:-1]}0" in labels:
            raise UserError(f"{folder}: {name[:-1]}0.png and {name}.png are one image; remove one of them")
        raw.optional(_IMAGE.format(name))  # Neither a folder nor a pipe nor a link to elsewhere.
        labels[name] = int(name[-1])
    if not labels:
        raise UserError(
            f"{folder}: no {prefix}_*.png; --raw takes the folder that has CXR_png/\n"
            "It is published at https://data.lhncbc.nlm.nih.gov/public/Tuberculosis-Chest-X-ray-Datasets/"
        )
    return labels


def _read_patients(raw: RawFolder, prefix: str, names: Sequence[str]) -> dict[str, str]:
    """Patient by image: the image itself, or one before it of which its reading says "same pt as"."""
    patient_of: dict[str, str] = {}
    for name in names:
        reading = raw.optional(_READING.format(name))
        text = " ".join(line for _, line in read_lines(reading)) if reading else ""
        same = re.search(rf"same pt as ({prefix}_[0-9]+_[01])", text)
        patient_of[name] = patient_of.get(same[1], same[1]) if same else name
    return patient_of


def _find_mask(raw: RawFolder, name: str, places: Places) -> list[str] | None:
    """Files of an image's mask: all of a place that has one of them, so that half a mask is an error in reading it."""
    for place in places:
        paths = [path.format(name) for path in place]
        if any(raw.optional(path) for path in paths):
            return paths
    return None
