"""The image store: one memory map of square uint8 images, decoded by a pool of processes that can be interrupted."""

import functools
import hashlib
import json
import multiprocessing
import multiprocessing.connection
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from mgca_mm.errors import UserError
from mgca_mm.files import replacing
from mgca_mm.prepared import STORE, open_store
from mgca_mm.progress import Progress
from mgca_mm.radiographs.reading import Placement, read_radiograph, resize_and_pad

from .raw_folder import RawFolder
from .suspicious import Suspicion, suspicion_of

PROGRESS = "progress.jsonl"
_CHUNK = 32  # Images a task: enough to hide the cost of a task, few enough for the progress bar to move.
_FORMAT = 2  # Of the progress file; also goes up when images are read otherwise than before.


class Decoded(NamedTuple):
    """What is known of an image beside its pixels.

    Attributes:
        shape: Height and width of the raw image.
        suspicion: Why the stored one is suspicious, if it is.
    """

    shape: tuple[int, int]
    suspicion: Suspicion | None


Outcomes = list[Decoded | str]  # A string says why the image could not be read.


def write_image_store(folder: Path, raw: RawFolder, images: Sequence[str], size: int, workers: int) -> Outcomes:
    """Decode images into a memory map (N, size, size) uint8, row i for image i whatever the number of workers.

    What an interrupted call decoded is kept, as long as the images are the same; broken ones are tried again.

    Args:
        folder: Folder of ``images.npy`` and the progress file.
        raw: Folder of the images.
        images: Their paths in it.
        size: Side of the squares, in pixels.
        workers: Processes that decode; 1 decodes in this process.

    Returns:
        What is known of each image, or why it could not be read: the rows of such images are black.

    Raises:
        UserError: The disk is full, or a worker was killed.
    """
    starts = range(0, len(images), _CHUNK)
    chunks = [images[start : start + _CHUNK] for start in starts]
    done = _read_progress(folder, raw, chunks, size)
    if not done:
        _create_store(folder / STORE, (len(images), size, size))
        (folder / PROGRESS).write_text(json.dumps(_heading(images, size)) + "\n", encoding="ascii")
    todo = [index for index in range(len(chunks)) if index not in done]
    decode = functools.partial(_decode_chunk, folder / STORE, raw, size)
    decoded = _map(workers, decode, [starts[index] for index in todo], [chunks[index] for index in todo])
    with (
        Progress("images", len(images), sum(map(len, done.values()))) as bar,
        open(folder / PROGRESS, "a", encoding="ascii") as progress,
    ):
        for index, (stamp, outcomes) in zip(todo, decoded, strict=True):
            done[index] = outcomes
            if not any(isinstance(outcome, str) for outcome in outcomes):
                progress.write(json.dumps([index, stamp, outcomes]) + "\n")
                progress.flush()
            bar.update(len(outcomes))
    return [outcome for index in range(len(chunks)) for outcome in done[index]]


def _heading(images: Sequence[str], size: int) -> list:
    """First line of the progress file: which images the store is made of."""
    return [
        _FORMAT,
        size,
        len(images),
        hashlib.sha256("\n".join(images).encode("utf-8", "surrogateescape")).hexdigest(),
    ]


def _read_progress(folder: Path, raw: RawFolder, chunks: list[Sequence[str]], size: int) -> dict[int, Outcomes]:
    """The chunks that an interrupted call has finished; none where it made another store."""
    done: dict[int, Outcomes] = {}
    try:
        lines = (folder / PROGRESS).read_text(encoding="ascii").splitlines()
        store = open_store(folder / STORE)
        images = [image for chunk in chunks for image in chunk]
        if json.loads(lines[0]) != _heading(images, size) or store.shape != (len(images), size, size):
            return {}
        for line in lines[1:]:
            index, stamp, outcomes = json.loads(line)
            if stamp == _stamp(raw, chunks[index]):
                done[index] = [Decoded(tuple(shape), found and Suspicion(*found)) for shape, found in outcomes]
    except (OSError, IndexError, UserError):
        return {}  # There was no such call, or what it made did not reach the disk.
    except ValueError:
        pass  # The last line was cut off.
    return done


def _stamp(raw: RawFolder, images: Sequence[str]) -> str:
    """Digest of the files' sizes and times, so that a file that changed since is read again."""
    digest = hashlib.sha256()
    for image in images:
        try:
            status = os.stat(raw.path / image)
            digest.update(f"{status.st_size} {status.st_mtime_ns}\n".encode())
        except (OSError, ValueError):
            digest.update(b"missing\n")
    return digest.hexdigest()


def keep_rows(folder: Path, rows: Sequence[int]) -> None:
    """Rewrite a store with some of its rows only.

    Args:
        folder: Folder of the store; its progress file goes, for it counts the rows of before.
        rows: The rows that stay, in order.
    """
    store = folder / STORE
    old = open_store(store)
    with replacing(store) as smaller:
        _create_store(smaller, (len(rows), *old.shape[1:]))
        new = np.load(smaller, mmap_mode="r+")
        for start in range(0, len(rows), 1024):
            new[start : start + 1024] = old[rows[start : start + 1024]]
        new.flush()
        (folder / PROGRESS).unlink()


def _create_store(store: Path, shape: tuple[int, int, int]) -> None:
    """Create a store of zeros with its space on the disk taken at once.

    A sparse file would be created in any case, and the process killed by a bus error when the disk fills up later.
    """
    np.lib.format.open_memmap(store, mode="w+", dtype=np.uint8, shape=shape).flush()
    num_bytes = os.path.getsize(store)
    with open(store, "r+b") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, num_bytes)
        except OSError as error:
            raise UserError(
                f"{store.name}: cannot reserve {num_bytes / 1e9:.1f} GB ({error.strerror}); "
                "free some space or choose another --out"
            ) from error


def _map(workers: int, decode: Callable[..., Any], *arguments: Sequence) -> Iterator[Any]:
    """Results of the chunks, in order."""
    if workers == 1:
        yield from map(decode, *arguments)
        return
    # Not fork: OpenCV's and the tokenizers' threads do not survive it. The fork server imports this module once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        try:
            yield from pool.map(decode, *arguments)
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed, most likely out of memory; use fewer --workers") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread of OpenCV, for the pool is the parallelism; and no life without the process that started it."""
    cv2.setNumThreads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    """End this worker when the main process is killed: it would wait for work forever, and keep its memory."""
    multiprocessing.connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _decode_chunk(store: Path, raw: RawFolder, size: int, start: int, images: Sequence[str]) -> tuple[str, Outcomes]:
    """Decode some images into the rows from ``start`` on; their stamp, and what became of each."""
    stamp = _stamp(raw, images)
    rows = np.load(store, mmap_mode="r+")
    outcomes: Outcomes = []
    for row, image in enumerate(images, start):
        try:
            radiograph = read_radiograph(raw.file(image))
            rows[row] = resize_and_pad(radiograph, size)
            place = Placement.of(*radiograph.shape, size)
            stored = rows[row, place.top : place.top + place.height, place.left : place.left + place.width]
            outcomes.append(Decoded(radiograph.shape, suspicion_of(np.ascontiguousarray(stored))))
        except UserError as error:
            rows[row] = 0
            outcomes.append(str(error))
    rows.flush()
    return stamp, outcomes
