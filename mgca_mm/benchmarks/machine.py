"""What a piece of code costs on a machine: seconds, peak memory, and what the machine could do at best."""

import ctypes
import gc
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch


def elapsed(run: Callable[[], object], device: str) -> float:
    """Seconds of a call, the device's work included."""
    _synchronize(device)
    start = time.perf_counter()
    run()
    _synchronize(device)
    return time.perf_counter() - start


def describe_machine() -> str:
    """Processor, cores that this process may use, memory, and GPUs."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    parts = [
        *(names[:1] or [platform.machine()]),
        f"{len(os.sched_getaffinity(0))} cores",
        f"{memory:.0f} GB of memory",
    ]
    return ", ".join(parts + [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())])


def host_time(run: Callable[[], object]) -> float:
    """Seconds until a call has handed a GPU its work, about those of the GPU where that is the slower of the two."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def top_kernels(run: Callable[[], object], device: str, rows: int = 20) -> str:
    """A table of what takes most of a call's time: kernels on a GPU, operators on a CPU."""
    activities = [torch.profiler.ProfilerActivity.CPU]
    if device == "cuda":
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profile:
        run()
        _synchronize(device)
    return profile.key_averages().table(sort_by=f"self_{device}_time_total", row_limit=rows)


def release_memory(device: str) -> None:
    """Give back what nothing refers to any longer, so that the next peak is not that of two models."""
    if device == "cuda":
        torch.compiler.reset()  # compiled code holds its model
    gc.collect()
    if device == "cuda":
        torch.cuda.empty_cache()


def peak_memory(run: Callable[[], object], device: str) -> int:
    """Peak bytes of a call: all that is allocated on a GPU; on a CPU what the process grows by."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # resets VmHWM
    before = _status("VmRSS")
    run()
    return _status("VmHWM") - before


def matrix_product_ceiling(dtype: torch.dtype, device: str, size: int | None = None) -> float:
    """Operations a second of the fastest of some large matrix products."""
    size = size or (8192 if device == "cuda" else 2048)
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    a @ b
    return 2 * size**3 / min(elapsed(lambda: a @ b, device) for _ in range(8))


def _synchronize(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _status(name: str) -> int:
    """A line of ``/proc/self/status``, in bytes."""
    with open("/proc/self/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(name)) * 1024
