"""How the cost of a step grows: with the batch, the tokens, the prototypes and the number of ranks."""

import ctypes
import socket
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageFeatures, TextFeatures

from .machine import elapsed, peak_memory
from .pretraining import step_of

_DIMS = 128
_REPEATS = 5
_M_MMAP_THRESHOLD = -3  # of malloc.h


def fit_exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """Exponent p of cost = c · sizeᵖ: the slope of a straight line through the logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(costs), 1)[0])


def scale_batch(cfg: Config, batch_sizes: Sequence[int], precision: str, device: str) -> dict[int, float]:
    """Batch size → ms of a whole step of a config."""
    return {size: _milliseconds(step_of(cfg, size, precision, device), device) for size in batch_sizes}


def scale_tokens(numbers: Sequence[int], device: str, batch_size: int = 16) -> dict[int, float]:
    """S = L → ms of the token alignment, forward and backward, whose attention has S · L entries."""
    attention = dict(type="mgca_mm.CrossModalAttention", embed_dims=_DIMS)
    alignment = _build(dict(type="mgca_mm.TokenAlignment", attention=attention), device)
    return {
        tokens: _milliseconds(_alignment_step([alignment], batch_size, device, tokens), device) for tokens in numbers
    }


def scale_prototypes(numbers: Sequence[int], device: str, batch_size: int = 512) -> dict[int, float]:
    """K → ms of the prototype alignment, forward and backward."""
    found = {}
    for prototypes in numbers:
        config = dict(type="mgca_mm.PrototypeAlignment", num_prototypes=prototypes, embed_dims=_DIMS)
        found[prototypes] = _milliseconds(_alignment_step([_build(config, device)], batch_size, device), device)
    return found


def scale_ranks(world_sizes: Sequence[int], batch_size: int = 2048) -> dict[int, dict[str, float]]:
    """Ranks over gloo on the CPU, each with the same batch, so that the global one grows.

    Returns:
        R → ``ms`` of processor time and ``peak_mb`` of the instance and the prototype alignment on one rank, forward
        and backward. Each rank scores its own B rows against the R · B columns of all.
    """
    found = {}
    for world_size in world_sizes:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        results = torch.multiprocessing.get_context("spawn").SimpleQueue()
        torch.multiprocessing.spawn(_run_rank, (address, world_size, batch_size, results), nprocs=world_size)
        found[world_size] = results.get()
    return found


def _run_rank(rank: int, address: str, world_size: int, batch_size: int, results) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=address, rank=rank, world_size=world_size)
    prototypes = dict(type="mgca_mm.PrototypeAlignment", num_prototypes=500, embed_dims=_DIMS)
    step = _alignment_step(
        [_build(dict(type="mgca_mm.InstanceAlignment"), "cpu"), _build(prototypes, "cpu")],
        batch_size,
        "cpu",
    )
    # Below its threshold glibc keeps the similarities of one step for the next, so that no growth would be seen.
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 2**20)
    step()
    peak = peak_memory(step, "cpu")
    libc.mallopt(_M_MMAP_THRESHOLD, 2**25)  # the highest, to which it rises by itself
    start = time.process_time()
    for _ in range(_REPEATS):
        step()
    seconds = (time.process_time() - start) / _REPEATS
    if rank == 0:
        results.put(dict(ms=seconds * 1e3, peak_mb=peak / 1e6))
    dist.barrier()
    dist.destroy_process_group()


def _build(config: dict, device: str) -> nn.Module:
    init_default_scope("mgca_mm")
    torch.manual_seed(0)
    return MODELS.build(config).to(device).train()


def _alignment_step(
    alignments: Sequence[nn.Module], batch_size: int, device: str, tokens: int = 1
) -> Callable[[], None]:
    """Loss and gradients of alignments on random embeddings, S = L = ``tokens``."""
    torch.manual_seed(0)

    def embedding(*shape: int) -> Tensor:
        return F.normalize(torch.randn(*shape, _DIMS, device=device), dim=-1).requires_grad_()

    weight = torch.full((batch_size, tokens), 1 / tokens, device=device)
    image = ImageFeatures(embedding(batch_size), embedding(batch_size, tokens), weight)
    text = TextFeatures(embedding(batch_size), embedding(batch_size, tokens), weight, weight > 0)

    def step() -> None:
        losses = [alignment(image, text) for alignment in alignments]
        sum(value for found in losses for name, value in found.items() if "loss" in name).backward()

    return step


def _milliseconds(step: Callable[[], object], device: str) -> float:
    step()
    return 1e3 * float(np.median([elapsed(step, device) for _ in range(_REPEATS)]))
