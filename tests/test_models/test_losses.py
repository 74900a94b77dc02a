import math

import pytest
import torch

from mgca_mm.models.losses import InfoNCELoss, SwappedPredictionLoss, TokenInfoNCELoss, TripletLoss, sinkhorn_codes

from . import references

RTOL = 1e-10


@pytest.mark.parametrize(("reduction", "image_weight"), [("mean", 0.5), ("sum", 0.5), ("mean", 0.75)])
def test_info_nce_equals_the_loop_with_gradients(pair, reduction, image_weight):
    image, text = pair()
    images, texts = image.global_feature.requires_grad_(), text.global_feature.requires_grad_()
    similarity = images @ texts.T
    loss = InfoNCELoss(0.1, reduction, image_weight)(similarity, similarity.T, torch.arange(4))
    expected = references.info_nce(images, texts, 0.1, reduction, image_weight)
    torch.testing.assert_close(loss, expected, rtol=RTOL, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(loss, (images, texts)), torch.autograd.grad(expected, (images, texts)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=1e-13)


def test_learned_temperature(pair):
    """The gradient of log τ is that of the loop's; τ does not fall below its bound."""
    image, text = pair()
    images, texts = image.global_feature, text.global_feature
    similarity = images @ texts.T
    loss = InfoNCELoss(0.07, learnable=True).double()
    log_temperature = torch.tensor(math.log(0.07), dtype=torch.float64, requires_grad=True)
    loss.log_temperature.data.copy_(log_temperature)
    value = loss(similarity, similarity.T, torch.arange(4))
    expected = references.info_nce(images, texts, log_temperature.exp())
    torch.testing.assert_close(value, expected, rtol=RTOL, atol=0)
    value.backward()
    expected.backward()
    torch.testing.assert_close(loss.log_temperature.grad, log_temperature.grad, rtol=RTOL, atol=0)
    loss.log_temperature.data.fill_(math.log(0.001))
    loss.eval()(similarity, similarity.T, torch.arange(4))
    assert loss.log_temperature.exp() < 0.002  # evaluation changes nothing
    loss.train()(similarity, similarity.T, torch.arange(4)).backward()
    assert loss.log_temperature.detach().exp().item() == pytest.approx(loss.MIN_TEMPERATURE)
    assert loss.log_temperature.grad != 0


@pytest.mark.parametrize("margin", [0.2, 2.0])
@pytest.mark.parametrize("num_negatives", [1, 2, 9])
def test_triplet_equals_the_loop_with_gradients(pair, margin, num_negatives):
    image, text = pair()
    images, texts = image.global_feature.requires_grad_(), text.global_feature.requires_grad_()
    similarity = images @ texts.T
    loss = TripletLoss(margin, num_negatives)(similarity, similarity.T, torch.arange(4))
    expected = references.triplet(images, texts, margin, num_negatives)
    torch.testing.assert_close(loss, expected, rtol=RTOL, atol=0)
    assert loss > 0
    for ours, theirs in zip(
        torch.autograd.grad(loss, (images, texts)), torch.autograd.grad(expected, (images, texts)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=1e-13)


def test_triplet_of_a_satisfied_batch_and_of_one_pair_is_zero():
    similarity = torch.eye(3)
    assert TripletLoss(0.2)(similarity, similarity, torch.arange(3)) == 0
    one = torch.zeros(1, 1, requires_grad=True)
    assert TripletLoss(0.2)(one, one, torch.zeros(1, dtype=torch.long)) == 0


@pytest.mark.parametrize("masked", [True, False])
def test_token_info_nce_equals_the_loop_with_gradients(pair, masked):
    _, text = pair()
    tokens, mask = text.tokens.requires_grad_(), text.token_mask
    contexts = torch.nn.functional.normalize(torch.randn_like(tokens), dim=-1).requires_grad_()
    weight = text.token_weight / text.token_weight.sum(1, keepdim=True)
    loss = TokenInfoNCELoss(0.07)(tokens, contexts, weight, mask if masked else None)
    seen = mask if masked else torch.ones_like(mask)
    expected = references.token_info_nce(tokens, contexts, weight, seen, 0.07)
    torch.testing.assert_close(loss, expected, rtol=RTOL, atol=0)
    for ours, theirs in zip(
        torch.autograd.grad(loss, (tokens, contexts)), torch.autograd.grad(expected, (tokens, contexts)), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=1e-13)


def test_token_info_nce_gradient_is_finite_and_zero_on_padding(pair):
    _, text = pair()
    tokens = text.tokens.requires_grad_()
    contexts = torch.randn_like(tokens).requires_grad_()
    TokenInfoNCELoss()(tokens, contexts, text.token_weight, text.token_mask).backward()
    for gradient in (tokens.grad, contexts.grad):
        assert gradient.isfinite().all()
        assert (gradient[~text.token_mask] == 0).all()
        assert (gradient[text.token_mask] != 0).any()


def test_one_word_report_costs_nothing(pair):
    """A word without rivals is always right."""
    _, text = pair()
    one = slice(1, 2)
    loss = TokenInfoNCELoss()(text.tokens[one], text.tokens[one], text.token_weight[one], text.token_mask[one])
    assert loss.abs() < 1e-12


def test_sinkhorn_equals_the_loop():
    scores = torch.rand(7, 5, dtype=torch.float64) * 2 - 1
    torch.testing.assert_close(sinkhorn_codes(scores), references.sinkhorn(scores), rtol=RTOL, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_sinkhorn_does_not_overflow(dtype):
    scores = torch.tensor([[1.0, -1.0, 0.5], [1.0, -1.0, 0.0], [-1.0, 1.0, 1.0]], dtype=dtype)
    codes = sinkhorn_codes(scores)
    assert codes.dtype == torch.float32
    assert codes.isfinite().all()
    torch.testing.assert_close(codes.sum(1), torch.ones(3))
    torch.testing.assert_close(codes.double(), references.sinkhorn(scores.double()), rtol=1e-4, atol=1e-6)


def test_sinkhorn_balances_the_prototypes():
    """All samples like prototype 0 best; with balancing it may not take them all."""
    scores = torch.tensor([[0.9, 0.8], [0.9, 0.7], [0.9, 0.6], [0.9, 0.5]], dtype=torch.float64)
    codes = sinkhorn_codes(scores, num_iterations=50)
    torch.testing.assert_close(codes.mean(0), torch.full((2,), 0.5, dtype=torch.float64), rtol=1e-6, atol=1e-6)


def test_swapped_prediction_equals_the_loop_with_gradients():
    image_scores, text_scores = (torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2))
    image_codes, text_codes = sinkhorn_codes(image_scores), sinkhorn_codes(text_scores)
    loss = SwappedPredictionLoss(0.2)(image_scores, text_scores, image_codes, text_codes)
    expected = references.swapped_prediction(image_scores, text_scores, image_codes, text_codes, 0.2)
    torch.testing.assert_close(loss, expected, rtol=RTOL, atol=0)
    inputs = (image_scores, text_scores)
    for ours, theirs in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=RTOL, atol=1e-13)


def test_gradcheck(pair):
    _, text = pair(batch=2)
    similarity = torch.randn(3, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: InfoNCELoss()(s, s.T, torch.arange(3)), (similarity,))
    tokens = text.tokens.requires_grad_()
    contexts = torch.randn_like(tokens).requires_grad_()
    loss = TokenInfoNCELoss()
    assert torch.autograd.gradcheck(lambda t, c: loss(t, c, text.token_weight, text.token_mask), (tokens, contexts))
    codes = torch.rand(3, 3, dtype=torch.float64).softmax(1)
    assert torch.autograd.gradcheck(lambda s: SwappedPredictionLoss()(s, s.T, codes, codes.T), (similarity,))


@pytest.mark.parametrize("loss", [InfoNCELoss, TokenInfoNCELoss, SwappedPredictionLoss])
def test_temperature_must_be_positive(loss):
    with pytest.raises(ValueError, match="temperature"):
        loss(temperature=0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: InfoNCELoss(reduction="avg"), "reduction"),
        (lambda: InfoNCELoss(image_weight=1.5), "image_weight"),
        (lambda: InfoNCELoss(reduction="sum", image_weight=0.75), "image_weight"),
        (lambda: TripletLoss(margin=0), "margin"),
        (lambda: TripletLoss(num_negatives=0), "num_negatives"),
    ],
)
def test_impossible_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()
