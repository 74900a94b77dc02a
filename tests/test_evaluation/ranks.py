"""One rank of the comparison in test_distributed.py: its share of the images, as MMEngine's sampler deals them."""

import json
import os
import sys

import torch
import torch.distributed as dist
from mmengine.registry import init_default_scope

from mgca_mm.registry import METRICS


def main():
    samples_path, metrics_path = sys.argv[1:]
    init_default_scope("mgca_mm")
    dist.init_process_group("gloo")
    rank, ranks = dist.get_rank(), dist.get_world_size()
    results = {}
    for metric, samples in torch.load(samples_path, weights_only=True):
        metric = METRICS.build(metric)
        # Every rank has as many: the first ones come again where the images do not divide evenly.
        padded = samples + samples[: -len(samples) % ranks]
        metric.process({}, padded[rank::ranks])
        results.update(metric.evaluate(len(samples)))
    everywhere = [None] * ranks
    dist.all_gather_object(everywhere, results)
    if rank == 0:
        with open(metrics_path, "w") as file:
            json.dump(everywhere, file)
    # A rank that leaves while its neighbour still talks to it can be aborted by gloo's threads, also at exit.
    dist.barrier()
    dist.destroy_process_group()
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
