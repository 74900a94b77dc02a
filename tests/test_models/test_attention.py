import pytest
import torch
import torch.nn.functional as F

from mgca_mm.models import CrossModalAttention, SimilarityAttention
from mgca_mm.models.token_weights import normalize_token_weight

from . import references


@pytest.mark.parametrize("kind", ["learned", "similarity"])
def test_attention_equals_the_loop(pair, kind):
    image, text = pair()
    attention = CrossModalAttention(6).double() if kind == "learned" else SimilarityAttention(0.1)
    out = attention(image.tokens, text.tokens, text.token_mask)
    for i in range(len(out)):
        sample = (image.tokens[i], text.tokens[i], text.token_mask[i])
        if kind == "learned":
            weights = [getattr(attention, name).weight for name in ("query", "key", "value", "output")]
            expected = references.attention(*sample, *weights)
        else:
            expected = references.similarity_attention(*sample, 0.1)
        torch.testing.assert_close(out[i], expected, rtol=1e-10, atol=1e-13)


def test_learned_attention_is_the_library_algebra(pair):
    image, text = pair()
    attention = CrossModalAttention(6).double()
    library = F.scaled_dot_product_attention(
        image.tokens @ attention.query.weight.T,
        text.tokens @ attention.key.weight.T,
        text.tokens @ attention.value.weight.T,
        attn_mask=text.token_mask[:, None],
    )
    out = attention(image.tokens, text.tokens, text.token_mask)
    torch.testing.assert_close(out, library @ attention.output.weight.T, rtol=1e-12, atol=1e-14)


def test_padding_has_no_influence(pair):
    image, text = pair()
    attention = CrossModalAttention(6).double()
    changed = text.tokens.masked_fill(~text.token_mask[..., None], 1e3)
    torch.testing.assert_close(
        attention(image.tokens, changed, text.token_mask), attention(image.tokens, text.tokens, text.token_mask)
    )


def test_gradcheck(pair):
    image, text = pair(batch=2)
    attention = CrossModalAttention(6).double()
    tokens, context = image.tokens.requires_grad_(), text.tokens.requires_grad_()
    assert torch.autograd.gradcheck(lambda t, c: attention(t, c, text.token_mask), (tokens, context))


def test_token_weights_equal_the_loop():
    generator = torch.Generator().manual_seed(3)
    lengths = torch.randint(1, 30, (200,), generator=generator)
    mask = torch.arange(29) < lengths[:, None]
    weight = torch.rand(200, 29, generator=generator, dtype=torch.float64)
    ours = normalize_token_weight(weight, mask)
    for i in range(200):
        torch.testing.assert_close(ours[i], references.normalize_weight(weight[i], mask[i]), rtol=1e-10, atol=1e-14)


def test_token_weights_of_all_zero_attention_are_finite():
    weight = normalize_token_weight(torch.zeros(2, 4), torch.ones(2, 4, dtype=torch.bool))
    assert weight.isfinite().all()
