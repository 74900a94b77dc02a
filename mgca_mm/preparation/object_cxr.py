"""Object-CXR (JF Healthcare, MIDL 2020): foreign objects as rectangles, ellipses and polygons."""

from dataclasses import replace
from pathlib import Path

from mgca_mm.tables import Row, read_table

from .collection import Box, Collection, FilterLog, Sample
from .options import Options
from .raw_folder import RawFolder
from .splits import hold_out

_TABLES = {"train": "train.csv", "dev": "dev.csv"}
_REMEDY = "Expected: train.csv and dev.csv beside train/ and dev/. It is part of Object-CXR: https://jfhealthcare.github.io/object-CXR/"
_TYPES = {"0": "rectangle", "1": "ellipse", "2": "polygon"}
_MAX_COORDINATE = 100_000


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The two tables."""
    return {name: [raw.table(name, remedy=_REMEDY)] for name in _TABLES.values()}


def collect(raw: RawFolder, options: Options) -> Collection:
    """Read the objects; the development images are the test, a fifth of the others the validation.

    See docs/protocol.md#detection. Objects have tight boxes. Patients are not published: each image counts as one.

    Args:
        raw: Folder with ``train.csv``, ``dev.csv``, ``train/`` and ``dev/``.
        options: ``protocol='released'`` holds out a tenth.
    """
    filters = FilterLog("rows in the tables")
    samples: list[Sample] = []
    seen: set[str] = set()
    for folder, name in _TABLES.items():
        table = raw.table(name, remedy=_REMEDY)
        for row in read_table(table, ("image_name", "annotation")):
            image_name = row.file_name("image_name")
            row.require_new("image_name", image_name, seen)
            seen.add(image_name)
            filters.keep("rows in the tables")
            boxes = [_tight_box(text, row) for text in row["annotation"].split(";") if text.strip()]
            samples.append(
                Sample(
                    image_id=image_name,
                    patient_id=image_name,
                    image_path=f"{folder}/{image_name}",
                    splits=("test",) if folder == "dev" else (),
                    labels=[int(bool(boxes))],
                    boxes=boxes,
                )
            )
    train = [sample.image_id for sample in samples if not sample.splits]
    released = options.protocol == "released"
    split_of = hold_out(train, 0.1 if released else 0.2, raw.path / _TABLES["train"])
    for index, sample in enumerate(samples):
        splits = sample.splits or (split_of[sample.image_id],)
        samples[index] = replace(sample, splits=splits, dense_splits=splits)
    notes = ["polygons have tight boxes; only the split is that of the released code"] if released else []
    return Collection(samples, filters, ["Foreign Object"], categories=["Foreign Object"], notes=notes)


def _tight_box(text: str, row: Row) -> Box:
    """Smallest box around an object, ``type x1 y1 x2 y2 …``."""
    kind, *words = text.split()
    if kind not in _TYPES:
        raise row.fault(f"column 'annotation' has an object that is none of {', '.join(_TYPES)}")
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    num_wanted = len(numbers) >= 6 and len(numbers) % 2 == 0 if kind == "2" else len(numbers) == 4
    if not num_wanted or not all(abs(number) <= _MAX_COORDINATE for number in numbers):
        raise row.fault(f"column 'annotation' has a {_TYPES[kind]} with other numbers than its coordinates")
    across, down = numbers[::2], numbers[1::2]
    return Box(min(across), min(down), max(across) - min(across), max(down) - min(down), 0, row.place)
