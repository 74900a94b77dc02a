"""The naive step gives the numbers of ours, and the benchmark measures a step of a config."""

import copy

import pytest
import torch
from mmengine.config import Config

from mgca_mm.benchmarks import pretraining
from mgca_mm.benchmarks.naive import make_naive
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
    assert pretraining.matrix_product_ceiling(torch.float32, "cpu", size=64) > 1e6


def test_measure():
    result = pretraining.measure(QUICKSTART, batch_size=4, precision="fp32", against_naive=True, repeats=1)
    assert result["agreement"]["loss"] < 1e-5 and result["agreement"]["gradient_cosine"] > 0.9999
    for name in ("ours", "naive"):
        assert all(value > 0 for value in result[name].values()), result[name]
    assert result["waits"] == 0 and result["operators"] > 1000
    assert 0 < result["share_of_ceiling"] < 1.5


def test_a_config_of_another_task(tmp_path):
    from mgca_mm.errors import UserError

    cfg = Config.fromfile(ROOT / "configs/downstream/classification/rsna_vit.py")
    with pytest.raises(UserError, match="no pretraining config"):
        pretraining.build_model(cfg, compile=False)
