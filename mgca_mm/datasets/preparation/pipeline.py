"""The steps of a preparation in order: collect, decode, annotate, train the tokenizer, seal with a manifest."""

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from mgca_mm.errors import UserError

from . import covid_chestxray, mimic_cxr
from .common import SPLITS, Collection, assert_disjoint_patients, group_by_split
from .image_store import keep_rows, write_image_store
from .manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    build_manifest,
    fingerprint_sources,
    write_annotations,
    write_json_durably,
    write_subsets,
)
from .tokenizer import describe_tokenizer, load_tokenizer, train_tokenizer

DATASETS: dict[str, ModuleType] = {"mimic_cxr": mimic_cxr, "covid_chestxray": covid_chestxray}
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Options:
    """Options of a preparation.

    Attributes:
        image_size: Side of the stored images, in pixels.
        tokenizer: Folder or hub name of a tokenizer to copy; None trains one.
        vocab_size: Largest vocabulary of a trained tokenizer.
        skip_broken: Drop images that are missing or broken instead of stopping at them.
        workers: Processes that decode images; changes nothing in the result.
    """

    image_size: int = 256
    tokenizer: str | None = None
    vocab_size: int = 8000
    skip_broken: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (("image_size", 8, 4096), ("vocab_size", 100, 1_000_000), ("workers", 1, 1024)):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name.replace('_', '-')}: a whole number from {low} to {high} is expected")

    def parameters(self) -> dict:
        """The options that change the result, for the manifest."""
        return {
            "image_size": self.image_size,
            "tokenizer": describe_tokenizer(self.tokenizer),
            "vocab_size": self.vocab_size if self.tokenizer is None else None,
            "skip_broken": self.skip_broken,
        }


def prepare(dataset: str, raw: Path, out: Path, options: Options) -> bool:
    """Prepare a data set: raw layout in ``raw``, prepared data in ``out``.

    A finished preparation with the same parameters from the same tables is left alone. Files are made in
    ``out/.partial`` and moved at the end, the manifest last; a run that is interrupted can be started again.

    Args:
        dataset: A name of ``DATASETS``.
        raw: The raw folder.
        out: The folder to make; readable by its owner only, for it holds report text.
        options: See :class:`Options`.

    Returns:
        Whether anything was done.

    Raises:
        UserError: The raw data or the options do not allow it; nothing is left behind then.
    """
    source = DATASETS[dataset]
    try:
        key = {
            "schema_version": SCHEMA_VERSION,
            "dataset": dataset,
            "parameters": options.parameters(),
            "sources": fingerprint_sources(source.find_sources(raw)),
        }
        with _private_files(), _open_folder(out) as partial:
            if _is_finished(out, key):
                print(f"{out} is prepared already with these parameters; nothing to do", flush=True)
                return False
            _prepare_files(source.collect(raw), raw, partial, key, options)
            _publish(partial, out)
    except OSError as error:
        raise UserError(f"{error.filename or out}: {error.strerror or error}") from error
    return True


def _prepare_files(collection: Collection, raw: Path, partial: Path, key: dict, options: Options) -> None:
    """Make every file of the preparation, the manifest included, in an empty folder."""
    for line in collection.filters.lines():
        print(line, flush=True)
    _assert_training_images(collection)
    assert_disjoint_patients(collection.samples)
    # Loaded before the images are decoded: a wrong name should not show after hours.
    tokenizer = None if options.tokenizer is None else load_tokenizer(options.tokenizer)

    _store_images(collection, raw, partial / "images.npy", options)
    _assert_training_images(collection)
    groups = group_by_split(collection.samples)
    row_of_image = {sample.image_id: row for row, sample in enumerate(collection.samples)}
    for split in SPLITS:
        entries = ((row_of_image[sample.image_id], sample) for sample in groups[split])
        write_annotations(partial / f"{split}.json", key["dataset"], split, entries, collection.classes)
    (partial / "subsets").mkdir()
    write_subsets(partial / "subsets", groups["train"])

    if tokenizer is None:
        reports = {sample.study_id: sample.report for sample in groups["train"]}
        tokenizer = train_tokenizer((text for report in reports.values() for text in report), options.vocab_size)
    tokenizer.save_pretrained(partial / "tokenizer")

    manifest = build_manifest(
        partial, key["dataset"], key["parameters"], key["sources"], collection.filters.counts(), groups
    )
    for split, counts in manifest["splits"].items():
        print(f"{split:<6}" + "".join(f" {count:>8,} {name}" for name, count in counts.items()), flush=True)
    write_json_durably(partial / MANIFEST, manifest)


def _store_images(collection: Collection, raw: Path, store: Path, options: Options) -> None:
    """Decode the images; drop those that cannot be read, or stop at them.

    Raises:
        UserError: Images cannot be read and are not to be skipped; names the first, and how many.
    """
    samples = collection.samples
    faults = write_image_store(
        store, [raw / sample.image_path for sample in samples], options.image_size, options.workers
    )
    if faults and not options.skip_broken:
        raise UserError(
            f"{len(faults)} of {len(samples)} images are missing or broken; the first:\n"
            f"{next(iter(faults.values()))}\nCopy them again, or leave them out with --skip-broken."
        )
    if faults:
        rows = [row for row in range(len(samples)) if row not in faults]
        keep_rows(store, rows)
        collection.samples = [samples[row] for row in rows]
    collection.filters.add("image readable", len(collection.samples))
    print(collection.filters.lines()[-1], flush=True)


def _assert_training_images(collection: Collection) -> None:
    """Make sure that something is left to train on.

    Raises:
        UserError: No training image is left; names the filter that took the last image, if one did.
    """
    empty = [row["stage"] for row in collection.filters.counts() if row["kept"] == 0]
    if empty:
        raise UserError(f"no image is left after the filter {empty[0]!r}; is --raw the right folder, and complete?")
    if not any(sample.split == "train" for sample in collection.samples):
        raise UserError("no image of the training split is left; is --raw the right folder, and complete?")


def _is_finished(out: Path, key: dict) -> bool:
    """Whether a folder has a manifest with these entries, and the files it lists in their sizes."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
        return all(manifest[name] == value for name, value in key.items()) and all(
            (out / name).stat().st_size == entry["bytes"] for name, entry in manifest["files"].items()
        )
    except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        return False  # No manifest, one of another making, or a file was removed.


@contextlib.contextmanager
def _private_files() -> Iterator[None]:
    """Create every file and folder for its owner only, those of libraries and worker processes included."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


@contextlib.contextmanager
def _open_folder(out: Path) -> Iterator[Path]:
    """Make the output folder, keep others out of it, and give an empty folder inside it to work in.

    Raises:
        UserError: It is no folder, or another preparation is writing to it.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out}: a file of this name exists; --out takes a folder")
    out.mkdir(parents=True, exist_ok=True)
    names = {path.name for path in out.iterdir()}
    # A folder that holds other things (--out /tmp) keeps its permissions: its files are private in any case.
    if not names or names & {MANIFEST, _PARTIAL}:
        out.chmod(0o700)
    descriptor = os.open(out, os.O_RDONLY)
    partial = out / _PARTIAL
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{out}: another preparation is writing to this folder") from error
        shutil.rmtree(partial, ignore_errors=True)  # Of a run that was killed.
        partial.mkdir()
        try:
            yield partial
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    finally:
        os.close(descriptor)


def _publish(partial: Path, out: Path) -> None:
    """Move the files into place, the manifest last, so that a manifest always describes the files beside it."""
    for path in partial.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
    (out / MANIFEST).unlink(missing_ok=True)
    for path in sorted(partial.iterdir(), key=lambda path: path.name == MANIFEST):
        target = out / path.name
        if path.is_dir():
            shutil.rmtree(target, ignore_errors=True)
        os.replace(path, target)
