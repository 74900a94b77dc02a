import itertools
import math

import pytest
import torch

from mgca_mm.errors import UserError
from mgca_mm.models import (
    CaptioningAlignment,
    LocationCaptioningAlignment,
    LSTMDecoder,
    MemoryTransformerDecoder,
)
from mgca_mm.models.decoders import beam_search
from mgca_mm.structures import ImageFeatures, TextFeatures

from . import references

VOCABULARY, LENGTH, REGIONS, DIMS = 11, 6, 5, 8
SIZES = dict(embed_dims=DIMS, region_dims=4)
DECODERS = {
    "lstm": dict(type="mgca_mm.LSTMDecoder", dropout=0.0, **SIZES),
    "transformer": dict(
        type="mgca_mm.MemoryTransformerDecoder", max_length=LENGTH, num_layers=2, num_heads=2, num_memory_slots=3,
        feedforward_dims=7, dropout=0.0, **SIZES,
    ),
}  # fmt: skip


@pytest.fixture(params=DECODERS)
def alignment(request):
    options = dict(max_length=LENGTH, loss_weight=2.0, region_scale=1.5)
    return CaptioningAlignment(DECODERS[request.param], VOCABULARY, **options).double()


def batch(size=3):
    """Regions, and reports of 6, 3 and 4 pieces, and again, that begin with 1 and end with 2."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([6, 3, 4]).repeat(size)[:size]
    mask = torch.arange(LENGTH) < lengths[:, None]
    ids = torch.randint(3, VOCABULARY, mask.shape, generator=generator).masked_fill(~mask, 0)
    ids[:, 0] = 1
    ids[torch.arange(size), lengths - 1] = 2
    regions = torch.randn(size, REGIONS, 4, generator=generator, dtype=torch.float64)
    return ImageFeatures(None, regions.requires_grad_()), TextFeatures(None, piece_ids=ids, piece_mask=mask)


def states_by_loops(decoder, ids, regions):
    reference = references.lstm_decoder if isinstance(decoder, LSTMDecoder) else references.memory_transformer_decoder
    return reference(decoder, ids, regions)


@pytest.mark.parametrize(("size", "pieces"), [(3, 10), (18, 60)])  # 16 are done at a time
def test_loss_equals_the_loop_with_gradients(alignment, size, pieces):
    """Every state, probability and gradient, piece by piece."""
    image, text = batch(size)
    out = alignment(image, text)
    total, right, count = 0.0, 0, 0
    for i in range(size):
        length = int(text.piece_mask[i].sum())
        states = states_by_loops(alignment.decoder, text.piece_ids[i, : length - 1], 1.5 * image.tokens[i])
        for t, state in enumerate(states):
            logits = alignment.next_piece.weight @ state + alignment.next_piece.bias
            target = int(text.piece_ids[i, t + 1])
            total = total - torch.log(torch.exp(logits[target]) / torch.exp(logits).sum())
            right += int(logits.argmax()) == target
            count += 1
    expected = 2 * total / count
    assert count == pieces
    torch.testing.assert_close(out["loss_caption"], expected, rtol=1e-10, atol=0)
    assert out["acc_piece"].item() == pytest.approx(100 * right / count)
    inputs = (image.tokens, *alignment.parameters())
    gradients = (torch.autograd.grad(loss, inputs) for loss in (out["loss_caption"], expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_state_knows_no_later_piece(alignment):
    image, text = batch()
    changed = text.piece_ids.clone()
    changed[:, 3:] = 7
    states, other = (alignment.decoder(ids, image.tokens) for ids in (text.piece_ids, changed))
    torch.testing.assert_close(states[:, :3], other[:, :3], rtol=0, atol=1e-14)
    assert not torch.allclose(states[:, 3:], other[:, 3:])


def test_a_piece_more_leaves_the_state_of_the_whole_in_each_beam(alignment):
    regions, decoder = batch()[0].tokens, alignment.decoder
    beams = torch.randint(3, VOCABULARY, (3, 2, LENGTH), generator=torch.Generator().manual_seed(2))
    written, read = decoder.begin(regions)
    written = [kept[:, [0, 0]] for kept in written]
    for t in range(LENGTH):
        if t == 3:  # the search has put the second beam first
            beams, written = beams.flip(1), [kept.flip(1) for kept in written]
        states, written = decoder.step(beams[:, :, t], written, read)
        expected = torch.stack([decoder(beam[:, : t + 1], regions)[:, -1] for beam in beams.unbind(1)], dim=1)
        torch.testing.assert_close(states, expected, rtol=1e-10, atol=1e-12)


def test_padding_does_not_change_the_loss(alignment):
    image, text = batch()
    changed = text._replace(piece_ids=text.piece_ids.masked_fill(~text.piece_mask, 9))
    torch.testing.assert_close(alignment(image, changed)["loss_caption"], alignment(image, text)["loss_caption"])


def test_it_learns_to_write_the_report_of_an_image():
    torch.manual_seed(0)
    for decoder in DECODERS.values():
        alignment = CaptioningAlignment(decoder, VOCABULARY, max_length=LENGTH, region_scale=3.0).double()
        image, text = batch()
        optimizer = torch.optim.Adam(alignment.parameters(), lr=2e-2)
        for _ in range(150):
            loss = alignment(image, text)["loss_caption"]
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        assert loss < 0.1
        alignment.eval()
        for num_beams in (1, 3):
            alignment.num_beams = num_beams
            out = alignment.predict(image, text)
            written, true = out["generated_ids"], out["report_ids"]
            for i, length in enumerate(text.piece_mask.sum(1)):
                assert written[i, :length].tolist() == true[i, :length].tolist()
                assert (written[i, length:] == 2).all()


def located_batch():
    """The batch, with sentences of 5 and 4 pieces of the first and the last report."""
    image, text = batch()
    mask = torch.arange(LENGTH) < torch.tensor([5, 0, 4])[:, None]
    ids = torch.randint(3, VOCABULARY, mask.shape, generator=torch.Generator().manual_seed(1))
    return image, text._replace(location_ids=ids, location_mask=mask)


@pytest.mark.parametrize("decoder", DECODERS.values(), ids=DECODERS)
def test_location_loss_equals_the_loop_with_gradients(decoder):
    """A sentence is written from the one vector that its mean piece sees of the regions."""
    image, text = located_batch()
    options = dict(max_length=LENGTH, loss_weight=2.0, region_scale=1.5)
    alignment = LocationCaptioningAlignment(decoder, VOCABULARY, **options).double()
    out = alignment(image, text)
    total, right, count = 0.0, 0, 0
    for i, length in ((0, 5), (2, 4)):
        ids, regions = text.location_ids[i, :length], 1.5 * image.tokens[i]
        query = alignment.query.weight @ (sum(alignment.decoder.embedding.weight[piece] for piece in ids) / length)
        terms = [torch.exp(torch.dot(query, region) / math.sqrt(4)) for region in regions]
        seen = sum(term / sum(terms) * region for term, region in zip(terms, regions, strict=True))
        for t, state in enumerate(states_by_loops(alignment.decoder, ids[:-1], seen[None])):
            logits = alignment.next_piece.weight @ state + alignment.next_piece.bias
            total = total - torch.log(torch.exp(logits[ids[t + 1]]) / torch.exp(logits).sum())
            right += int(logits.argmax() == ids[t + 1])
            count += 1
    expected = 2 * total / count
    assert count == 7
    torch.testing.assert_close(out["loss_location"], expected, rtol=1e-10, atol=0)
    assert out["acc_location"].item() == pytest.approx(100 * right / count)
    inputs = (image.tokens, *alignment.parameters())
    gradients = (torch.autograd.grad(loss, inputs) for loss in (out["loss_location"], expected))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_a_report_is_written_the_same_with_and_without_its_location():
    image, text = located_batch()
    located = LocationCaptioningAlignment(DECODERS["lstm"], VOCABULARY, max_length=LENGTH).double()
    plain = CaptioningAlignment(DECODERS["lstm"], VOCABULARY, max_length=LENGTH).double()
    plain.load_state_dict(located.state_dict(), strict=False)
    out, expected = located(image, text), plain(image, text)
    assert out.keys() - expected.keys() == {"loss_location", "acc_location"}
    assert all(out[name] == expected[name] for name in expected)
    none = located(image, text._replace(location_mask=torch.zeros_like(text.location_mask)))
    assert none["loss_location"] == 0
    none["loss_location"].backward()
    assert all(parameter.grad.isfinite().all() for parameter in located.parameters())
    with pytest.raises(UserError, match="TokenizeLocation'\\) before PackImageReportInputs"):
        located(*batch())
    assert located.eval()(*batch()).keys() == expected.keys()


def test_a_sentence_learns_to_look_where_it_says():
    """Each region has one of two findings; a sentence names a region and what is there."""
    generator = torch.Generator().manual_seed(0)
    alignment = LocationCaptioningAlignment(DECODERS["lstm"], VOCABULARY, max_length=LENGTH).double()
    optimizer = torch.optim.Adam(alignment.parameters(), lr=2e-2)
    for _ in range(200):
        finding = torch.randint(0, 2, (16, 2), generator=generator)
        region = torch.randint(0, 2, (16,), generator=generator)
        # Components: which region it is, and its finding.
        tokens = torch.zeros(16, 2, 4, dtype=torch.float64)
        tokens[:, 0, 0] = tokens[:, 1, 1] = 3
        tokens[:, :, 2] = 2.0 * finding - 1
        said = finding.gather(1, region[:, None]).squeeze(1)
        ids = torch.stack([torch.ones_like(region), 3 + region, 5 + said, torch.full_like(region, 2)], dim=1)
        pieces = dict(piece_ids=ids, piece_mask=ids > 0, location_ids=ids, location_mask=ids > 0)
        out = alignment(ImageFeatures(None, tokens), TextFeatures(None, **pieces))
        optimizer.zero_grad()
        out["loss_location"].backward()
        optimizer.step()
    # Seeing both regions alike leaves which is named to chance, and its finding where the two differ: 1.5 ln 2 / 3.
    assert out["loss_location"] < 0.1 * 1.5 * math.log(2) / 3


def log_probabilities_of(table):
    """A language whose next piece depends on the one before and on the sample: table (B, V, V)."""

    def log_probabilities(pieces, written):
        return table[torch.arange(len(table))[:, None], pieces].log_softmax(dim=2), written

    return log_probabilities


def score(table, sequence, end):
    total = 0.0
    for previous, piece in itertools.pairwise(sequence):
        if previous == end:
            break
        total += float(table[previous].log_softmax(dim=0)[piece])
    return total


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_beam_finds_the_best_of_all_sequences(seed):
    vocabulary, length, end = 4, 4, 2
    table = 2 * torch.randn(3, vocabulary, vocabulary, generator=torch.Generator().manual_seed(seed))
    found = beam_search(
        log_probabilities_of(table), [], torch.tensor([1, 1, 3]), torch.full((3,), end), vocabulary**length, length
    )
    for i, start in enumerate((1, 1, 3)):
        best = max(
            score(table[i], (start, *rest), end) for rest in itertools.product(range(vocabulary), repeat=length - 1)
        )
        assert score(table[i], found[i].tolist(), end) == pytest.approx(best, abs=1e-5)


def test_one_beam_is_greedy_and_more_are_no_worse():
    table = 2 * torch.randn(5, 6, 6, generator=torch.Generator().manual_seed(1))
    start, end = torch.ones(5, dtype=torch.long), torch.full((5,), 2)
    found = {k: beam_search(log_probabilities_of(table), [], start, end, k, 8) for k in (1, 4)}
    for i in range(5):
        sequence = [1]
        while len(sequence) < found[1].shape[1]:
            sequence.append(2 if sequence[-1] == 2 else int(table[i][sequence[-1]].argmax()))
        assert found[1][i].tolist() == sequence
        assert score(table[i], found[4][i].tolist(), 2) >= score(table[i], sequence, 2) - 1e-5


def test_a_search_ends_when_all_have_ended_or_at_the_longest_length():
    table = torch.zeros(2, 3, 3)
    table[0, :, 2] = 10  # the first sample ends at once
    table[1, :, 0] = 10  # the second never
    found = beam_search(log_probabilities_of(table), [], torch.tensor([1, 1]), torch.tensor([2, 2]), 1, 5)
    assert found.tolist() == [[1, 2, 2, 2, 2], [1, 0, 0, 0, 0]]
    table[1] = table[0]
    found = beam_search(log_probabilities_of(table), [], torch.tensor([1, 1]), torch.tensor([2, 2]), 1, 5)
    assert found.shape == (2, 2)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_kept_belongs_to_the_beam(seed):
    """The next piece depends on all before it, which are what is kept here."""
    table = 2 * torch.randn(5, 6, 6, generator=torch.Generator().manual_seed(seed))
    histories = []

    def log_probabilities(pieces, kept):
        seen = torch.cat([kept[0], pieces[:, :, None]], dim=2)
        histories.append(seen)
        return table[torch.arange(5)[:, None], seen.sum(2) % 6].log_softmax(dim=2), [seen]

    start = torch.ones(5, dtype=torch.long)
    found = beam_search(log_probabilities, [start.new_empty(5, 1, 0)], start, torch.full((5,), 2), 4, 8)
    # What the best sequence was continued from is among what was kept last.
    last = histories[-1]
    assert (last == found[:, None, : last.shape[2]]).all(2).any(1).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: CaptioningAlignment(DECODERS["lstm"], VOCABULARY, num_beams=0),
        lambda: CaptioningAlignment(DECODERS["lstm"], VOCABULARY, max_length=1),
        lambda: MemoryTransformerDecoder(VOCABULARY, embed_dims=10, num_heads=4),
        lambda: MemoryTransformerDecoder(VOCABULARY, max_length=4)(torch.zeros(1, 5, dtype=torch.long), None),
    ],
)
def test_impossible_options(make):
    with pytest.raises(ValueError):
        make()
