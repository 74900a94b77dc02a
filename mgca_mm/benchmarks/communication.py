"""What many GPUs say to each other in a step, and what that costs: an estimate from the messages of the code."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch.distributed as dist
from mmengine.config import Config
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from mgca_mm.models import ImageReportPretrainer

from .pretraining import build_model, count_flops, make_step_batch

_GRADIENT_BYTES = 4  # of a number: they travel in fp32


@dataclass(frozen=True)
class Cluster:
    """What is assumed of the machines; the defaults are a node of 8 H100 with one 400 Gb/s adapter a GPU.

    Attributes:
        tflops: Sustained by the model on one GPU, TFLOP/s.
        gpus_per_node: GPUs joined by the fast links.
        node_gb_s: Bandwidth of a ring within a node, GB/s a GPU.
        network_gb_s: Bandwidth of a ring across nodes, GB/s a GPU.
        latency_us: Of one collective a hop of its ring, within a node or across, in microseconds.
    """

    tflops: float = 350.0
    gpus_per_node: int = 8
    node_gb_s: float = 300.0
    network_gb_s: float = 40.0
    latency_us: float = 5.0


class Message(NamedTuple):
    """A collective that all ranks take part in.

    Attributes:
        operator: Name of PyTorch's operator, such as ``'allreduce_'``.
        nbytes: What one rank sends in a ring: (N - 1) / N of a tensor once to gather or to scatter it, and twice to
            reduce it to all.
    """

    operator: str
    nbytes: float


def list_messages(model: ImageReportPretrainer, batch: dict, gpus: int) -> list[Message]:
    """What a rank sends in a training step, in order, without the gradients of the parameters.

    Runs the step as the first of ``gpus`` ranks, of which there are no others, on tensors that have a shape but no
    numbers: it takes seconds at any size.

    Args:
        model: On the CPU, not compiled.
        batch: Of one rank, as the loader gives it.
        gpus: N.
    """
    shapes = FakeTensorMode()
    inputs = tree_map_only(Tensor, shapes.from_tensor, model.data_preprocessor(batch, training=True)["inputs"])
    weights = tree_map_only(Tensor, shapes.from_tensor, dict(model.named_parameters()) | dict(model.named_buffers()))
    with _first_of(gpus), shapes, _Listener(gpus) as listener:
        losses = functional_call(model.train(), weights, (inputs,), dict(mode="loss"))
        sum(value for name, value in losses.items() if "loss" in name).backward()
    return listener.messages


@contextmanager
def _first_of(ranks: int) -> Iterator[None]:
    """Be the first rank of a group in which nothing is sent."""
    # Registers the backend, which an import of this module should not.
    from torch.testing._internal.distributed.fake_pg import FakeStore

    dist.init_process_group("fake", rank=0, world_size=ranks, store=FakeStore())
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Listener(TorchDispatchMode):
    def __init__(self, ranks: int):
        super().__init__()
        self.ranks = ranks
        self.messages: list[Message] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        if func.namespace == "c10d":
            # Input and output are arguments; the larger one holds the tensors of all ranks where they are not summed.
            whole = max(sum(x.nbytes for x in tree_leaves(arg) if isinstance(x, Tensor)) for arg in args)
            times = 2 if func._opname == "allreduce_" else 1
            self.messages.append(Message(func._opname, times * whole * (self.ranks - 1) / self.ranks))
        return func(*args, **(kwargs or {}))


def estimate(cfg: Config, batch_size: int, gpus: int, cluster: Cluster) -> dict[str, float]:
    """Volume and time of a step's communication on one GPU.

    Gradients are reduced in a ring while the backward pass, two thirds of the step, still computes; for what the
    alignments and the batch norms exchange, everybody waits.

    Args:
        cfg: Pretraining config.
        batch_size: Of one GPU.
        gpus: N.
        cluster: The machines.

    Returns:
        MB sent by a GPU: ``gradients_mb`` (2 · P · (N - 1) / N), ``gathered_mb`` (embeddings, codes: forward and
        backward), ``summed_mb`` (statistics of the projectors' batch norms, forward and backward); ``collectives``, how
        many messages the last two are; ms: ``compute_ms``, ``gradients_ms``, ``alignments_ms`` (statistics included),
        ``step_ms``; ``efficiency`` = compute / step.
    """
    model = build_model(cfg)
    flops_per_image = count_flops(model, make_step_batch(cfg, model, 2, "cpu")) / 2
    messages = list_messages(model, make_step_batch(cfg, model, batch_size, "cpu"), gpus)
    summed = sum(message.nbytes for message in messages if message.operator == "allreduce_")
    gathered = sum(message.nbytes for message in messages) - summed
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    gradients = 2 * parameters * _GRADIENT_BYTES * (gpus - 1) / gpus

    bandwidth = 1e9 * (cluster.node_gb_s if gpus <= cluster.gpus_per_node else cluster.network_gb_s)
    hops = min(gpus, cluster.gpus_per_node) - 1 + max(0, -(-gpus // cluster.gpus_per_node) - 1)
    compute = flops_per_image * batch_size / (cluster.tflops * 1e12)
    gradients_s = gradients / bandwidth
    alignments_s = (gathered + summed) / bandwidth + len(messages) * hops * cluster.latency_us * 1e-6
    step = compute + alignments_s + max(0.0, gradients_s - compute * 2 / 3)
    return dict(
        gradients_mb=gradients / 1e6,
        gathered_mb=gathered / 1e6,
        summed_mb=summed / 1e6,
        collectives=len(messages),
        compute_ms=compute * 1e3,
        gradients_ms=gradients_s * 1e3,
        alignments_ms=alignments_s * 1e3,
        step_ms=step * 1e3,
        efficiency=compute / step,
    )
