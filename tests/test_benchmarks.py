"""The naive step gives the numbers of ours, and the benchmark measures a step of a config."""

import copy
import weakref

import pytest
import torch
from mmengine.config import Config

from mgca_mm.benchmarks import communication, machine, pretraining, scale
from mgca_mm.benchmarks.naive import make_naive
from mgca_mm.benchmarks.open_clip import OpenClipStep
from mgca_mm.benchmarks.operators import OperatorCount
from mgca_mm.registry import MODELS
from tests.conftest import ROOT, SMALL_MODEL

QUICKSTART = ROOT / "configs/quickstart/pretrain_resnet18.py"


def small_model():
    preprocessor = dict(type="mgca_mm.ImageReportDataPreprocessor", crop_size=32)
    return MODELS.build({**copy.deepcopy(SMALL_MODEL), "data_preprocessor": preprocessor})


def test_the_naive_step_computes_the_same():
    model = small_model()
    batch = pretraining.make_batch(model, 40, 6, "cpu")
    agreement = pretraining.compare(model, make_naive(model), batch)
    assert agreement["loss"] < 1e-5 and agreement["gradient_cosine"] > 0.99999
    other = make_naive(model)
    other.alignments["cta"].temperature *= 1.01  # a difference would be seen
    assert pretraining.compare(model, other, batch)["loss"] > 1e-4


def test_the_naive_step_has_the_paper_s_attention_only():
    alignments = dict(cta=dict(type="TokenAlignment", attention=dict(type="SimilarityAttention")))
    model = MODELS.build({**copy.deepcopy(SMALL_MODEL), "alignments": alignments})
    with pytest.raises(TypeError, match="paper's token alignment"):
        make_naive(model)


def test_arithmetic_is_counted():
    model = small_model()
    batch = pretraining.make_batch(model, 40, 6, "cpu")
    one, two = (
        pretraining.count_flops(model, batch),
        pretraining.count_flops(model, pretraining.make_batch(model, 40, 12, "cpu")),
    )
    assert 1.9 < two / one < 2.1
    assert machine.matrix_product_ceiling(torch.float32, "cpu", size=64) > 1e6


def test_measure(tmp_path, monkeypatch):
    alive, numbers, build, figures = weakref.WeakSet(), [], pretraining.build_model, pretraining._figures

    def build_and_watch(*args, **kwargs):
        model = build(*args, **kwargs)
        alive.add(model)
        return model

    def count_models(*args):
        numbers.append(len(alive))
        return figures(*args)

    monkeypatch.setattr(pretraining, "build_model", build_and_watch)
    monkeypatch.setattr(pretraining, "_figures", count_models)
    kernels = tmp_path / "kernels.txt"
    result = pretraining.measure(
        QUICKSTART, batch_size=4, precision="fp32", against="naive", repeats=1, profile=kernels
    )
    assert numbers == [1, 1]  # a second model would count as the first one's memory
    assert result["agreement"]["loss"] < 1e-5 and result["agreement"]["gradient_cosine"] > 0.9999
    for name in ("ours", "naive"):
        assert all(value > 0 for value in result[name].values()), result[name]
    assert result["waits"] == 0 and result["operators"] > 1000 and result["groups"] > 1
    assert all(share > 0 for share in result["share_of_ceiling"].values())
    assert "aten::convolution_backward" in kernels.read_text()


def test_dropout_is_that_of_training():
    cfg = Config.fromfile(QUICKSTART)
    cfg.model.text_encoder.config.hidden_dropout_prob = 0.2
    for dropout, expected in ((True, 0.2), (False, 0.0)):
        assert pretraining.build_model(cfg, dropout=dropout).text_encoder.model.embeddings.dropout.p == expected


def test_reads_of_host_memory_are_no_waits_for_a_gpu():
    x = torch.arange(4.0)
    with OperatorCount("cuda") as count:
        float(x.sum())
        x[x > 1]
    assert count.operators > 0 and not count.waits


def test_the_size_of_a_step_is_the_loaders():
    """The last step that sets a size: a crop, a random resized crop, or the square itself."""
    crop, convirt = QUICKSTART, QUICKSTART.with_name("pretrain_convirt_resnet18.py")
    for config, expected in ((crop, 112), (convirt, 112)):
        cfg = Config.fromfile(config)
        batch = pretraining.make_step_batch(cfg, pretraining.build_model(cfg), 2, "cpu")
        assert batch["inputs"]["image"].shape[2:] == (expected, expected)


def test_the_naive_step_keeps_its_activations():
    cfg = Config.fromfile(QUICKSTART)
    cfg.model.image_encoder.activation_checkpointing = True
    checkpointed, naive = (pretraining.build_model(cfg, naive=naive) for naive in (False, True))
    assert "forward" in vars(checkpointed.image_encoder.backbone.layer1[0])
    assert "forward" not in vars(naive.image_encoder.backbone.layer1[0])


def test_memory_grows_with_the_batch():
    result = pretraining.measure_memory(QUICKSTART, [4, 16], "fp32")
    assert result["peak_mb"][16] > 1.5 * result["peak_mb"][4] and result["mb_per_image"] > 1


def test_exponents():
    sizes = [1, 2, 4, 8]
    assert scale.fit_exponent(sizes, [3 * size**2 for size in sizes]) == pytest.approx(2)
    assert scale.fit_exponent(sizes, [5.0] * 4) == pytest.approx(0)
    assert set(scale.scale_batch(Config.fromfile(QUICKSTART), [2, 3], "fp32", "cpu")) == {2, 3}
    tokens, prototypes = scale.scale_tokens([32, 256], "cpu"), scale.scale_prototypes([100, 8000], "cpu")
    assert set(tokens) == {32, 256} and set(prototypes) == {100, 8000}
    assert min(*tokens.values(), *prototypes.values()) > 0


@pytest.mark.slow  # a minute and a half
def test_local_losses_take_memory_linear_in_the_global_batch():
    """B_local x B_global similarities a rank, not B_global x B_global."""
    peak = {world_size: found["peak_mb"] for world_size, found in scale.scale_ranks([1, 4]).items()}
    assert 0.8 < scale.fit_exponent(list(peak), list(peak.values())) < 1.2


def test_a_step_of_open_clip():
    step = OpenClipStep(2, torch.float32, "cpu", name="ViT-S-32-alt")
    before = [parameter.detach().clone() for parameter in step.model.parameters()]
    assert torch.isfinite(step())
    assert any(not torch.equal(a, b) for a, b in zip(before, step.model.parameters(), strict=True))
    assert step.count_flops() > 1e9


def test_a_config_of_another_task(tmp_path):
    from mgca_mm.errors import UserError

    cfg = Config.fromfile(ROOT / "configs/downstream/classification/rsna_vit.py")
    with pytest.raises(UserError, match="no pretraining config"):
        pretraining.build_model(cfg, compile=False)


def test_an_estimate_of_communication():
    """Of a linear and of a batch-norm projector; which messages they are is tested on two ranks."""
    cfg = Config(dict(model=copy.deepcopy(SMALL_MODEL)))
    cfg.model.data_preprocessor = dict(type="mgca_mm.ImageReportDataPreprocessor", crop_size=32)
    found = communication.estimate(cfg, 6, 4, communication.Cluster())
    # Embeddings of two modalities (6 x 16) and back, three times the codes of two (10); four projectors' statistics.
    assert found["gathered_mb"] * 1e6 == pytest.approx((4 * 6 * 16 + 3 * 2 * 10) * 4 * 3)
    forward, backward = ((1 + 2 * 32 + 1 + 2 * 16) * 8, (2 * 32 + 2 * 16) * 4)
    assert found["summed_mb"] * 1e6 == pytest.approx(4 * (forward + backward) * 2 * 3 / 4)
    assert found["collectives"] == 4 + 3 + 16
    cfg.model.projector = dict(type="mgca_mm.LinearProjector", out_channels=16)
    found = communication.estimate(cfg, 6, 4, communication.Cluster())
    assert found["summed_mb"] == 0 and found["collectives"] == 4 + 3
