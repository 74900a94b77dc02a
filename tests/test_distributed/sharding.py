"""One rank of test_sharding.py: the same training under DistributedDataParallel and with sharded parameters."""

import copy
import sys

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from mgca_mm.engine.launch import close_ranks
from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL, small_batch

STEPS = 10


def shard(model):
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    for layer in [*model.image_encoder.backbone.layers, *model.text_encoder.model.encoder.layer]:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def curve(wrap):
    """Loss of each step, averaged over the ranks, and the share of the parameters' numbers that this rank holds."""
    torch.manual_seed(0)
    model = MODELS.build(copy.deepcopy(SMALL_MODEL)).train()
    whole = sum(parameter.numel() for parameter in model.parameters())
    model = wrap(model)
    held = sum(getattr(p, "_local_tensor", p).numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    losses = []
    for step in range(STEPS):
        own = {
            name: value.chunk(dist.get_world_size())[dist.get_rank()] for name, value in small_batch(8, step).items()
        }
        loss = sum(value for name, value in model(own, mode="loss").items() if "loss" in name)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        mean = loss.detach().clone()
        dist.all_reduce(mean)
        losses.append(mean.item() / dist.get_world_size())
    return losses, held / whole


def main():
    dist.init_process_group("gloo")
    curves = dict(
        ddp=curve(lambda model: DistributedDataParallel(model, broadcast_buffers=False)), sharded=curve(shard)
    )
    if dist.get_rank() == 0:
        torch.save(curves, sys.argv[1])
    close_ranks()


if __name__ == "__main__":
    main()
