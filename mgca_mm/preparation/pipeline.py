"""The steps of a preparation in order: collect, decode, annotate, train the tokenizer, seal with a manifest."""

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
from tqdm import tqdm

from mgca_mm.errors import UserError
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer

from . import (
    chexpert,
    covid_chestxray,
    covidx,
    image_report_csv,
    iu_xray,
    mimic_cxr,
    object_cxr,
    rsna_pneumonia,
    siim_pneumothorax,
)
from .annotations import (
    FAILED,
    REJECTED,
    describe,
    draw_subsets,
    write_annotations,
    write_coco,
    write_names,
    write_rejected,
    write_subsets,
)
from .collection import SPLITS, Collection, Rejected, Sample, assert_disjoint_patients, group_by_split
from .dense import check_boxes, draw_mask, place_boxes, place_mask, write_png
from .image_store import STORE, keep_rows, write_image_store
from .manifest import MANIFEST, SCHEMA_VERSION, build_manifest, fingerprint_sources, write_json_durably
from .options import Options
from .output_folder import is_finished, open_folder, publish
from .raw_folder import RawFolder
from .splits import apply_split_list

DATASETS: dict[str, ModuleType] = {
    "mimic_cxr": mimic_cxr,
    "chexpert": chexpert,
    "rsna_pneumonia": rsna_pneumonia,
    "covidx": covidx,
    "object_cxr": object_cxr,
    "siim_pneumothorax": siim_pneumothorax,
    "iu_xray": iu_xray,
    "covid_chestxray": covid_chestxray,
    "image_report_csv": image_report_csv,
}


def prepare(dataset: str, raw: Path, out: Path, options: Options) -> bool:
    """Prepare a data set: raw layout in ``raw``, prepared data in ``out``.

    A finished preparation with the same parameters from the same tables is left alone. Files are made in
    ``out/.partial`` and moved at the end, the manifest last; a run that is interrupted goes on where it stopped.

    Args:
        dataset: A name of ``DATASETS``.
        raw: The raw folder.
        out: The folder to make; readable by its owner only, for it holds report text.
        options: See :class:`Options`.

    Returns:
        Whether anything was done.

    Raises:
        UserError: The raw data or the options do not allow it; nothing is left behind then that looks finished.
    """
    source = DATASETS[dataset]
    try:
        folder = RawFolder(raw, options.follow_links)
        key = {
            "schema_version": SCHEMA_VERSION,
            "dataset": dataset,
            "parameters": options.parameters(),
            "sources": fingerprint_sources(source.find_sources(folder)),
        }
        with _private_files(), open_folder(out) as partial:
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
    _assert_training_images(collection)
    if options.protocol == "paper":
        assert_disjoint_patients(group_by_split(collection.samples))
        assert_disjoint_patients(group_by_split(collection.samples, dense=True))
    # Loaded before the images are decoded: a wrong name should not show after hours.
    tokenizer = None if options.tokenizer is None else load_tokenizer(options.tokenizer)

    if options.annotations_only:
        row_of_image = None
        _reject(collection, _check_annotations(collection, raw, partial), raw, partial, options)
    else:
        _store_images(collection, raw, partial, options)
        row_of_image = {sample.image_id: row for row, sample in enumerate(collection.samples)}
    _assert_training_images(collection)
    _write_image_level(collection, partial, key["dataset"], row_of_image)
    _write_dense(collection, partial, key["dataset"], row_of_image)
    write_rejected(partial / REJECTED, collection.rejected, raw.path)

    sentences = {s.study_id: s.report for s in collection.samples if s.report is not None and "train" in s.splits}
    if sentences:
        if tokenizer is None:
            texts = (text for report in sentences.values() for text in report)
            tokenizer = train_tokenizer(texts, options.vocab_size)
        tokenizer.save_pretrained(partial / "tokenizer")

    manifest = build_manifest(partial, key, collection)
    _print_counts(manifest)
    write_json_durably(partial / MANIFEST, manifest)


def _print_counts(manifest: dict) -> None:
    """Print what is in each split, and the notes; the positives of many classes are left to the manifest."""
    rows = [("total", manifest["total"])]
    rows += [(split, counts) for split, counts in manifest["splits"].items()]
    rows += [(f"{split}, boxes and masks", counts) for split, counts in manifest["dense_splits"].items()]
    for title, counts in rows:
        positives = [name for name in counts if name.startswith("positive: ")]
        shown = {name: count for name, count in counts.items() if len(positives) <= 3 or name not in positives}
        print(f"{title:<23} " + ", ".join(f"{count:,} {name}" for name, count in shown.items()), flush=True)
    for note in manifest["notes"]:
        print(f"note: {note}", flush=True)


def _store_images(collection: Collection, raw: RawFolder, partial: Path, options: Options) -> None:
    """Decode the images, draw the masks, and leave out what cannot be read."""
    samples = collection.samples
    size = options.image_size
    images = [sample.image_path for sample in samples]
    shapes, faults = write_image_store(partial, raw, images, size, options.workers)
    for row, (sample, shape) in enumerate(zip(samples, shapes, strict=True)):
        if row not in faults and sample.shape not in (None, shape) and (sample.boxes or sample.mask is not None):
            faults[row] = (
                f"{sample.image_path}: {shape[1]} x {shape[0]} pixels, but the annotations are made for "
                f"{sample.shape[1]} x {sample.shape[0]}; take the published image"
            )
        sample.shape = shape
    if collection.mask_classes is not None:
        (partial / "masks").mkdir()
    for row, sample in enumerate(samples):
        if row not in faults and sample.dense_splits:
            try:
                check_boxes(sample)
                if sample.is_masked:
                    write_png(partial / "masks" / f"{sample.image_id}.png", place_mask(draw_mask(sample, raw), size))
            except UserError as error:
                faults[row] = str(error)
    _reject(collection, faults, raw, partial, options)
    if faults:
        keep_rows(partial, [row for row in range(len(samples)) if row not in faults])
    collection.filters.add("image readable", len(collection.samples))
    print(collection.filters.lines()[-1], flush=True)

    dense = [(row, sample) for row, sample in enumerate(collection.samples) if sample.dense_splits]
    if dense:
        (partial / "images").mkdir()
        store = np.load(partial / STORE, mmap_mode="r")
    for row, sample in tqdm(dense, desc="png", unit="img", disable=None):
        write_png(partial / "images" / f"{sample.image_id}.png", store[row])
        if sample.boxes is not None:
            place_boxes(sample, size)
        sample.shape = (size, size)


def _check_annotations(collection: Collection, raw: RawFolder, partial: Path) -> dict[int, str]:
    """Without images: check boxes, and masks where the format names the shape, and write those as COCO's RLE."""
    from pycocotools import mask as coco_mask

    faults: dict[int, str] = {}
    masks = {}
    for row, sample in enumerate(collection.samples):
        if sample.dense_splits:
            try:
                check_boxes(sample)
                if sample.mask is not None and sample.shape is not None:
                    mask = coco_mask.encode(np.asfortranarray(draw_mask(sample, raw)))
                    masks[sample.image_id] = mask | {"counts": mask["counts"].decode("ascii")}
            except UserError as error:
                faults[row] = str(error)
    if collection.mask_classes is not None:
        (partial / "segmentation").mkdir()
        (partial / "segmentation" / "masks.json").write_text(json.dumps(masks) + "\n", encoding="ascii")
    return faults


def _reject(collection: Collection, faults: dict[int, str], raw: RawFolder, partial: Path, options: Options) -> None:
    """Leave out the samples of some rows, unless they are too many.

    Raises:
        UserError: They are more than the share allowed; names the first of them, and leaves the list beside the output.
    """
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
    collection.samples = [sample for row, sample in enumerate(collection.samples) if row not in faults]


def _write_image_level(
    collection: Collection, partial: Path, dataset: str, row_of_image: dict[str, int] | None
) -> None:
    """Reports and labels: an annotation file a split, and the subset lists."""
    groups = group_by_split(collection.samples)
    for split in SPLITS:
        metainfo = describe(collection, dataset, split)
        write_annotations(partial / f"{split}.json", metainfo, groups[split], row_of_image)
    write_subsets(partial / "subsets", groups["train"])


def _write_dense(collection: Collection, partial: Path, dataset: str, row_of_image: dict[str, int] | None) -> None:
    """Boxes as mmdet reads them, names of images and masks as mmseg reads them, each with subset lists."""
    groups = group_by_split(collection.samples, dense=True)
    if collection.categories is not None:
        folder = partial / "detection"
        folder.mkdir()
        boxed = {split: [sample for sample in groups[split] if sample.boxes is not None] for split in SPLITS}
        for split in SPLITS:
            metainfo = {"dataset": dataset, "split": split}
            write_coco(folder / f"{split}.json", metainfo, boxed[split], collection.categories, row_of_image)
        write_subsets(folder / "subsets", boxed["train"])
        for name, samples in draw_subsets(boxed["train"]).items():
            metainfo = {"dataset": dataset, "split": name}
            write_coco(folder / "subsets" / f"{name}.json", metainfo, samples, collection.categories, row_of_image)
    if collection.mask_classes is not None:
        folder = partial / "segmentation"
        folder.mkdir(exist_ok=True)
        masked: dict[str, list[Sample]] = {split: [s for s in groups[split] if s.is_masked] for split in SPLITS}
        for split in SPLITS:
            write_names(folder / f"{split}.txt", (sample.image_id for sample in masked[split]))
        write_subsets(folder / "subsets", masked["train"])
        (folder / "classes.txt").write_text("".join(f"{name}\n" for name in collection.mask_classes), encoding="utf-8")


def _assert_training_images(collection: Collection) -> None:
    """Make sure that something is left to train on.

    Raises:
        UserError: No training image is left; names the filter that took the last image, if one did.
    """
    empty = [row["stage"] for row in collection.filters.counts() if row["kept"] == 0]
    if empty:
        raise UserError(f"no image is left after the filter {empty[0]!r}; is --raw the right folder, and complete?")
    if not any("train" in sample.splits for sample in collection.samples):
        raise UserError("no image of the training split is left; is --raw the right folder, and complete?")


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Create every file and folder for its owner only, those of libraries and worker processes included."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
