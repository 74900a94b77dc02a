"""Processes side by side, each with its share of the machine."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import TypeVar

import mgca_mm
from mgca_mm.progress import Progress

Item = TypeVar("Item")
Result = TypeVar("Result")


def command_line(command: str, *arguments: object) -> list[str]:
    """One of our commands for a process of its own, from a clone and from an installed package alike."""
    # By its file: -m would let modules in the user's folder take the place of the libraries' own.
    program = Path(mgca_mm.__file__).parent / "cli" / "__main__.py"
    return [sys.executable, str(program), command, *map(str, arguments)]


def run_side_by_side(
    function: Callable[[Item, dict[str, str]], Result], items: Sequence[Item], jobs: int
) -> Iterator[tuple[Item, Result]]:
    """Call a function that waits for a process, on some items at a time.

    Args:
        function: Gets an item and the environment of its process: its share of the cores and, where there are several
            GPUs, one of them.
        items: What to call it on, in this order.
        jobs: How many at a time, at most.

    Yields:
        An item and what the function returned, as they end.
    """
    jobs = min(jobs, len(items)) or 1
    places = list(range(jobs))

    def run(item: Item) -> Result:
        place = places.pop(0)  # there are as many as threads
        try:
            return function(item, _environment(place, jobs))
        finally:
            places.append(place)

    with ThreadPoolExecutor(jobs) as pool, Progress("runs", len(items)) as progress:
        futures = {pool.submit(run, item): item for item in items}
        try:
            pending = set(futures)
            while pending:
                ended, pending = wait(pending, timeout=5, return_when=FIRST_COMPLETED)
                if not ended:
                    progress.update(0)
                for future in ended:
                    progress.update()
                    with progress.aside():
                        yield futures[future], future.result()
        finally:  # After an interrupt nothing new begins.
            pool.shutdown(wait=False, cancel_futures=True)


def _environment(place: int, jobs: int) -> dict[str, str]:
    """Variables of the process at one of ``jobs`` places."""
    environment = dict(os.environ)
    if jobs > 1:
        import torch  # here, because it takes seconds and the command lines alone are asked for as well

        environment["OMP_NUM_THREADS"] = str(max(1, len(os.sched_getaffinity(0)) // jobs))
        all_devices = ",".join(map(str, range(torch.cuda.device_count())))
        devices = os.environ.get("CUDA_VISIBLE_DEVICES", all_devices).split(",")
        environment["CUDA_VISIBLE_DEVICES"] = devices[place % len(devices)]
    return environment
