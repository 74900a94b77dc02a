"""One rank of the comparison in test_distributed.py: its share of the images, as our sampler deals them."""

import json
import sys

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.registry import init_default_scope

from mgca_mm.datasets.samplers import EvaluationSampler
from mgca_mm.engine.launch import close_ranks
from mgca_mm.registry import METRICS

BATCH = 4  # ranks × batch


def evaluate(metric, samples):
    """The metric of this rank's share, or of all samples where there is one process."""
    metric = METRICS.build(metric)
    own = [samples[index] for index in EvaluationSampler(samples)]
    size = BATCH // get_world_size()
    for start in range(0, len(own), size):
        metric.process({}, own[start : start + size])
    return metric.evaluate(len(samples))


def main():
    samples_path, metrics_path = sys.argv[1:]
    init_default_scope("mgca_mm")
    dist.init_process_group("gloo")
    results = {}
    for metric, samples in torch.load(samples_path, weights_only=True):
        results.update(evaluate(metric, samples))
    everywhere = [None] * get_world_size()
    dist.all_gather_object(everywhere, results)
    if dist.get_rank() == 0:
        with open(metrics_path, "w") as file:
            json.dump(everywhere, file)
    close_ranks()


if __name__ == "__main__":
    main()
