"""The steps of a preparation in order: collect, decode, annotate, train the tokenizer, seal with a manifest."""

import json
from importlib import import_module
from itertools import chain
from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from mgca_mm.errors import UserError
from mgca_mm.prepared import MANIFEST, REJECTED, SCHEMA_VERSION, STORE, SUSPICIOUS
from mgca_mm.progress import tracked
from mgca_mm.reports.cleaning import NOT_LATIN
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer

from .annotations import write_dense, write_image_level, write_rejected
from .collection import Collection, PreparedSample, Rejected
from .dense import cut_boxes, draw_mask, place_boxes, place_mask, write_png
from .image_store import keep_rows, write_image_store
from .manifest import build_manifest, fingerprint
from .options import Options
from .output_folder import FAILED, is_finished, open_folder, publish
from .raw_folder import RawFolder
from .report_words import describe_words
from .splits import apply_split_list, require_disjoint_patients
from .suspicious import write_suspicious


def prepare(dataset: str, raw: Path, out: Path, options: Options) -> bool:
    """Prepare a data set: raw layout in ``raw``, prepared data in ``out``.

    A finished preparation with the same parameters from the same tables is left alone. Files are made in
    ``out/.partial`` and moved at the end, the manifest last; a run that is interrupted goes on where it stopped.

    Args:
        dataset: A name of :data:`mgca_mm.prepared.DATA_SETS`, which is that of its module here.
        raw: The raw folder.
        out: The folder to make; readable by its owner only, for it holds report text.
        options: See :class:`Options`.

    Returns:
        Whether anything was done.

    Raises:
        UserError: The raw data or the options do not allow it; nothing is left behind then that looks finished.
    """
    if dataset != "labels_csv" and (options.labels or options.patients):
        raise UserError("--labels and --patients: of labels_csv alone")
    source = import_module(f".{dataset}", __package__)
    try:
        folder = RawFolder(raw, options.follow_links)
        tables = source.find_sources(folder)
        key = {
            "schema_version": SCHEMA_VERSION,
            "dataset": dataset,
            "parameters": options.parameters(),
            "sources": {name: {"files": len(paths), **fingerprint(*paths)} for name, paths in tables.items()},
        }
        with open_folder(out) as partial:
            if is_finished(out, key):
                print(f"{out} is prepared already with these parameters; nothing to do", flush=True)
                return False
            _prepare_files(source.collect(folder, options), folder, partial, key, options)
            publish(partial, out)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror or error}") from error
    return True


def _prepare_files(collection: Collection, raw: RawFolder, partial: Path, key: dict, options: Options) -> None:
    """Make every file of the preparation, the manifest included."""
    if options.split_list is not None:
        apply_split_list(collection, options.split_list)
    for line in collection.filters.lines():
        print(line, flush=True)
    _require_training_images(collection)
    if options.protocol == "paper":
        require_disjoint_patients(collection.samples)
        require_disjoint_patients(collection.samples, dense=True)
    # Loaded before the images are decoded: a wrong name should not show after hours.
    tokenizer = None if options.tokenizer is None else load_tokenizer(options.tokenizer)

    _prepare_images(collection, raw, partial, options)
    _require_training_images(collection)
    write_image_level(partial, key["dataset"], collection)
    write_dense(partial, key["dataset"], collection)
    write_rejected(partial / REJECTED, collection.rejected, raw.path)

    reports = {s.study_id: s.report for s in collection.samples if s.report is not None and "train" in s.splits}
    if reports:
        if tokenizer is None:
            tokenizer = train_tokenizer(chain.from_iterable(reports.values()), options.vocab_size)
        tokenizer.save_pretrained(partial / "tokenizer")

    manifest = build_manifest(partial, key, collection)
    _print_counts(manifest)
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="ascii")


def _prepare_images(collection: Collection, raw: RawFolder, partial: Path, options: Options) -> None:
    """Decode the images, move boxes and masks along with them, and leave out the samples that are broken.

    With ``annotations_only`` no image is opened, boxes stay where they are, and masks, where the format names the shape
    of the image, become a file in COCO's run-length encoding.
    """
    samples, size, with_images = collection.samples, options.image_size, not options.annotations_only
    shapes, faults = [sample.shape for sample in samples], {}
    grids = shapes  # that boxes are made for
    if with_images:
        paths = [sample.image_path for sample in samples]
        outcomes = write_image_store(partial, raw, paths, size, options.workers)
        faults = {row: reason for row, reason in enumerate(outcomes) if isinstance(reason, str)}
        shapes = [None if row in faults else outcome.shape for row, outcome in enumerate(outcomes)]
        grids = list(shapes)
        for row, (sample, shape) in enumerate(zip(samples, shapes, strict=True)):
            if row in faults or sample.shape in (None, shape) or not (sample.boxes or sample.mask):
                continue
            if collection.boxes_scale and sample.shape[0] * shape[1] == sample.shape[1] * shape[0]:
                grids[row] = sample.shape
            else:
                faults[row] = (
                    f"{sample.image_path}: {shape[1]} x {shape[0]} pixels, but the annotations are made for "
                    f"{sample.shape[1]} x {sample.shape[0]}; take the published image"
                )
    masks, encoded = partial / ("masks" if with_images else "segmentation"), {}
    if collection.mask_classes is not None:
        masks.mkdir()
    prepared = []
    for row, (sample, shape, grid) in enumerate(zip(samples, shapes, grids, strict=True)):
        if row in faults:
            continue
        try:
            boxes = cut_boxes(sample.boxes, grid)
            if with_images and sample.dense_splits and sample.mask is not None:
                num_classes = len(collection.mask_classes)
                drawn = draw_mask(sample.mask, shape, raw, num_classes)
                write_png(masks / f"{sample.image_id}.png", place_mask(drawn, size, num_classes))
            elif not with_images and sample.dense_splits and sample.mask and shape is not None:
                mask = coco_mask.encode(np.asfortranarray(draw_mask(sample.mask, shape, raw)))
                encoded[sample.image_id] = mask | {"counts": mask["counts"].decode("ascii")}
        except UserError as error:
            faults[row] = str(error)
            continue
        index = None
        if with_images:
            boxes, shape, index = place_boxes(boxes, grid, size), (size, size), len(prepared)
        prepared.append(PreparedSample.of(sample, shape=shape, boxes=boxes, image_index=index))
    _reject(collection, faults, raw, partial, options)
    collection.samples = prepared
    if not with_images:
        if collection.mask_classes is not None:
            (masks / "masks.json").write_text(json.dumps(encoded) + "\n", encoding="ascii")
        return
    if faults:
        keep_rows(partial, [row for row in range(len(samples)) if row not in faults])
    collection.filters.add("image readable", len(prepared))
    print(collection.filters.lines()[-1], flush=True)
    suspicious = [
        (sample.image_id, sample.image_path, outcome.suspicion)
        for row, (sample, outcome) in enumerate(zip(samples, outcomes, strict=True))
        if row not in faults and outcome.suspicion
    ]
    if note := write_suspicious(partial / SUSPICIOUS, suspicious):
        collection.notes.append(note)
    # The images as files, too, for those who read boxes and masks.
    if dense := [sample for sample in prepared if sample.dense_splits]:
        (partial / "images").mkdir()
        store = np.load(partial / STORE, mmap_mode="r")
        for sample in tracked(dense, "png", len(dense)):
            write_png(partial / "images" / f"{sample.image_id}.png", store[sample.image_index])


def _reject(collection: Collection, faults: dict[int, str], raw: RawFolder, partial: Path, options: Options) -> None:
    """Note the samples of some rows as left out; too many are listed beside the output, an error names the first."""
    for row, reason in faults.items():
        sample = collection.samples[row]
        collection.rejected.append(Rejected(sample.image_id, sample.image_path, True, reason))
    broken = [row for row in collection.rejected if row.broken]
    total = len(collection.samples) + len(broken) - len(faults)
    if len(broken) > options.max_rejected * total:
        write_rejected(partial.parent / FAILED, collection.rejected, raw.path)
        raise UserError(
            f"{len(broken)} of {total} images are missing or broken, or their annotations are; "
            f"--max-rejected is {options.max_rejected:g}. The first:\n{broken[0].reason}\n"
            f"All of them: {partial.parent / FAILED}. Copy or correct them, or leave them out: --max-rejected 1"
        )


def _require_training_images(collection: Collection) -> None:
    """Make sure that something is left to train on; an error names the filter that took the last image, if one did."""
    foreign = sum(row.reason == NOT_LATIN for row in collection.rejected)
    if foreign and not collection.samples:
        raise UserError(
            f"no image is left: {foreign} reports are not in Latin letters, and --words ascii keeps no others\n"
            "Keep the letters of all scripts: --words unicode, with a tokenizer trained here or a multilingual one"
        )
    empty = [row["stage"] for row in collection.filters.counts() if row["kept"] == 0]
    if empty:
        raise UserError(f"no image is left after the filter {empty[0]!r}; is --raw the right folder, and complete?")
    if not any("train" in (*sample.splits, *sample.dense_splits) for sample in collection.samples):
        raise UserError("no image of the training split is left; is --raw the right folder, and complete?")


def _print_counts(manifest: dict) -> None:
    """Print what is in each split, and the notes; the positives of many classes are left to the manifest."""
    rows = [("total", manifest["total"])]
    rows += [(split, counts) for split, counts in manifest["splits"].items()]
    rows += [(f"{split}, boxes and masks", counts) for split, counts in manifest["dense_splits"].items()]
    for title, counts in rows:
        positives = [name for name in counts if name.startswith("positive: ")]
        shown = {name: count for name, count in counts.items() if len(positives) <= 3 or name not in positives}
        print(f"{title:<23} " + ", ".join(f"{count:,} {name}" for name, count in shown.items()), flush=True)
    for line in describe_words(manifest["words"]) if "words" in manifest else ():
        print(line, flush=True)
    for note in manifest["notes"]:
        print(f"note: {note}", flush=True)
