"""One rank of the comparisons in test_equivalence.py: its share of the batch, under DistributedDataParallel."""

import copy
import sys

import torch
import torch.distributed as dist
from mmengine.dist import get_world_size
from mmengine.registry import init_default_scope
from torch.nn.parallel import DistributedDataParallel

from mgca_mm.datasets.samplers import EvaluationSampler
from mgca_mm.engine.launch import close_ranks
from mgca_mm.evaluation import AlignmentLoss
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample
from tests.conftest import MASKED_MODEL, SMALL_MODEL, small_batch

BATCH = 8
# Pairs of a validation of which the last batch has one, and fewer than there are ranks.
SIZES = (9, 11)
# Name → alignments; "-local" takes negatives and codes from the own rank only.
GLOBAL = (
    "ita cta cpa sigmoid chunked triplet learned identical similar labels matching orthogonal caption lstm location "
)
GLOBAL += "local+ita ita+cta+cpa masked"
LOCAL = "ita cpa sigmoid matching local+ita"
CASES = (*GLOBAL.split(), "ita+cta+cpa+caption", "sigmoid+caption", *(f"{case}-local" for case in LOCAL.split()))


def build(case):
    """The same model on every rank and in the single process, in float64."""
    init_default_scope("mgca_mm")
    torch.manual_seed(0)
    if case == "masked":
        return MODELS.build(copy.deepcopy(MASKED_MODEL)).double()
    names, _, local = case.partition("-")
    known = {
        **SMALL_MODEL["alignments"],
        "sigmoid": dict(type="mgca_mm.SigmoidAlignment"),
        "chunked": dict(type="mgca_mm.InstanceAlignment", chunk_size=3),
        "triplet": dict(type="mgca_mm.InstanceAlignment", loss=dict(type="mgca_mm.TripletLoss", num_negatives=2)),
        "learned": dict(type="mgca_mm.InstanceAlignment", loss=dict(type="mgca_mm.InfoNCELoss", learnable=True)),
        "matching": dict(type="mgca_mm.MatchingAlignment", embed_dims=16),
        "identical": dict(type="mgca_mm.InstanceAlignment", target=dict(type="mgca_mm.IdenticalReports")),
        "similar": dict(type="mgca_mm.InstanceAlignment", target=dict(type="mgca_mm.ReportSimilarity")),
        "labels": dict(type="mgca_mm.InstanceAlignment", target=dict(type="mgca_mm.LabelSimilarity")),
        "orthogonal": dict(type="mgca_mm.OrthogonalAlignment"),
        "caption": caption(type="mgca_mm.MemoryTransformerDecoder", max_length=16, num_layers=1, num_heads=2),
        "lstm": caption(type="mgca_mm.LSTMDecoder"),
        "location": {**caption(type="mgca_mm.LSTMDecoder"), "type": "mgca_mm.LocationCaptioningAlignment"},
        "local": dict(type="mgca_mm.LocalAlignment", chunk_size=3),
    }
    alignments = {name: dict(known[name]) for name in names.split("+")}
    if local:
        for alignment in alignments.values():
            alignment["gather"] = False
    model = {**copy.deepcopy(SMALL_MODEL), "alignments": alignments}
    if names in ("caption", "lstm", "location"):
        model |= dict(text_encoder=None, normalize_tokens=False)
    if names == "orthogonal":
        model["text_encoder"]["frozen"] = True
    return MODELS.build(model).double()


def caption(**decoder):
    """Dropout would draw other numbers on every rank."""
    decoder |= dict(embed_dims=16, region_dims=16, dropout=0.0)
    return dict(type="mgca_mm.CaptioningAlignment", vocab_size=60, max_length=16, decoder=decoder)


def batch(case):
    """Reports of uneven length; the first and the last one may be identical."""
    inputs = small_batch(BATCH)
    if case == "identical":
        for name in ("input_ids", "attention_mask", "is_continuation"):
            inputs[name][-1] = inputs[name][0]
    return in_double(hide(inputs, training=True) if case == "masked" else inputs)


def hide(inputs, training):
    """What the data preprocessor of masked record modeling gives; in training, the same draw on every rank."""
    torch.manual_seed(1)
    preprocessor = MODELS.build(MASKED_MODEL["data_preprocessor"])
    preprocessor.num_patches = 16
    image = inputs["image"][:, :1].mul(40).add(128).clamp(0, 255).byte()
    return preprocessor(dict(inputs={**inputs, "image": image.repeat(1, 1, 2, 2)}), training)["inputs"]


def in_double(inputs):
    return {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}


def total(losses):
    return sum(value for name, value in losses.items() if "loss" in name)


def state(model, losses):
    """What must not depend on the number of ranks."""
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    statistics = {name: buffer for name, buffer in model.named_buffers() if "running" in name}
    return dict(losses={k: v.detach() for k, v in losses.items()}, gradients=gradients, statistics=statistics)


def run(case):
    """State of one training step of this rank's share, losses averaged over the ranks."""
    # With the token alignment alone, nothing trains the global projectors.
    model = DistributedDataParallel(build(case), broadcast_buffers=False, find_unused_parameters=case == "cta")
    share = BATCH // dist.get_world_size()
    rows = slice(dist.get_rank() * share, (dist.get_rank() + 1) * share)
    losses = model({k: v[rows] for k, v in batch(case).items()}, mode="loss")
    total(losses).backward()
    losses = {k: v.detach().clone() for k, v in losses.items()}
    for value in losses.values():
        dist.all_reduce(value)
        value /= dist.get_world_size()
    return state(model.module, losses)


@torch.no_grad()
def validate(case, size):
    """Validation losses over ``size`` pairs, ranks × batch = :data:`BATCH`; all of them where there is one process."""
    model, metric = build(case).eval(), AlignmentLoss(prefix="val")
    pairs = in_double(small_batch(size, seed=1))
    own = torch.tensor(list(EvaluationSampler(range(size))))
    for rows in own.split(BATCH // get_world_size()):
        inputs = {name: value[rows] for name, value in pairs.items()}
        longest = int(inputs["attention_mask"].sum(dim=1).max())  # as length buckets leave them: other sizes elsewhere
        inputs = {name: value if name == "image" else value[:, :longest] for name, value in inputs.items()}
        if case == "masked":
            inputs = in_double(hide(inputs, training=False))
        samples = [ImageReportSample(metainfo=dict(image_id=f"image{row}")) for row in rows]
        metric.process({}, [sample.to_dict() for sample in model(inputs, samples, mode="predict")])
    return metric.evaluate(size)


def main():
    dist.init_process_group("gloo")
    states = {case: run(case) for case in CASES}
    for case in CASES:
        states[case]["validation"] = {size: validate(case, size) for size in SIZES}
    if dist.get_rank() == 0:
        torch.save(states, sys.argv[1])
    close_ranks()


if __name__ == "__main__":
    main()
