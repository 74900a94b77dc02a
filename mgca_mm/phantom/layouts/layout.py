"""What the layouts share: options, the division of the patients, the run over them, and the writers of files."""

import csv
import functools
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from mgca_mm.errors import UserError
from mgca_mm.progress import tracked

from ..encode import encode_image
from ..render import VIEWS, PhantomImage, render
from ..study import PhantomStudy, sample_patient

VERSION = 2  # of the generator: raise it when the same options give other bytes
DONE = "phantom.json"
TRUTH = "phantom-truth.jsonl.gz"
FRONTAL = ("PA", "AP")
APPEARANCES = ("plain", "varied", "mixed")
_UNDESCRIBED = ("texture", "breadth", "fat", "heart_ratio", "aeration", "rib_strength", "rib_slope", "habitus")
_SIZE, _SPLIT, _LAYOUT, _MIXTURE = 3, 4, 5, 9  # streams of random numbers; study.py has 0, 1 and 7, render.py 2 and 8

Rows = dict[str, list]  # by table


@dataclass(frozen=True)
class PhantomOptions:
    """What decides the bytes of a written phantom."""

    patients: int
    seed: int = 0
    size: int = 256  # shortest long side in pixels; the long side varies up to a quarter above it
    split: tuple[float, float, float] = (0.7, 0.1, 0.2)  # fractions of the patients in train, validate and test
    appearance: str = "plain"  # one of APPEARANCES: 'varied': as varied as real ones, 'mixed': half of them, drawn

    def check(self) -> None:
        """Raise ``UserError`` for an option that cannot be."""
        if not 1 <= self.patients <= 2_500_000:
            raise UserError(f"--patients {self.patients}: give a number from 1 to 2500000 (identifiers have 8 digits).")
        if self.seed < 0:
            raise UserError(f"--seed {self.seed}: a seed is a number from 0 on.")
        if not 64 <= self.size <= 2048:
            raise UserError(f"--size {self.size}: give the long side in pixels, from 64 to 2048.")
        if len(self.split) != 3 or min(self.split) < 0 or abs(sum(self.split) - 1) > 1e-6:
            raise UserError(f"--split {' '.join(map(str, self.split))}: give three fractions that sum to 1.")
        if self.appearance not in APPEARANCES:
            raise UserError(f"--appearance {self.appearance}: give one of {', '.join(APPEARANCES)}.")

    def sample(self, index: int) -> list[PhantomStudy]:
        """The studies of the patient with a number, from 0; see ``sample_patient``."""
        # Not every other patient: layouts do some things by the parity of the index.
        mixed = self.appearance == "mixed" and np.random.default_rng([self.seed, index, _MIXTURE]).random() < 0.5
        return sample_patient(self.seed, index, varied=mixed or self.appearance == "varied")


@dataclass(frozen=True)
class Entry:
    """One patient's place in a data set."""

    index: int  # the patient's number in the phantom, from 0
    split: str
    number: int  # the patient's number in the data set, from 1, through one split after the other


@dataclass(frozen=True)
class Layout:
    """The directory layout of a public data set."""

    name: str  # on the command line
    # Writes one patient's files below a folder and returns the rows they add to the tables; a function of a module, for
    # it is handed to other processes. ``truth`` is a table of every layout.
    write_patient: Callable[[Path, PhantomOptions, Entry], Rows]
    tables: Mapping[str, str]  # path of a csv table, compressed if it ends in .gz → its header
    # Fraction of the patients in each published split, in the data set's order.
    splits: Callable[[PhantomOptions], dict[str, float]] = lambda options: {"train": 1.0}
    write_more: Callable[[Path, Rows], None] | None = None  # for tables that are not csv; one without rows is empty


def write(
    layout: Layout, out: str | os.PathLike, options: PhantomOptions, workers: int = 1, progress: bool = True
) -> dict[str, object]:
    """Write the phantom in a layout; the bytes do not depend on the number of ``workers``, which are processes.

    The directory is new or empty. If it holds this very phantom, finished, nothing is written.

    Returns:
        The content of ``phantom.json``, with ``written`` False if the phantom was there already.

    Raises:
        UserError: For impossible options, or if the directory holds something else or cannot be made.
    """
    options.check()
    if workers < 1:
        raise UserError(f"--workers {workers}: at least one process is needed.")
    out = Path(out)
    summary = {"layout": layout.name, "version": VERSION, **asdict(options), "split": list(options.split)}
    if options.appearance == "plain":
        del summary["appearance"]  # as in the phantoms that were written before there was another
    if _is_finished(out, summary):
        return {**json.loads((out / DONE).read_text()), "written": False}
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an interrupted call
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        raise UserError(f"{out} cannot be made: {error.strerror}\nName another folder by --out.") from error
    tables: Rows = defaultdict(list)
    write_patient = functools.partial(layout.write_patient, partial, options)
    written = _map(write_patient, _entries(layout.splits(options), options), workers)
    for rows in tracked(written, "patients", options.patients) if progress else written:
        for name, added in rows.items():
            tables[name] += added

    for path, header in layout.tables.items():
        with io.StringIO(newline="") as text:
            csv.writer(text, lineterminator="\n").writerows([header.split(","), *tables[path]])
            write_text(partial / path, text.getvalue())
    if layout.write_more:
        layout.write_more(partial, tables)
    write_text(partial / TRUTH, "".join(json.dumps(row) + "\n" for row in tables["truth"]))
    studies = {row["study_id"] for row in tables["truth"]}
    summary |= {"studies": len(studies), "images": len(tables["truth"])}
    (partial / DONE).write_text(json.dumps(summary, indent=1) + "\n")
    if out.exists():
        out.rmdir()  # empty, as checked above
    partial.rename(out)
    return {**summary, "written": True}


def assign_splits(options: PhantomOptions, fractions: Mapping[str, float]) -> list[str]:
    """The split of each patient: exact quotas, and no wanted split empty where there are patients enough."""
    counts = [round(fraction * options.patients) for fraction in fractions.values()]
    wanted = [number for number, fraction in enumerate(fractions.values()) if fraction > 0]
    if options.patients >= len(wanted):
        counts = [max(count, 1) if number in wanted else 0 for number, count in enumerate(counts)]
    largest = int(np.argmax(counts))
    counts[largest] += options.patients - sum(counts)
    names = np.repeat(list(fractions), counts)
    return [str(name) for name in np.random.default_rng([options.seed, 0, _SPLIT]).permutation(names)]


def train_and_test(options: PhantomOptions, test: str) -> dict[str, float]:
    """The splits of a data set published in two parts, whose users take validation images from the first, ``train``."""
    return {"train": options.split[0] + options.split[1], test: options.split[2]}


def _entries(fractions: Mapping[str, float], options: PhantomOptions) -> list[Entry]:
    splits = list(fractions)
    split_of = assign_splits(options, fractions)
    by_split = sorted(range(options.patients), key=lambda index: splits.index(split_of[index]))
    number_of = {index: number for number, index in enumerate(by_split, 1)}
    return [Entry(index, split, number_of[index]) for index, split in enumerate(split_of)]


def draw(
    study: PhantomStudy, options: PhantomOptions, views: Sequence[str] = VIEWS, size: int | None = None
) -> Iterator[tuple[int, str, PhantomImage]]:
    """Render those of a study's images that have one of some views; square ones if their side is given.

    Yields:
        The image's number among all of the study's images, its view, and the image.
    """
    for number, view in enumerate(study.views):
        if view in views:
            shape = size or _image_size(study, number, options.size)
            yield number, view, render(study, view, shape, take=study.views[:number].count(view))


def truth_row(study: PhantomStudy, view: str, image: PhantomImage, **key: str) -> dict[str, object]:
    """What was drawn in an image, under the name that the layout gives the image."""
    height, width = image.pixels.shape
    return {
        **key,
        "subject_id": study.subject_id,
        "study_id": study.study_id,
        "view": view,
        "height": height,
        "width": width,
        "findings": [
            {name: getattr(finding, name) for name in ("kind", "side", "zone", "severity", "device")} | {"box": box}
            for finding, box in zip(study.findings, image.boxes, strict=True)
        ],
        "attributes": {name: value for name, value in asdict(study.anatomy).items() if name not in _UNDESCRIBED},
    }


def hex_id(study: PhantomStudy, number: int, digits: int) -> str:
    """Hexadecimal digits that name an image, unique within a seed."""
    key = f"{study.seed}/{study.patient_index}/{study.study_index}/{number}"
    return hashlib.blake2s(key.encode(), digest_size=digits // 2).hexdigest()


def layout_rng(study: PhantomStudy) -> np.random.Generator:
    """Random numbers for what a layout adds to a study."""
    return np.random.default_rng([study.seed, study.patient_index, _LAYOUT, study.study_index])


def write_image(path: Path, pixels: np.ndarray) -> None:
    """Write gray pixels, uint8 (H, W), in a PNG uint16 too, as the suffix says, JPEG or PNG, and the folders above."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode_image(pixels, path.suffix))


def write_text(path: Path, text: str) -> None:
    """Write a text and the folders above, compressed if the path ends in ``.gz``."""
    data = text.encode()
    if path.suffix == ".gz":
        # Without the time and the file's name in the header, so that equal contents are equal bytes.
        data = gzip.compress(data, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _image_size(study: PhantomStudy, number: int, size: int) -> tuple[int, int]:
    """Height and width of an image, of an aspect ratio (width / height) between 0.8 and 1.25."""
    rng = np.random.default_rng([study.seed, study.patient_index, _SIZE, study.study_index, number])
    long = round(size * rng.uniform(1.0, 1.25))
    aspect = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    return (long, round(long * aspect)) if aspect < 1 else (round(long / aspect), long)


def _is_finished(out: Path, summary: dict) -> bool:
    if not out.exists():
        return False
    if not out.is_dir():
        raise UserError(f"{out} is a file. Give a directory with --out.")
    if (out / DONE).is_file():
        try:
            found = json.loads((out / DONE).read_text())
        except json.JSONDecodeError:
            found = {}
        if {key: value for key, value in found.items() if key not in ("studies", "images")} == summary:
            return True
        raise UserError(
            f"{out} holds a phantom made with other options (see {DONE}). Remove it or choose another --out."
        )
    if any(out.iterdir()):
        raise UserError(f"{out} is not empty and holds no finished phantom. Remove it or choose another --out.")
    return False


def _map(function: Callable[[Entry], Rows], entries: list[Entry], workers: int) -> Iterator[Rows]:
    """``map`` over processes, in order."""
    # One OpenCV thread a process, and none running at the fork: a child cannot stop a thread it did not inherit.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        if workers == 1:
            yield from map(function, entries)
            return
        with multiprocessing.Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            yield from pool.imap(function, entries, chunksize=4)
    finally:
        cv2.setNumThreads(threads)
