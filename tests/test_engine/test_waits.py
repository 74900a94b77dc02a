"""A training step does not wait for the device: on a CPU by counting operators, on a GPU by CUDA's own debug mode."""

import copy

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch._dynamo.utils import counters

from mgca_mm.benchmarks.operators import OperatorCount
from mgca_mm.models import CaptioningAlignment, MemoryTransformerDecoder
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample
from tests.conftest import SMALL_MODEL, small_batch

RESNET = dict(
    type="mgca_mm.ImageEncoder", input_size=64, backbone=dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3))
)
CHECKPOINTED = dict(
    image_encoder={**SMALL_MODEL["image_encoder"], "activation_checkpointing": True},
    text_encoder={**SMALL_MODEL["text_encoder"], "activation_checkpointing": True},
)
RELEASED = dict(
    project_padding=True,
    alignments=dict(
        ita=dict(type="mgca_mm.InstanceAlignment", gather=False),
        cta=dict(
            type="mgca_mm.TokenAlignment",
            attention=dict(type="mgca_mm.SimilarityAttention", temperature=0.1),
            mask_padding=False,
        ),
        cpa=dict(type="mgca_mm.PrototypeAlignment", num_prototypes=10, embed_dims=16, gather=False),
    ),
)

METHODS = dict(
    contrast=dict(
        normalize_tokens=False,
        alignments=dict(
            clip=dict(
                type="mgca_mm.InstanceAlignment", loss=dict(type="mgca_mm.InfoNCELoss", learnable=True), chunk_size=3
            ),
            local=dict(type="mgca_mm.LocalAlignment", chunk_size=4),
            sigmoid=dict(type="mgca_mm.SigmoidAlignment"),
            matching=dict(type="mgca_mm.MatchingAlignment", embed_dims=16),
        ),
        image_encoder=dict(
            SMALL_MODEL["image_encoder"], pooling=dict(type="mgca_mm.WeldonPooling", out_channels=8, num_regions=4)
        ),
        text_encoder=dict(SMALL_MODEL["text_encoder"], pooling="max", num_summed_layers=2),
    ),
    m_flag=dict(
        alignments=dict(orthogonal=dict(type="mgca_mm.OrthogonalAlignment")),
        text_encoder=dict(SMALL_MODEL["text_encoder"], frozen=True),
    ),
    **{
        target: dict(alignments=dict(ita=dict(type="mgca_mm.InstanceAlignment", target=dict(type=f"mgca_mm.{target}"))))
        for target in ("IdenticalReports", "ReportSimilarity", "LabelSimilarity")
    },
    triplet=dict(
        alignments=dict(triplet=dict(type="mgca_mm.InstanceAlignment", loss=dict(type="mgca_mm.TripletLoss"))),
        projector=dict(type="mgca_mm.LinearProjector", out_channels=16),
        text_encoder=dict(SMALL_MODEL["text_encoder"], pooling="mean"),
    ),
    **{
        decoder: dict(
            text_encoder=None,
            normalize_tokens=False,
            alignments=dict(
                caption=dict(
                    type="mgca_mm.CaptioningAlignment",
                    vocab_size=60,
                    decoder=dict(type=f"mgca_mm.{decoder}", embed_dims=16, region_dims=16, dropout=0.0),
                )
            ),
        )
        for decoder in ("LSTMDecoder", "MemoryTransformerDecoder")
    },
    location=dict(
        normalize_tokens=False,
        alignments=dict(
            sigmoid=dict(type="mgca_mm.SigmoidAlignment"),
            caption=dict(
                type="mgca_mm.LocationCaptioningAlignment",
                vocab_size=60,
                decoder=dict(type="mgca_mm.MemoryTransformerDecoder", embed_dims=16, region_dims=16, dropout=0.0),
            ),
        ),
    ),
)
CHANGES = dict(vit={}, resnet=dict(image_encoder=RESNET), released=RELEASED, checkpointed=CHECKPOINTED, **METHODS)


def make_step(device="cpu", **changes):
    """A model and its optimizer as the configs have them, and a batch as the loader gives it."""
    size = changes.get("image_encoder", SMALL_MODEL["image_encoder"])["input_size"]
    preprocessor = dict(type="mgca_mm.ImageReportDataPreprocessor", crop_size=size, length_bucket=4)
    model = MODELS.build({**copy.deepcopy(SMALL_MODEL), "data_preprocessor": preprocessor, **changes}).to(device)
    optimizer = dict(type="AdamW", lr=2e-5, weight_decay=0.05, fused=True)
    wrapper = build_optim_wrapper(model, dict(type="BFloat16OptimWrapper", optimizer=optimizer))
    inputs = small_batch(8)
    inputs["image"] = torch.randint(0, 256, (8, 1, size + 8, size + 8), dtype=torch.uint8)
    return model, wrapper, dict(inputs=inputs, data_samples=[ImageReportSample() for _ in range(8)])


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_a_step_on_the_cpu(changes):
    model, wrapper, batch = make_step(**changes)
    model.train_step(batch, wrapper)  # the optimizer makes its state
    with OperatorCount() as count:
        model.train_step(batch, wrapper)
    # The longest report of the batch is looked up while the batch is still in the loader's memory.
    assert count.waits == ["aten::_local_scalar_dense"] and count.operators > 500


def test_waits_are_seen():
    x = torch.arange(4.0)
    with OperatorCount() as count:
        float(x.sum())
        x[x > 1]
        x[x > 1] = 0
        x.nonzero()
        x[torch.tensor([0, 1])]
    assert [wait.removeprefix("aten::") for wait in count.waits] == [
        "_local_scalar_dense",
        "index",
        "index_put_",
        "nonzero",
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_step_on_a_gpu():
    model, wrapper, batch = make_step("cuda")
    model.train_step(batch, wrapper)
    torch.cuda.set_sync_debug_mode("error")
    try:
        model.train_step(batch, wrapper)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_no_graph_break(changes):
    """``fullgraph`` makes a break an error; the numbers are those of the model that is not compiled."""
    torch._dynamo.reset()
    counters.clear()
    model = make_step(**changes)[0]
    # "eager": what is traced is run as it is, without a compiler for C++.
    compiled = make_step(**changes, compile=dict(backend="eager", fullgraph=True, dynamic=False))[0]
    compiled.load_state_dict(model.state_dict())
    inputs = small_batch(8, image_size=model.data_preprocessor.crop_size)
    losses, expected = compiled(inputs, mode="loss"), model(inputs, mode="loss")
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value)
    parts = len([name for name, _ in model.named_children() if "encoder" in name or "projector" in name])
    # torch.compile does not enter recurrent kernels.
    parts += sum(not isinstance(module, CaptioningAlignment) for module in model.alignments.values())
    parts += sum(isinstance(module, MemoryTransformerDecoder) for module in model.modules())
    assert counters["stats"]["unique_graphs"] == parts and not counters["graph_break"]
    compiled.eval()(inputs, mode="loss")
    assert counters["stats"]["unique_graphs"] == parts, "validation was compiled, too"


@pytest.mark.parametrize("bucket", [None, pytest.param(4, marks=pytest.mark.slow)])
def test_reports_of_all_lengths_are_compiled_once(bucket):
    """Ten batches, prototypes thawed, validation with a short last batch: no fallback to what is not compiled."""
    torch._dynamo.reset()
    counters.clear()
    preprocessor = dict(type="mgca_mm.ImageReportDataPreprocessor", length_bucket=bucket)
    compile = dict(backend="aot_eager", fullgraph=True, dynamic=False)
    model = MODELS.build({**copy.deepcopy(SMALL_MODEL), "data_preprocessor": preprocessor, "compile": compile})
    wrapper = build_optim_wrapper(model, dict(optimizer=dict(type="AdamW")))
    model.alignments.cpa.frozen = True
    graphs = []
    for length in (*range(4, 16), 16):
        inputs = small_batch(seed=length)
        inputs["image"] = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
        inputs["attention_mask"] *= torch.arange(16) < length
        batch = dict(inputs=inputs, data_samples=[ImageReportSample(metainfo=dict(image_id=str(i))) for i in range(4)])
        model.train().train_step(batch, wrapper)
        if length == 15:
            model.alignments.cpa.frozen = False
        graphs.append(counters["stats"]["unique_graphs"])
        model.eval().val_step(batch)
    short = dict(inputs={key: value[:1] for key, value in inputs.items()}, data_samples=batch["data_samples"][:1])
    model.val_step(short)
    encoders_projectors_and_alignments = 2 + 4 + 3
    lengths = 1 if bucket is None else 16 // bucket
    # Each length in the text encoder and the token alignment.
    assert graphs[-2] == encoders_projectors_and_alignments + 2 * (lengths - 1)
    assert counters["stats"]["unique_graphs"] == graphs[-1] == graphs[-2] + 1 and not counters["graph_break"]
