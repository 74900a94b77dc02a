"""Computing the real pieces and words only: equal to computing padding, and less of it."""

import copy

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mgca_mm.models import TextEncoder, WordMerging
from mgca_mm.models.packing import Packing
from mgca_mm.registry import MODELS
from tests.conftest import SMALL_MODEL, small_batch

from .test_text_encoder import CONFIGS, batch


def test_packing_and_unpacking_are_transposes_of_each_other():
    mask = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()
    packing = Packing.of(mask, 4)
    assert all(torch.equal(given, found) for given, found in zip(packing, Packing.of(mask), strict=True))
    padded = torch.randn(3, 4, 2, dtype=torch.float64, requires_grad=True)
    packed = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    assert torch.equal(packing.pack(padded), padded[mask])
    assert torch.equal(packing.unpack(packed)[mask], packed) and not packing.unpack(packed)[~mask].any()
    torch.testing.assert_close((packing.pack(padded) * packed).sum(), (packing.unpack(packed) * padded).sum())
    assert torch.autograd.gradcheck(packing.pack, padded) and torch.autograd.gradgradcheck(packing.pack, padded)
    assert torch.autograd.gradcheck(packing.unpack, packed) and torch.autograd.gradgradcheck(packing.unpack, packed)


@pytest.mark.parametrize("lengths", [(12, 5, 3), (7,), (12,), (12, 12)])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bert", {}),
        ("roberta", dict(num_summed_layers=2)),
        ("electra", dict(pooling="mean")),
        ("bert", dict(activation_checkpointing=True, pooling="max")),
    ],
    ids=["bert", "roberta", "electra", "checkpointed"],
)
def test_equal_to_the_padded_encoder(name, options, lengths):
    """Values and gradients; the padded one is transformers' own, with its full attention maps."""
    torch.manual_seed(0)
    config = {**CONFIGS[name], "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    packed = TextEncoder(config=config, **options)
    padded = copy.deepcopy(packed)
    padded.cls_attention = None
    padded.model.set_attn_implementation("eager")
    ids, mask, continuation = batch(lengths)
    results = []
    for encoder in (packed, padded):
        features = encoder(ids, mask, continuation)
        (features.global_feature.square().mean() + features.tokens.pow(3).mean()).backward()
        results.append((features, {key: value.grad for key, value in encoder.named_parameters()}))
    (ours, gradients), (theirs, expected) = results
    assert torch.equal(ours.token_mask, theirs.token_mask)
    for got, wanted in zip(ours[:3], theirs[:3], strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    for key, gradient in expected.items():
        torch.testing.assert_close(gradients[key], gradient, rtol=1e-5, atol=1e-5)


def test_no_padding_is_computed():
    """The linear layers' arithmetic is that of the real pieces: short reports beside a long one cost what they are."""
    encoder = TextEncoder(config=CONFIGS["bert"])
    layer = encoder.model.encoder.layer[0]
    weights = sum(module.weight.numel() for module in layer.modules() if isinstance(module, torch.nn.Linear))
    ids, mask, continuation = batch((12, 3, 3, 3))
    with FlopCounterMode(display=False) as counter:
        encoder(ids, mask, continuation)
    linear = counter.get_flop_counts()["Global"][torch.ops.aten.addmm]
    assert linear == 2 * 3 * weights * 21


def test_a_model_that_takes_no_packed_pieces_says_so(monkeypatch):
    messages = []
    monkeypatch.setattr(
        "mgca_mm.models.text_encoders.text_encoder.print_log", lambda text, logger: messages.append(text)
    )
    TextEncoder(config=CONFIGS["bert"])
    TextEncoder(config=CONFIGS["distilbert"])
    assert messages == ["DistilBertModel is not known to take packed pieces: padding is computed"]


def test_batch_norm_sees_real_words_only():
    """The projected words and the running statistics are those of the real words alone."""
    model = MODELS.build(copy.deepcopy(SMALL_MODEL))
    inputs = small_batch()
    features = model.text_encoder(*(inputs[key] for key in ("input_ids", "attention_mask", "is_continuation")))
    plain = copy.deepcopy(model.text_token_projector)
    embeddings = model.embed_reports(inputs)
    expected = torch.nn.functional.normalize(plain(features.tokens[features.token_mask]), dim=-1)
    torch.testing.assert_close(embeddings.tokens[features.token_mask], expected)
    assert not embeddings.tokens[~features.token_mask].any()
    torch.testing.assert_close(model.text_token_projector.norm1.running_var, plain.norm1.running_var)


def test_real_pieces_and_words_are_counted_before_the_copy():
    model = MODELS.build(copy.deepcopy(SMALL_MODEL))
    inputs = small_batch()
    inputs["image"] = torch.zeros(4, 1, 32, 32, dtype=torch.uint8)
    prepared = model.data_preprocessor(dict(inputs=inputs), True)["inputs"]
    assert prepared["num_pieces"] == inputs["attention_mask"].sum() and "num_pieces" not in inputs
    assert prepared["num_words"] == model.embed_reports(prepared).token_mask.sum()


class OtherEncoder(TextEncoder):
    """Knows nothing of packing."""

    count_real = property()

    def forward(self, input_ids, attention_mask, is_continuation):
        return super().forward(input_ids, attention_mask, is_continuation)


class FirstWords(WordMerging):
    """With words of its own."""

    def forward(self, *args):
        words, attention, mask = super().forward(*args)
        return words, attention, mask & (torch.arange(mask.shape[1]) < 2)


@pytest.mark.parametrize("other", ["encoder", "merging"])
def test_encoders_and_mergings_of_others(other):
    config = copy.deepcopy(SMALL_MODEL)
    if other == "encoder":
        config["text_encoder"]["type"] = OtherEncoder
    theirs = MODELS.build(config)
    if other == "merging":
        theirs.text_encoder.word_merging = FirstWords(16)
    inputs = dict(small_batch(), image=torch.zeros(4, 1, 32, 32, dtype=torch.uint8))
    prepared = theirs.data_preprocessor(dict(inputs=inputs))["inputs"]
    assert "num_words" not in prepared
    embeddings = theirs.embed_reports(prepared)
    assert embeddings.tokens.any(dim=2).equal(embeddings.token_mask)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_reports_encoded_before_the_backward_pass_of_others(checkpointing):
    """As many pieces, otherwise shared among the reports: each backward pass is by its own."""
    torch.manual_seed(0)
    config = {**CONFIGS["bert"], "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    encoder = TextEncoder(config=config, activation_checkpointing=checkpointing)
    batches = [batch((12, 4)), batch((8, 8))]

    def gradients(losses):
        encoder.zero_grad()
        sum(losses).backward()
        return torch.cat([p.grad.flatten() for p in encoder.parameters() if p.grad is not None])

    def loss(inputs):
        return encoder(*inputs).tokens.square().mean()

    together = gradients([loss(inputs) for inputs in batches])
    torch.testing.assert_close(together, sum(gradients([loss(inputs)]) for inputs in batches), rtol=1e-5, atol=1e-6)


class Adapted(torch.nn.Module):
    """A layer with a part added to it, as adapters do."""

    def __init__(self, layer):
        super().__init__()
        self.weight, self.bias, self.scale = layer.weight, layer.bias, torch.nn.Parameter(torch.ones(()))

    def forward(self, x):
        return torch.nn.functional.linear(x, self.weight, self.bias) * self.scale


def test_adapters_of_projections():
    encoder = TextEncoder(config=CONFIGS["bert"]).eval()
    expected = encoder(*batch())
    attention = encoder.model.encoder.layer[1].attention.self
    attention.query = Adapted(attention.query)
    features = encoder(*batch())
    torch.testing.assert_close(features.tokens, expected.tokens)
    features.tokens.square().sum().backward()
    assert attention.query.scale.grad != 0


@pytest.mark.parametrize("changes", [dict(is_decoder=True), dict(chunk_size_feed_forward=4)])
def test_models_that_take_no_packed_row(changes):
    encoder = TextEncoder(config={**CONFIGS["bert"], **changes})
    assert encoder.cls_attention is None and encoder(*batch()).tokens.isfinite().all()
