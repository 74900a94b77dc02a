"""The phantom as MIMIC-CXR-JPG 2.0.0 and the reports of MIMIC-CXR, so that one preparation reads both."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import multiprocessing
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mgca_mm.errors import UserError

from ..render import render
from ..study import CHEXPERT_LABELS, PhantomStudy, sample_patient

VERSION = 1  # of the generator: raise it when the same options give other bytes
DONE = "phantom.json"
_SPLITS = ("train", "validate", "test")
_SIZE, _SPLIT = 3, 4  # streams of random numbers; study.py and render.py use 0 to 2
_JPEG_QUALITY = 92
_METADATA = (
    "dicom_id",
    "subject_id",
    "study_id",
    "PerformedProcedureStepDescription",
    "ViewPosition",
    "Rows",
    "Columns",
    "StudyDate",
    "StudyTime",
    "ProcedureCodeSequence_CodeMeaning",
    "ViewCodeSequence_CodeMeaning",
    "PatientOrientationCodeSequence_CodeMeaning",
)
_VIEW_CODE = {"PA": "postero-anterior", "AP": "antero-posterior", "LATERAL": "lateral"}


@dataclass(frozen=True)
class Options:
    """What decides the bytes of a written phantom.

    Attributes:
        patients: Number of patients.
        seed: Seed.
        size: Shortest long side in pixels; the long side varies up to a quarter above it.
        split: Fractions of the patients in train, validate and test.
    """

    patients: int
    seed: int = 0
    size: int = 256
    split: tuple[float, float, float] = (0.7, 0.1, 0.2)

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


def write_mimic_cxr(out: str | os.PathLike, options: Options, workers: int = 1, progress: bool = True) -> dict:
    """Write the phantom; the bytes do not depend on ``workers``.

    Args:
        out: Directory, new or empty. If it holds this very phantom, finished, nothing is written.
        options: What to write.
        workers: Processes.
        progress: Show a progress bar.

    Returns:
        The content of ``phantom.json``, with ``written`` False if the phantom was there already.

    Raises:
        UserError: For impossible options, or if the directory holds something else.
    """
    options.check()
    if workers < 1:
        raise UserError(f"--workers {workers}: at least one process is needed.")
    out = Path(out)
    summary = {"layout": "mimic_cxr", "version": VERSION, **asdict(options), "split": list(options.split)}
    if _is_finished(out, summary):
        return {**json.loads((out / DONE).read_text()), "written": False}
    tables = {name: [] for name in ("metadata", "split", "chexpert", "truth")}
    split_of = assign_splits(options)
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)  # of an interrupted call
    partial.mkdir(parents=True)
    jobs = ((str(partial), options, index) for index in range(options.patients))
    with tqdm(total=options.patients, unit="patient", disable=not progress) as bar:
        for index, rows in enumerate(_map(_write_patient, jobs, workers)):
            for name in ("metadata", "chexpert", "truth"):
                tables[name] += rows[name]
            tables["split"] += [(row[0], row[2], row[1], split_of[index]) for row in rows["metadata"]]
            bar.update()

    _write_csv(partial / "mimic-cxr-2.0.0-metadata.csv.gz", _METADATA, tables["metadata"])
    _write_csv(
        partial / "mimic-cxr-2.0.0-split.csv.gz", ("dicom_id", "study_id", "subject_id", "split"), tables["split"]
    )
    _write_csv(
        partial / "mimic-cxr-2.0.0-chexpert.csv.gz", ("subject_id", "study_id", *CHEXPERT_LABELS), tables["chexpert"]
    )
    _write_gzip(partial / "phantom-truth.jsonl.gz", "".join(json.dumps(row) + "\n" for row in tables["truth"]))
    summary |= {"studies": len(tables["chexpert"]), "images": len(tables["metadata"])}
    (partial / DONE).write_text(json.dumps(summary, indent=1) + "\n")
    if out.exists():
        out.rmdir()  # empty, as checked above
    partial.rename(out)
    return {**summary, "written": True}


def assign_splits(options: Options) -> list[str]:
    """The split of each patient: exact quotas, and no wanted split empty where there are patients enough."""
    counts = [round(fraction * options.patients) for fraction in options.split]
    wanted = [number for number in range(3) if options.split[number] > 0]
    if options.patients >= len(wanted):
        counts = [max(count, 1) if number in wanted else 0 for number, count in enumerate(counts)]
    largest = int(np.argmax(counts))
    counts[largest] += options.patients - sum(counts)
    names = np.repeat(_SPLITS, counts)
    return [str(name) for name in np.random.default_rng([options.seed, 0, _SPLIT]).permutation(names)]


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
        if all(found.get(key) == value for key, value in summary.items()):
            return True
        raise UserError(
            f"{out} holds a phantom made with other options (see {DONE}). Remove it or choose another --out."
        )
    if any(out.iterdir()):
        raise UserError(f"{out} is not empty and holds no finished phantom. Remove it or choose another --out.")
    return False


def _map(function, jobs: Iterator, workers: int) -> Iterator[dict]:
    """``map`` over processes, in order."""
    # One OpenCV thread a process, and none running at the fork: a child cannot stop a thread it did not inherit.
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        if workers == 1:
            yield from map(function, jobs)
            return
        context = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
        with context.Pool(workers, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            yield from pool.imap(function, jobs, chunksize=4)
    finally:
        cv2.setNumThreads(threads)


def _write_patient(job: tuple[str, Options, int]) -> dict[str, list]:
    """Write the images and reports of one patient and return the rows of the tables."""
    out, options, index = job
    rows = {"metadata": [], "chexpert": [], "truth": []}
    for study in sample_patient(options.seed, index):
        subject = f"p{study.subject_id}"
        folder = Path(out, "files", subject[:3], subject, f"s{study.study_id}")
        folder.mkdir(parents=True)
        folder.with_suffix(".txt").write_text(study.report.text)
        labels = [f"{value:.1f}" for value in study.labels.values()]
        rows["chexpert"].append((study.subject_id, study.study_id, *labels))
        for number, view in enumerate(study.views):
            dicom_id = _dicom_id(study, number)
            height, width = _image_size(study, number, options.size)
            image = render(study, view, (height, width), take=study.views[:number].count(view))
            _, encoded = cv2.imencode(".jpg", image.pixels, (cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY))
            (folder / f"{dicom_id}.jpg").write_bytes(encoded.tobytes())
            rows["metadata"].append(_metadata_row(study, dicom_id, view, height, width))
            rows["truth"].append(_truth_row(study, dicom_id, view, height, width, image.boxes))
    return rows


def _metadata_row(study: PhantomStudy, dicom_id: str, view: str, height: int, width: int) -> tuple:
    exam = (
        "CHEST (PORTABLE AP)"
        if view == "AP"
        else "CHEST (PA AND LAT)"
        if len(study.views) > 1
        else "CHEST (SINGLE VIEW)"
    )
    posture = "Recumbent" if view == "AP" else "Erect"
    ids = (dicom_id, study.subject_id, study.study_id)
    return (*ids, exam, view, height, width, study.date, study.time, exam, _VIEW_CODE[view], posture)


def _truth_row(study: PhantomStudy, dicom_id: str, view: str, height: int, width: int, boxes: tuple) -> dict:
    return {
        "dicom_id": dicom_id,
        "subject_id": study.subject_id,
        "study_id": study.study_id,
        "view": view,
        "height": height,
        "width": width,
        "findings": [
            {
                "kind": finding.kind,
                "side": finding.side,
                "zone": finding.zone,
                "severity": finding.severity,
                "device": finding.device,
                "box": box,
            }
            for finding, box in zip(study.findings, boxes, strict=True)
        ],
        "attributes": {
            name: value
            for name, value in asdict(study.anatomy).items()
            if name not in ("texture", "breadth", "fat", "heart_ratio", "aeration", "rib_strength", "rib_slope")
        },
    }


def _dicom_id(study: PhantomStudy, number: int) -> str:
    """MIMIC's form of an image's name: five groups of eight hexadecimal digits."""
    key = f"{study.seed}/{study.patient_index}/{study.study_index}/{number}"
    digits = hashlib.blake2s(key.encode(), digest_size=20).hexdigest()
    return "-".join(digits[start : start + 8] for start in range(0, 40, 8))


def _image_size(study: PhantomStudy, number: int, size: int) -> tuple[int, int]:
    """Height and width of an image, of an aspect ratio (width / height) between 0.8 and 1.25."""
    rng = np.random.default_rng([study.seed, study.patient_index, _SIZE, study.study_index, number])
    long = round(size * rng.uniform(1.0, 1.25))
    aspect = float(np.exp(rng.uniform(np.log(0.8), np.log(1.25))))
    return (long, round(long * aspect)) if aspect < 1 else (round(long / aspect), long)


def _write_csv(path: Path, header: tuple[str, ...], rows: list[tuple]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    _write_gzip(path, text.getvalue())


def _write_gzip(path: Path, text: str) -> None:
    """Compress without the time and the file's name in the header, so that equal contents are equal bytes."""
    path.write_bytes(gzip.compress(text.encode(), mtime=0))
