"""How fast images reach a model, decoded from full-size files or read from the prepared store; and memory."""

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from mmengine.dataset import default_collate

from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.phantom import render, sample_patient
from mgca_mm.datasets.preparation.tokenizer import train_tokenizer
from mgca_mm.datasets.radiograph import read_radiograph, resize_and_pad

FULL_SIZE = (3056, 2544)  # Height and width of the commonest images of MIMIC-CXR.
SIZE = 256
_NUM_FILES = 8
_NUM_ROWS = 2048  # Of the store that is read: 134 MB, in the page cache after the first pass.


def measure_rates(seconds: float) -> dict[str, float]:
    """Images a second on one core, each way measured in turns so that both meet the same neighbours on the machine.

    Args:
        seconds: Time for each of the two.

    Returns:
        ``raw``: decoding and resizing a full-size JPEG; ``prepared``: a sample through data set, transforms (crop,
        tokeniser) and collation; ``ratio``: prepared over raw.
    """
    cv2.setNumThreads(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        files = _write_images(Path(folder))
        dataset = _write_prepared(Path(folder), _NUM_ROWS)
        indices = np.random.default_rng(0).permutation(_NUM_ROWS)
        raw_images = prepared_images = 0
        raw_time = prepared_time = 0.0

        def decode(step: int) -> int:
            resize_and_pad(read_radiograph(files[step % len(files)]), SIZE)
            return 1

        def load_batch(step: int) -> int:
            picked = [indices[(step * 48 + offset) % _NUM_ROWS] for offset in range(48)]
            return len(default_collate([dataset[index] for index in picked])["data_samples"])

        for warm_up in (decode, load_batch):
            warm_up(0)
        turns = 5
        for _ in range(turns):
            count, elapsed = _repeat(decode, seconds / turns)
            raw_images, raw_time = raw_images + count, raw_time + elapsed
            count, elapsed = _repeat(load_batch, seconds / turns)
            prepared_images, prepared_time = prepared_images + count, prepared_time + elapsed
    rates = {"raw": raw_images / raw_time, "prepared": prepared_images / prepared_time}
    return rates | {"ratio": rates["prepared"] / rates["raw"]}


def measure_memory(num_rows: int, workers: int = 2) -> dict[str, float]:
    """Memory of a data set object, in megabytes, and what a worker of the loader adds to it.

    Args:
        num_rows: Image-report pairs; reports have the phantom's length.
        workers: Forked processes that read every row, as a loader's do in an epoch.

    Returns:
        ``dataset``: what the process grows by; ``peak``: the same at its largest, while the annotation file is read;
        ``worker``: private memory of a worker after reading all rows.
    """
    with tempfile.TemporaryDirectory() as folder:
        ann_file = Path(folder) / "train.json"
        _write_annotations(ann_file, num_rows)
        # Each in a process of its own: memory that was freed is not given back at once.
        context = multiprocessing.get_context("spawn")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_load_and_fork, args=(str(ann_file), workers, sender))
        process.start()
        result = receiver.recv()
        process.join()
    return result


def _repeat(function: Callable[[int], int], seconds: float) -> tuple[int, float]:
    """Call a function for some time; the sum of its results and the time it took."""
    count, step, start = 0, 0, time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        count += function(step)
        step += 1
    return count, elapsed


def _write_images(folder: Path) -> list[Path]:
    """Phantom radiographs at full size, as JPEG of the quality of MIMIC-CXR-JPG."""
    files = []
    for index in range(_NUM_FILES):
        pixels = render(sample_patient(0, index)[0], "PA", 1024).pixels
        path = folder / f"{index}.jpg"
        cv2.imwrite(str(path), cv2.resize(pixels, FULL_SIZE[::-1]), (cv2.IMWRITE_JPEG_QUALITY, 95))
        files.append(path)
    return files


def _write_prepared(folder: Path, num_rows: int) -> ImageReportDataset:
    """A prepared folder of phantom reports and random images, and its data set with the pipeline of the configs."""
    reports = _write_annotations(folder / "train.json", num_rows)
    np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (num_rows, SIZE, SIZE), np.uint8))
    train_tokenizer((sentence for report in reports for sentence in report), 8000).save_pretrained(folder / "tokenizer")
    return ImageReportDataset(
        data_root=folder,
        ann_file="train.json",
        pipeline=[
            dict(type="mgca_mm.LoadRadiograph"),
            dict(type="mgca_mm.ResizeAndPad", size=SIZE),
            dict(type="mmpretrain.RandomCrop", crop_size=224),
            dict(type="mgca_mm.TokenizeReport", max_length=112),
            dict(type="mgca_mm.PackImageReportInputs"),
        ],
    )


def _write_annotations(path: Path, num_rows: int) -> list[list[str]]:
    """An annotation file with the reports of the phantom, over and over; returns them."""
    from mgca_mm.datasets.preparation.reports import report_sentences

    reports = [report_sentences(study.report.text) for index in range(200) for study in sample_patient(0, index)]
    reports = [report for report in reports if report]
    with open(path, "w", encoding="ascii") as file:
        file.write('{"metainfo": {"dataset": "mimic_cxr", "split": "train"}, "data_list": [')
        for row in range(num_rows):
            entry = {
                "image_index": row,
                "image_id": f"{row:08x}-0123abcd-4567ef01-89abcdef-01234567",
                "patient_id": str(10_000_000 + row // 3),
                "study_id": str(50_000_000 + row),
                "view": "PA",
                "report": reports[row % len(reports)],
            }
            file.write(f"{',' if row else ''}\n{json.dumps(entry)}")
        file.write("\n]}\n")
    return reports


def _load_and_fork(ann_file: str, workers: int, sender) -> None:
    """Load a data set, let forked workers read all of it, and report the memory of each."""
    before = _memory("VmRSS")
    dataset = ImageReportDataset(data_root=str(Path(ann_file).parent), ann_file="train.json")
    result = {"dataset": _memory("VmRSS") - before, "peak": _memory("VmHWM") - before}
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_read_all, args=(dataset, queue)) for _ in range(workers)]
    for process in processes:
        process.start()
    result["worker"] = max(queue.get() for _ in processes)
    for process in processes:
        process.join()
    sender.send(result)


def _read_all(dataset: ImageReportDataset, queue) -> None:
    before = _private_memory()
    for index in range(len(dataset)):
        dataset.get_data_info(index)
    queue.put(_private_memory() - before)


def _memory(field: str) -> float:
    """A line of ``/proc/self/status``, in megabytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1000


def _private_memory() -> float:
    """Memory of this process that it shares with no other, in megabytes."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) / 1000
