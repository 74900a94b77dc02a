"""What many GPUs say to each other in a step, and what that costs: an estimate from the model's numbers."""

from dataclasses import dataclass

from mmengine.config import Config

from mgca_mm.models.alignments import PrototypeAlignment
from mgca_mm.models.batch_norm import TokenBatchNorm

from .pretraining import build_model, count_flops, make_step_batch

_BYTES = 4  # gradients, embeddings and codes travel in fp32


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


def estimate(cfg: Config, batch_size: int, gpus: int, cluster: Cluster) -> dict[str, float]:
    """Volume and time of a step's communication on one GPU.

    Gradients are reduced in a ring while the backward pass, two thirds of the step, still computes; what the
    alignments exchange stands between the two passes and waits for nobody. A ring over N ranks sends (N - 1) / N of a
    tensor once to gather or to scatter it, and twice to reduce it to all.

    Args:
        cfg: Pretraining config.
        batch_size: Of one GPU.
        gpus: N.
        cluster: The machines.

    Returns:
        MB sent by a GPU: ``gradients_mb`` (2 · P · (N - 1) / N), ``embeddings_mb`` (two modalities, forward and
        backward, B · D · (N - 1) each), ``statistics_mb`` (of the projectors' batch norms, both passes), ``codes_mb``
        (column sums of Sinkhorn's iterations); ms: ``compute_ms``, ``gradients_ms``, ``alignments_ms`` (statistics
        included), ``step_ms``; ``efficiency`` = compute / step.
    """
    model = build_model(cfg)
    flops_per_image = count_flops(model, make_step_batch(cfg, model, 2, "cpu")) / 2
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    width = model.image_projector.fc2.out_features
    codes = [a for a in model.alignments.values() if isinstance(a, PrototypeAlignment) and a.gather]

    others = gpus - 1
    gradients = 2 * parameters * _BYTES * others / gpus
    # Of the alignments that need the other ranks' embeddings; all use the same ones, but each gathers for itself.
    scoring = sum(getattr(a, "gather", False) for a in model.alignments.values()) - len(codes)
    embeddings = 2 * 2 * batch_size * width * _BYTES * others * scoring
    norms = [module for module in model.modules() if isinstance(module, TokenBatchNorm)]
    statistics = sum(2 * 2 * 2 * norm.num_features * _BYTES * others / gpus for norm in norms)
    code_sums = sum(a.num_iterations * 2 * len(a.prototypes) * _BYTES * others for a in codes)
    collectives = 4 * scoring + 2 * len(norms) + sum(a.num_iterations for a in codes)

    bandwidth = 1e9 * (cluster.node_gb_s if gpus <= cluster.gpus_per_node else cluster.network_gb_s)
    hops = min(others, cluster.gpus_per_node - 1) + max(0, -(-gpus // cluster.gpus_per_node) - 1)
    compute = flops_per_image * batch_size / (cluster.tflops * 1e12)
    gradients_s = gradients / bandwidth
    alignments_s = (embeddings + statistics + code_sums) / bandwidth + collectives * hops * cluster.latency_us * 1e-6
    step = compute + alignments_s + max(0.0, gradients_s - compute * 2 / 3)
    return dict(
        gradients_mb=gradients / 1e6,
        embeddings_mb=embeddings / 1e6,
        statistics_mb=statistics / 1e6,
        codes_mb=code_sums / 1e6,
        compute_ms=compute * 1e3,
        gradients_ms=gradients_s * 1e3,
        alignments_ms=alignments_s * 1e3,
        step_ms=step * 1e3,
        efficiency=compute / step,
    )
