"""The image store: one memory map of square uint8 images, decoded by a pool of processes."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mgca_mm.datasets.radiograph import read_radiograph, resize_and_pad
from mgca_mm.errors import UserError

_CHUNK = 32  # Images a task: enough to hide the cost of a task, few enough for the progress bar to move.


def write_image_store(store: Path, images: Sequence[Path], size: int, workers: int) -> dict[int, str]:
    """Decode images into a new memory map (N, size, size) uint8, row i for image i whatever the number of workers.

    Args:
        store: The ``.npy`` file to create.
        images: The image files.
        size: Side of the squares, in pixels.
        workers: Processes that decode; 1 decodes in this process.

    Returns:
        Why an image could not be read, by its row, in order; such rows stay black.

    Raises:
        UserError: The disk is full, or a worker was killed.
    """
    _create_store(store, (len(images), size, size))
    starts = range(0, len(images), _CHUNK)
    chunks = [images[start : start + _CHUNK] for start in starts]
    arguments = ([store] * len(chunks), starts, chunks, [size] * len(chunks))
    faults: dict[int, str] = {}
    # disable=None: no bar where the error stream is not a terminal.
    with tqdm(total=len(images), desc="images", unit="img", disable=None) as bar:
        for chunk, found in zip(chunks, _map(workers, arguments), strict=True):
            faults.update(found)
            bar.update(len(chunk))
    return faults


def keep_rows(store: Path, rows: Sequence[int]) -> None:
    """Rewrite a store with some of its rows only.

    Args:
        store: The ``.npy`` file.
        rows: The rows that stay, in order.
    """
    old = np.load(store, mmap_mode="r")
    smaller = store.with_name(f"{store.name}.smaller")
    _create_store(smaller, (len(rows), *old.shape[1:]))
    new = np.load(smaller, mmap_mode="r+")
    for start in range(0, len(rows), 1024):
        new[start : start + 1024] = old[rows[start : start + 1024]]
    new.flush()
    os.replace(smaller, store)


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


def _map(workers: int, arguments: tuple):
    """Results of the chunks, in order."""
    if workers == 1:
        yield from map(_decode_chunk, *arguments)
        return
    # Not fork: OpenCV's and the tokenizers' threads do not survive it. The fork server imports this module once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_be_single_threaded) as pool:
        try:
            yield from pool.map(_decode_chunk, *arguments)
        except BrokenProcessPool as error:
            raise UserError("a worker process was killed, most likely out of memory; use fewer --workers") from error
        finally:
            pool.shutdown(cancel_futures=True)


def _be_single_threaded() -> None:
    """The pool is the parallelism; threads of OpenCV on top of it only get in each other's way."""
    cv2.setNumThreads(1)


def _decode_chunk(store: Path, start: int, images: Sequence[Path], size: int) -> dict[int, str]:
    """Decode some images into the rows from ``start`` on and return the faults by row."""
    rows = np.load(store, mmap_mode="r+")
    faults = {}
    for row, image in enumerate(images, start):
        try:
            rows[row] = resize_and_pad(read_radiograph(image), size)
        except UserError as error:
            faults[row] = str(error)
    rows.flush()
    return faults
