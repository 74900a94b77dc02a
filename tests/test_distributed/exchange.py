"""One rank of test_exchange.py: batch norms over unequal shares of a batch, and the collectives of a training step."""

import copy
import sys

import torch
import torch.distributed as dist
from torch.profiler import ProfilerActivity, profile

from mgca_mm.engine.launch import close_ranks
from mgca_mm.models import Projector
from mgca_mm.models.batch_norm import TokenBatchNorm

from . import ranks

RANKS = 2
SHARES = {"alike": (4, 4), "unlike": (7, 2), "one": (1, 6), "none": (0, 6)}  # rows of the two ranks
DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "bf16": torch.bfloat16}
# Exchanges of embeddings, codes, reports alone, a count of pieces, tokens and similarities, nothing but statistics.
STEPS = ("ita", "cpa", "sigmoid", "matching", "caption", "local+ita", "ita+cta+cpa", "ita-local")


def rows(share):
    """Inputs, and weights of the outputs in a loss: of all ranks in one."""
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(2, sum(SHARES[share]), 6, dtype=torch.float64, generator=generator)
    return 3 * x + 50, weight


def make_norm(dtype):
    norm = TokenBatchNorm(6)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, 6))
        norm.bias.copy_(torch.linspace(-1, 1, 6))
    return norm.double() if dtype == torch.float64 else norm


def make_projector():
    torch.manual_seed(0)
    return Projector(6, 8, 4).double()


def normalize(module, share, dtype):
    """Outputs and gradients of the inputs (own rows), gradients of the parameters (own part of a sum), buffers."""
    x, weight = (y.split(SHARES[share])[dist.get_rank()] for y in rows(share))
    x = x.to(dtype).requires_grad_()
    out = module(x)
    # As many columns as the module has.
    (out * weight[:, : out.shape[1]]).sum().backward()
    rows_of_it = dict(out=out.detach(), x=x.grad)
    buffers = {name: value for name, value in module.named_buffers() if "running" in name}
    return rows_of_it, {name: parameter.grad for name, parameter in module.named_parameters()}, buffers


def compiled(share):
    """Without a graph break."""
    torch.compiler.reset()
    projector = make_projector()
    projector.compile(backend="aot_eager", fullgraph=True)
    return normalize(projector, share, torch.float64)


def build_step(case):
    """A model in fp32 and this rank's part of a batch as a loader gives it."""
    share = {name: value.chunk(RANKS)[0] for name, value in ranks.batch(case).items()}
    return ranks.build(case).float().train(), dict(inputs=share)


def listen(case):
    """Collectives of a step, as PyTorch's profiler sees them."""
    model, batch = build_step(case)
    inputs = model.data_preprocessor(copy.deepcopy(batch), training=True)["inputs"]
    with profile(activities=[ProfilerActivity.CPU]) as seen:
        ranks.total(model(inputs, mode="loss")).backward()
    return [event.name.removeprefix("c10d::") for event in seen.events() if event.name.startswith("c10d::")]


def main():
    dist.init_process_group("gloo")
    found = {(share, name): normalize(make_norm(d), share, d) for share in SHARES for name, d in DTYPES.items()}
    found |= {(share, "compiled"): compiled(share) for share in SHARES}
    everywhere = [None] * RANKS
    dist.all_gather_object(everywhere, found)
    try:
        TokenBatchNorm(6)(torch.zeros(1 - dist.get_rank(), 6))
    except RuntimeError as error:
        refusal = str(error)
    heard = {case: listen(case) for case in STEPS}
    if dist.get_rank() == 0:
        torch.save(dict(norms=everywhere, refusal=refusal, heard=heard), sys.argv[1])
    close_ranks()


if __name__ == "__main__":
    main()
