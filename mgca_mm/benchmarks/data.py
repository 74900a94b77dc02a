"""How fast images reach a model, decoded from full-size files or read from the prepared store; and memory."""

import itertools
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.runner import Runner

from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.seeding import seed_samples
from mgca_mm.datasets.tokenization import tokenize_once
from mgca_mm.phantom import render, sample_patient
from mgca_mm.radiographs.reading import read_radiograph, resize_and_pad
from mgca_mm.reports.cleaning import report_sentences
from mgca_mm.reports.tokenizer import load_tokenizer, train_tokenizer

FULL_SIZE = (3056, 2544)  # Height and width of the commonest images of MIMIC-CXR.
SIZE = 256
TOKENIZE = dict(type="mgca_mm.TokenizeReport", max_length=112)
PIPELINE = (  # of configs/mgca/pretrain_vit_fast.py, with the folder's own tokenizer
    dict(type="mgca_mm.LoadRadiograph"),
    dict(type="mgca_mm.ResizeAndPad", size=SIZE),
    TOKENIZE,
    dict(type="mgca_mm.PackImageReportInputs"),
)
_BATCH_SIZE = 144
_NUM_FILES = 8
_NUM_ROWS = 2048  # Of the store that is read: 134 MB, in the page cache after the first pass.
_TURNS = 20


def measure_rates(seconds: float) -> dict[str, float]:
    """Images a second of one core's time, the fastest of twenty turns; other work on the machine only slows one down.

    Args:
        seconds: Processor time for each of the three.

    Returns:
        ``raw``: decoding and resizing a full-size JPEG; ``prepared``: a sample on the way that training takes (seeding,
        data set, transforms, collation); ``untokenized``: the same where each visit tokenizes the report; ``ratio``:
        prepared over raw.
    """
    cv2.setNumThreads(1)
    torch.set_num_threads(1)  # as a loader's worker does
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as folder:
        files = itertools.cycle(_write_images(Path(folder)))
        write_prepared(Path(folder), _NUM_ROWS)
        untokenized, tokenized = (
            ImageReportDataset(data_root=folder, ann_file="train.json", pipeline=PIPELINE) for _ in range(2)
        )
        tokenize_once(tokenized)
        visits, batches = _load(untokenized), _load(tokenized)

        def decode() -> int:
            resize_and_pad(read_radiograph(next(files)), SIZE)
            return 1

        ways = {
            "raw": decode,
            "untokenized": lambda: len(next(visits)["data_samples"]),
            "prepared": lambda: len(next(batches)["data_samples"]),
        }
        for load in ways.values():  # warm up
            load()
        turns = [{name: _rate(load, seconds / _TURNS) for name, load in ways.items()} for _ in range(_TURNS)]
    rates = {name: max(turn[name] for turn in turns) for name in ways}
    return rates | {"ratio": rates["prepared"] / rates["raw"]}


def measure_memory(num_rows: int, workers: int = 2) -> dict[str, float]:
    """Memory of a data set object whose reports are tokenized, in megabytes, and what a worker of the loader adds.

    Args:
        num_rows: Image-report pairs; reports have the phantom's length, and no two are the same.
        workers: Forked processes that read every row, as a loader's do in an epoch.

    Returns:
        ``dataset``: what the process grows by; ``peak``: the same at its largest, while the annotation file is read;
        ``worker``: private memory of a worker after reading all rows; ``tokenize_s``: seconds that the tokenizing
        takes, on all cores.
    """
    # Each in a process of its own: memory that was freed is not given back at once.
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, context) as pool:
        write_prepared(Path(folder), num_rows, images=False)
        return pool.submit(_load_and_fork, folder, workers).result()


def _load(dataset: ImageReportDataset) -> Iterator[dict]:
    """Batches without end as a training loads them, in this process."""
    loader = Runner.build_dataloader(
        dict(
            batch_size=_BATCH_SIZE,
            num_workers=0,
            drop_last=True,
            sampler=dict(type="mgca_mm.ReproducibleSampler"),
            collate_fn=dict(type="default_collate"),
            dataset=dataset,
        ),
        seed=0,
    )
    seed_samples(loader.dataset)
    for epoch in itertools.count():
        loader.sampler.set_epoch(epoch)
        yield from loader


def _rate(load: Callable[[], int], seconds: float) -> float:
    """What a function counts a second, called for so many seconds of processor time."""
    count, start = 0, time.process_time()
    while (elapsed := time.process_time() - start) < seconds:
        count += load()
    return count / elapsed


def _write_images(folder: Path) -> list[Path]:
    """Phantom radiographs at full size, as JPEG of the quality of MIMIC-CXR-JPG."""
    files = [folder / f"{index}.jpg" for index in range(_NUM_FILES)]
    for index, path in enumerate(files):
        pixels = render(sample_patient(0, index)[0], "PA", 1024).pixels
        cv2.imwrite(str(path), cv2.resize(pixels, FULL_SIZE[::-1]), (cv2.IMWRITE_JPEG_QUALITY, 95))
    return files


def write_prepared(folder: Path, num_rows: int, images: bool = True) -> None:
    """A prepared folder of phantom reports, each with its number, and random images."""
    reports = _write_annotations(folder / "train.json", num_rows)
    train_tokenizer((sentence for report in reports for sentence in report), 8000).save_pretrained(folder / "tokenizer")
    if images:
        np.save(folder / "images.npy", np.random.default_rng(0).integers(0, 256, (num_rows, SIZE, SIZE), np.uint8))


def _write_annotations(path: Path, num_rows: int) -> list[list[str]]:
    """An annotation file with the reports of the phantom, over and over; returns them."""
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
                "report": [f"study {row}", *reports[row % len(reports)]],
            }
            file.write(f"{',' if row else ''}\n{json.dumps(entry)}")
        file.write("\n]}\n")
    return reports


def _load_and_fork(folder: str, workers: int) -> dict[str, float]:
    """Load a data set, let forked workers read all of it, and return the memory of each."""
    load_tokenizer(str(Path(folder) / "tokenizer"))  # transformers itself is not what is measured
    before = _memory("VmRSS")
    dataset = ImageReportDataset(data_root=folder, ann_file="train.json", pipeline=[TOKENIZE])
    start = time.perf_counter()
    tokenize_once(dataset)
    result = {"tokenize_s": time.perf_counter() - start}
    result |= {"dataset": _memory("VmRSS") - before, "peak": _memory("VmHWM") - before}
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    processes = [context.Process(target=_read_all, args=(dataset, queue)) for _ in range(workers)]
    for process in processes:
        process.start()
    result["worker"] = max(queue.get() for _ in processes)
    for process in processes:
        process.join()
    return result


def _read_all(dataset: ImageReportDataset, queue) -> None:
    before = _private_memory()
    for index in range(len(dataset)):
        dataset[index]
    queue.put(_private_memory() - before)


def _memory(field: str) -> float:
    """A line of ``/proc/self/status``, in megabytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field)) / 1000


def _private_memory() -> float:
    """Memory of this process that it shares with no other, in megabytes."""
    with open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_")) / 1000
