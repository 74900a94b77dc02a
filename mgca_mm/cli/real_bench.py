"""Bench frozen image encoders on labeled radiographs: a linear layer on 1 to 100 % of the training images, neighbors.

Example: ``mgca-mm real-bench --data data/mine --encoders random=quickstart/pretrain_resnet18 mine=work_dirs/pretrain
--out work_dirs/bench``. What an encoder has seen of a set is kept in ``--out`` and not computed again.
"""

import argparse
import hashlib
import io
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn
from torch.utils.data import ConcatDataset

from mgca_mm.apis.image_encoders import NamedEncoder, build_encoder, read_encoders
from mgca_mm.cli.arguments import add_trust_checkpoint, positive_int
from mgca_mm.cli.probe import labeled_split
from mgca_mm.datasets.pipelines import image_steps
from mgca_mm.engine import install
from mgca_mm.engine.privacy import keep_files_private
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.evaluation.bench_report import GRAYS, cells, markdown
from mgca_mm.evaluation.gray_statistics import GrayStatistics
from mgca_mm.evaluation.linear_probe import LabeledFeatures, adapt_batch_norm, extract_features
from mgca_mm.evaluation.real_bench import MIN_OF_CLASS, SHARES, Division, Score, bench_encoder, divide_by_patient
from mgca_mm.files import sha256_of, write_output
from mgca_mm.prepared import MANIFEST, SPLITS, load_prepared, read_classes
from mgca_mm.visualization.curves import plot_label_fractions
from mgca_mm.visualization.style import require_place

ADAPTED = "@bn"  # at the end of an encoder's name
CONTROLS = ("view", "sex")


class Task(NamedTuple):
    """A class of a set.

    Attributes:
        name: Of the class.
        labels: (N,) 1, 0, NaN where it is uncertain.
        is_blank: (N,) whether a 0 stands for a blank.
        is_control: It says how an image was made, or of whom.
    """

    name: str
    labels: np.ndarray
    is_blank: np.ndarray
    is_control: bool


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", required=True, metavar="DIR", help="prepared folders with labels")
    parser.add_argument(
        "--encoders",
        nargs="+",
        required=True,
        metavar="NAME=WHERE",
        help="rows of the tables: the folder or a checkpoint of a run, which has its config beside it; "
        "CONFIG:CHECKPOINT, of which an encoder alone will do; or a CONFIG alone, for random weights. A name that ends "
        f"in {ADAPTED} takes its batch-norm statistics from the set, without labels",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder of the tables (md, json), the figure, features")
    parser.add_argument("--seeds", type=positive_int, default=5, help="divisions by patient (default: 5)")
    parser.add_argument(
        "--controls",
        nargs="*",
        type=str.lower,
        default=CONTROLS,
        metavar="COLUMN",
        help=f"classes that are no results, as COLUMN or COLUMN=… (default: {' '.join(CONTROLS)})",
    )
    add_trust_checkpoint(parser)
    args = parser.parse_args()
    keep_files_private()
    install()
    init_default_scope("mgca_mm")
    with exit_on_user_error():
        start = time.monotonic()
        require_place(args.out / "bench.png")
        encoders = read_encoders(args.encoders)
        if GRAYS in (encoder.name for encoder in encoders):
            raise UserError(f"--encoders {GRAYS}=…: '{GRAYS}' is the row that every table has\nTake another name.")
        folders = name_folders(args.data)
        rows, left_out = [], []
        for name, folder in folders.items():
            found, missing = bench_folder(name, folder, encoders, range(args.seeds), args.controls, args.out)
            rows += found
            left_out += missing
        if not rows:
            raise UserError(f"No class can be benched: {'; '.join(left_out)}.")
        report(rows, left_out, encoders, args.out)
        print(f"{time.monotonic() - start:.0f} s")


def name_folders(folders: Sequence[str]) -> dict[str, str]:
    """Folder by its own name.

    Raises:
        UserError: One is not prepared or has no classes, or two have the same name.
    """
    for folder in folders:
        read_classes(folder, "classification")
        if not Path(folder, MANIFEST).is_file():
            raise UserError(f"'{folder}' is not prepared: it has no {MANIFEST}.\nMake it with mgca-mm prepare.")
    named = {Path(folder).absolute().name: folder for folder in folders}
    if len(named) < len(folders):
        raise UserError("--data: two folders have the same name, by which the tables tell them apart\nRename one.")
    return named


def bench_folder(
    name: str, folder: str, encoders: Sequence[NamedEncoder], seeds: Sequence[int], controls: Sequence[str], out: Path
) -> tuple[list[dict], list[str]]:
    """Rows of ``bench.json`` for a prepared folder, and what was left out."""
    rows: list[dict] = []
    left_out: dict[str, None] = {}  # in order, each once
    references: dict[tuple, dict] = {}  # of random encoders, by architecture and task
    divided: dict[str, list[Division]] = {}  # by task
    for encoder in (encoders[0]._replace(name=GRAYS), *encoders):
        model, cfg = build_encoder(encoder.config, encoder.checkpoint)
        if encoder.name == GRAYS:
            model.image_encoder = GrayStatistics()
        seen = features_of(model, cfg, folder, encoder.name, out)
        tasks, patients = tasks_of(seen, folder, controls)
        shapes = ((key, tuple(value.shape)) for key, value in model.image_encoder.state_dict().items())
        architecture = (_image_size(cfg), *shapes)
        for task in tasks:
            known = np.flatnonzero(~np.isnan(task.labels))
            labels = task.labels[known]
            try:
                if task.name not in divided:
                    divided[task.name] = [divide_by_patient(labels, patients[known], seed) for seed in seeds]
            except UserError as error:
                left_out[f"{name}, {task.name}: {error}"] = None
                continue
            scores = bench_encoder(seen.features[known], labels, patients[known], seeds, divided[task.name])
            for share in [share for share in SHARES if share not in scores]:
                why = f"{share} % of the training images cannot hold {MIN_OF_CLASS} of both classes"
                left_out[f"{name}, {task.name}: {why}"] = None
            if encoder.checkpoint is None and encoder.name != GRAYS and not encoder.name.endswith(ADAPTED):
                references.setdefault((architecture, task.name), scores)
            reference = references.get((architecture, task.name), {})
            counts = {
                "images": len(known),
                "positives": int(labels.sum()),
                "blank": int(task.is_blank[known].sum()),
                "patients": len(set(patients[known])),
            }
            for share, score in scores.items():
                row = {"data": name, "task": task.name, "control": task.is_control, **counts, "encoder": encoder.name}
                rows.append(row | describe(share, score, reference.get(share)))
            shown = ", ".join(f"{share}: {score.mean:.1f}" for share, score in scores.items())
            print(f"{name}, {task.name}, {encoder.name}: {shown}", flush=True)
    return rows, list(left_out)


def _image_size(cfg: Config) -> str:
    """What decides the size of the images that an encoder sees, in whatever order a config names it."""
    steps = image_steps(cfg.test_dataloader.dataset.pipeline)
    crop_size, resize_to = cfg.model.data_preprocessor.get("crop_size"), cfg.model.image_encoder.get("resize_to")
    return json.dumps((steps, crop_size, resize_to), sort_keys=True, default=str)


def features_of(model: nn.Module, cfg: Config, folder: str, name: str, out: Path) -> LabeledFeatures:
    """What an encoder makes of all images of a folder, whatever their split; from ``out`` where it is there."""
    adapts = name.endswith(ADAPTED)
    levels = (model.data_preprocessor.mean, model.data_preprocessor.std)
    digest = hashlib.sha256(repr((_image_size(cfg), levels, cfg.model.image_encoder, adapts)).encode())
    digest.update(Path(folder, MANIFEST).read_bytes())
    for weights in model.state_dict().values():
        digest.update(weights.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    path = out / "features" / f"{digest.hexdigest()}.npz"
    if path.is_file():
        with np.load(path) as stored:
            return LabeledFeatures(**{key: stored[key] for key in LabeledFeatures._fields})
    images = ConcatDataset([labeled_split(cfg, folder, split, allow_empty=True) for split in SPLITS])
    if adapts:
        adapt_batch_norm(model, images, title=f"{name}, batch norm")
    seen = extract_features(model, images, title=f"{name}, {Path(folder).name}")
    if not np.isfinite(seen.features).all():
        raise UserError(f"{name}: its features are not finite numbers; has its training diverged?")
    content = io.BytesIO()
    np.savez(content, **seen._asdict())
    path.parent.mkdir(parents=True, exist_ok=True)
    write_output(path, content.getbuffer())
    return seen


def tasks_of(seen: LabeledFeatures, folder: str, controls: Sequence[str]) -> tuple[list[Task], np.ndarray]:
    """Each class of a folder, and the patients (N,) of its images.

    Of two classes that exclude one another, the second; and the view, where images have different ones.
    """
    entries = {entry["image_id"]: entry for split in SPLITS for entry in load_prepared(f"{folder}/{split}.json")[1]}
    shown = [entries[image_id] for image_id in seen.image_ids]
    classes, exclusive = read_classes(folder, "classification")
    blank = np.array([[label is None for label in entry["labels"]] for entry in shown])
    columns = list(zip(classes, seen.labels.T, blank.T, strict=True))[exclusive and len(classes) == 2 :]
    views = [entry.get("view", "").upper()[:2] for entry in shown]
    if {"PA", "AP"} <= set(views):
        is_ap = np.array([{"AP": 1.0, "PA": 0.0}.get(view, np.nan) for view in views])
        columns.append(("view=AP", is_ap, np.zeros(len(views), bool)))
    tasks = [Task(*column, column[0].partition("=")[0].lower() in controls) for column in columns]
    return tasks, np.array([entry.get("patient_id", entry["image_id"]) for entry in shown])


def describe(share: int | str, score: Score, random: Score | None) -> dict:
    """What ``bench.json`` says of a score."""
    low, high = score.interval
    return {
        "share": share,
        "trained_on": score.num_images,
        "mean": score.mean,
        "sd": score.sd,
        "low": low,
        "high": high,
        "seeds": score.aurocs,
        "error_to_random": None if random is None else score.error_relative_to(random),
    }


def report(rows: Sequence[dict], left_out: Sequence[str], encoders: Sequence[NamedEncoder], out: Path) -> None:
    """Print the tables, and write them with the figure."""
    named = {}
    for name, config, checkpoint in encoders:
        digest = sha256_of(checkpoint) if checkpoint and Path(checkpoint).is_file() else None
        named[name] = {"config": str(config), "checkpoint": checkpoint, "sha256": digest}
    text = markdown(rows, left_out, named)
    print(f"\n{text}")
    write_output(out / "bench.md", text)
    write_output(
        out / "bench.json", json.dumps({"encoders": named, "left_out": left_out, "rows": rows}, indent=2) + "\n"
    )
    drawn = cells(rows)
    figures = [plot_label_fractions(drawn, out / "bench.png")] if drawn else []
    print("Written:", out / "bench.md", out / "bench.json", *figures, sep="\n  ")
