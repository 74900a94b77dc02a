import copy

import pytest
import torch

from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample
from tests.conftest import SMALL_MODEL, small_batch


def build(**changes):
    return MODELS.build({**copy.deepcopy(SMALL_MODEL), **changes})


def test_modes():
    model = build()
    inputs = small_batch()
    losses = model(inputs, mode="loss")
    assert {"loss_ita", "loss_cta", "loss_cpa", "acc_i2t", "acc_t2i", "prototype_usage"} <= losses.keys()
    model.eval()
    image, text = model(inputs)
    assert image.global_feature.shape == text.global_feature.shape == (4, 16)
    assert image.tokens.shape == (4, 16, 16) and text.tokens.shape == (4, 15, 16)
    torch.testing.assert_close(image.tokens.norm(dim=-1), torch.ones(4, 16))
    samples = model(inputs, [ImageReportSample(metainfo=dict(image_id=str(i))) for i in range(4)], mode="predict")
    torch.testing.assert_close(samples[2].image_embedding, image.global_feature[2])
    assert set(samples[0].losses) == {"loss_ita", "loss_cta", "loss_cpa"}
    with pytest.raises(ValueError, match="mode"):
        model(inputs, mode="train")


def test_every_parameter_gets_a_gradient():
    """DistributedDataParallel would wait for the others."""
    model = build()
    sum(value for name, value in model(small_batch(), mode="loss").items() if "loss" in name).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []


def test_without_token_alignment_there_are_no_token_projectors():
    model = build(alignments=dict(ita=dict(type="InstanceAlignment")))
    assert not any("token_projector" in name for name, _ in model.named_parameters())
    assert set(model(small_batch(), mode="loss")) == {"loss_ita", "acc_i2t", "acc_t2i"}


def test_losses_are_computed_in_fp32_under_autocast():
    model = build()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(small_batch(), mode="loss")
    assert all(value.dtype == torch.float32 and value.isfinite() for value in losses.values())


def test_padding_does_not_change_the_losses():
    """A report in 16 slots and the same report in 12 give the same losses, batch statistics included."""
    inputs = small_batch()
    inputs["attention_mask"][:, 12:] = 0
    inputs["is_continuation"][:, 12:] = False
    short = {k: v if k == "image" else v[:, :12] for k, v in inputs.items()}
    model = build()
    long_losses, short_losses = model(inputs, mode="loss"), copy.deepcopy(model)(short, mode="loss")
    for name in ("loss_ita", "loss_cta", "loss_cpa"):
        torch.testing.assert_close(long_losses[name], short_losses[name])


def test_batch_of_one_is_refused_in_training_and_taken_in_evaluation():
    model = build()
    with pytest.raises((ValueError, RuntimeError), match="larger batch size"):
        model(small_batch(1), mode="loss")
    assert model.eval()(small_batch(1), mode="loss")["loss_ita"] == 0


def test_no_alignment_and_colliding_alignments():
    with pytest.raises(ValueError, match="alignments is empty"):
        build(alignments={})
    twice = build(alignments=dict(a=dict(type="InstanceAlignment"), b=dict(type="InstanceAlignment")))
    with pytest.raises(ValueError, match="'b' returns 'loss_ita'"):
        twice(small_batch(), mode="loss")


def test_it_learns():
    model = build()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    inputs = small_batch(8)
    history = []
    for _ in range(30):
        losses = model(inputs, mode="loss")
        total = sum(value for name, value in losses.items() if "loss" in name)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(losses["loss_ita"].item())
    assert history[-1] < history[0] / 2
    assert losses["acc_i2t"] == 100


def test_released_statistics_are_those_of_all_slots():
    """Batches cut to a length bucket give the losses of the padded ones where padding takes part in the statistics."""
    inputs = small_batch()
    inputs["attention_mask"][:, 12:] = 0
    inputs["is_continuation"][:, 12:] = False
    short = {k: v if k == "image" else v[:, :12] for k, v in inputs.items()}
    model = build(project_padding=True)
    long_losses, short_losses = model(inputs, mode="loss"), copy.deepcopy(model)(short, mode="loss")
    for name in ("loss_ita", "loss_cta", "loss_cpa"):
        torch.testing.assert_close(long_losses[name], short_losses[name])
