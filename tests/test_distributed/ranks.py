"""One rank of the comparison in test_equivalence.py: its share of the batch, under DistributedDataParallel."""

import copy
import os
import sys

import torch
import torch.distributed as dist
from mmengine.registry import init_default_scope
from torch.nn.parallel import DistributedDataParallel

from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL, small_batch

BATCH = 8


def build(alignments):
    """The same model on every rank and in the single process, in float64."""
    init_default_scope("mgca_mm")
    torch.manual_seed(0)
    cfg = copy.deepcopy(SMALL_MODEL)
    cfg["alignments"] = {name: cfg["alignments"][name] for name in alignments}
    return MODELS.build(cfg).double()


def batch():
    inputs = small_batch(BATCH)
    return {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}


def total(losses):
    return sum(value for name, value in losses.items() if "loss" in name)


def state(model, losses):
    """What must not depend on the number of ranks."""
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    statistics = {name: buffer for name, buffer in model.named_buffers() if "running" in name}
    return dict(losses={k: v.detach() for k, v in losses.items()}, gradients=gradients, statistics=statistics)


def main():
    path, alignments = sys.argv[1], sys.argv[2].split("+")
    dist.init_process_group("gloo")
    # With the token alignment alone, nothing trains the global projectors.
    model = DistributedDataParallel(
        build(alignments), broadcast_buffers=False, find_unused_parameters=alignments == ["cta"]
    )
    share = BATCH // dist.get_world_size()
    rows = slice(dist.get_rank() * share, (dist.get_rank() + 1) * share)
    losses = model({k: v[rows] for k, v in batch().items()}, mode="loss")
    total(losses).backward()
    losses = {k: v.detach().clone() for k, v in losses.items()}
    for value in losses.values():
        dist.all_reduce(value)
        value /= dist.get_world_size()
    if dist.get_rank() == 0:
        torch.save(state(model.module, losses), path)
    # A rank that leaves while its neighbour still talks to it can be aborted by gloo's threads, also at exit.
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
