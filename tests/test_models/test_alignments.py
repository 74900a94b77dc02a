import math

import pytest
import torch
import torch.nn.functional as F

from mgca_mm.errors import UserError
from mgca_mm.models import (
    IdenticalReports,
    InstanceAlignment,
    LabelSimilarity,
    LocalAlignment,
    MatchingAlignment,
    OrthogonalAlignment,
    PrototypeAlignment,
    ReportSimilarity,
    SigmoidAlignment,
    TokenAlignment,
)
from mgca_mm.models.losses import sinkhorn_codes

from . import references


def test_instance_alignment(pair):
    image, text = pair()
    out = InstanceAlignment(loss_weight=2.0)(image, text)
    expected = references.info_nce(image.global_feature, text.global_feature, 0.1)
    torch.testing.assert_close(out["loss_ita"], 2 * expected, rtol=1e-10, atol=0)
    similarity = image.global_feature @ text.global_feature.T
    assert out["acc_i2t"] == sum(int(similarity[i].argmax() == i) for i in range(4)) * 25
    assert out["acc_t2i"] == sum(int(similarity[:, i].argmax() == i) for i in range(4)) * 25


@pytest.mark.parametrize("chunk_size", [1, 3, 4, 100])
def test_instance_alignment_in_chunks(pair, chunk_size):
    """The same numbers and gradients, whether or not the rows divide evenly."""
    results = []
    for size in (None, chunk_size):
        image, text = pair()
        leaves = [x.global_feature.detach().clone().requires_grad_() for x in (image, text)]
        alignment = InstanceAlignment(loss_weight=2.0, chunk_size=size)
        out = alignment(image._replace(global_feature=leaves[0]), text._replace(global_feature=leaves[1]))
        out["loss_ita"].backward()
        results.append([*out.values(), *(leaf.grad for leaf in leaves)])
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole, rtol=1e-12, atol=1e-14)


REPORTS = [[2, 7, 8, 9, 3], [2, 8, 7, 4, 3], [2, 7, 8, 9, 3], [2, 9, 5, 5, 3]]


def with_pieces(text, reports, length=6, padding=11):
    """The padding is no piece of them, whatever stands there."""
    ids = torch.tensor([report + [padding] * (length - len(report)) for report in reports])
    return text._replace(piece_ids=ids, piece_mask=torch.arange(length) < torch.tensor([[len(r)] for r in reports]))


@pytest.mark.parametrize("chunk_size", [None, 3])
@pytest.mark.parametrize("kind", ["identical", "similar"])
def test_instance_alignment_with_several_answers(pair, kind, chunk_size):
    """Of four reports two are identical, and the others have words in common with them."""
    image, text = pair()
    images, texts = image.global_feature.requires_grad_(), text.global_feature.requires_grad_()
    if kind == "identical":
        target = dict(type="mgca_mm.IdenticalReports")
        weights = [[float(a == b) for b in REPORTS] for a in REPORTS]
    else:
        target = dict(type="mgca_mm.ReportSimilarity", temperature=0.3)
        weights = [[math.exp(s / 0.3) for s in row] for row in references.tf_idf_cosine(REPORTS)]
    alignment = InstanceAlignment(target=target, loss_weight=2.0, chunk_size=chunk_size)
    out = alignment(image, with_pieces(text, REPORTS))
    expected = 2 * references.soft_info_nce(images, texts, weights, 0.1)
    torch.testing.assert_close(out["loss_ita"], expected, rtol=1e-10, atol=0)
    inputs = (images, texts)
    for ours, theirs in zip(
        torch.autograd.grad(out["loss_ita"], inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-13)


def test_an_identical_report_is_a_right_answer(pair):
    image, text = pair()
    text = with_pieces(text._replace(global_feature=image.global_feature), REPORTS)
    image = image._replace(global_feature=image.global_feature[[2, 1, 0, 3]])  # the first and third find each other's
    own = InstanceAlignment()(image, text)
    alike = InstanceAlignment(target=dict(type="mgca_mm.IdenticalReports"))(image, text)
    assert own["acc_i2t"] == own["acc_t2i"] == 50 and alike["acc_i2t"] == alike["acc_t2i"] == 100


def test_targets_of_reports_that_differ_from_all_others_are_the_identity(pair):
    image, text = pair()
    text = with_pieces(text, [[2, 10 + i, 20 + i, 3] for i in range(4)])
    plain = InstanceAlignment()(image, text)
    for target in (dict(type="mgca_mm.IdenticalReports"), dict(type="mgca_mm.ReportSimilarity", temperature=0.02)):
        torch.testing.assert_close(InstanceAlignment(target=target)(image, text), plain)


def test_reports_are_told_apart_by_pieces_and_their_order(pair):
    """Also cut to another length; the padding has no say."""
    reports = torch.randint(1, 30000, (2000, 60))
    reports[1::2] = reports[::2]
    places = torch.arange(1000)
    reports[1::2][places, places % 60] += 1  # of each pair of reports one piece differs, or the order of the first two
    reports[1::4] = reports[::4]
    reports[1::4, :2] = reports[::4, :2].flip(dims=[1])
    describe, (image, text) = IdenticalReports().describe, pair()
    ids = describe(image, text._replace(piece_ids=reports, piece_mask=torch.ones(2000, 60).bool()))
    assert len(ids.unique()) == len(reports.unique(dim=0)) == 2000
    exact = sum(int(piece) * IdenticalReports.BASE ** (t + 1) for t, piece in enumerate(reports[0]))
    assert (int(ids[0]) - exact) % 2**64 == 0
    short, long = with_pieces(text, REPORTS), with_pieces(text, REPORTS, length=9, padding=0)
    assert describe(image, short).equal(describe(image, long))
    similarity = ReportSimilarity(num_buckets=16)
    assert similarity.describe(image, short).equal(similarity.describe(image, long))


IMAGE_LABELS = [[1, 0, -1, 0], [-1, -1, 1, 1], [0, 1, 1, 0], [0, 0, 0, 0]]
REPORT_LABELS = [[1, 1, 0, 0], [1, 0, -1, 0], [0, 0, 0, 0], [-1, 0, 1, 1]]


def with_labels(pair, image_labels=IMAGE_LABELS, report_labels=REPORT_LABELS):
    """As the loader gives them, in fp32."""
    image, text = pair()
    return image._replace(labels=torch.tensor(image_labels).float()), text._replace(
        labels=torch.tensor(report_labels).float()
    )


@pytest.mark.parametrize("chunk_size", [None, 3])
@pytest.mark.parametrize("report_labels", [REPORT_LABELS, IMAGE_LABELS], ids=["unpaired", "paired"])
def test_similar_labels_are_answers(pair, report_labels, chunk_size):
    """Where reports are those of others, what answers an image by its labels need not be answered by it."""
    image, text = with_labels(pair, report_labels=report_labels)
    images, texts = image.global_feature.requires_grad_(), text.global_feature.requires_grad_()

    def weights(rows, columns):
        return [[math.exp(references.cosine(a, b) / 0.7) for b in columns] for a in rows]

    per_image, per_text = weights(IMAGE_LABELS, report_labels), weights(report_labels, IMAGE_LABELS)
    assert (per_image == per_text) == (report_labels is IMAGE_LABELS) and per_image[3] == [1, 1, 1, 1]
    target = dict(type="mgca_mm.LabelSimilarity", temperature=0.7)
    out = InstanceAlignment(target=target, loss_weight=2.0, chunk_size=chunk_size)(image, text)
    expected = 2 * references.soft_info_nce(images, texts, per_image, 0.1, per_text)
    torch.testing.assert_close(out["loss_ita"], expected, rtol=1e-10, atol=0)
    similarity = (images @ texts.T).tolist()
    for name, rows, answers in (
        ("acc_i2t", similarity, per_image),
        ("acc_t2i", list(zip(*similarity, strict=True)), per_text),
    ):
        right = [answer[row.index(max(row))] == max(answer) for row, answer in zip(rows, answers, strict=True)]
        assert float(out[name]) == pytest.approx(sum(right) * 25)
    inputs = (images, texts)
    for ours, theirs in zip(
        torch.autograd.grad(out["loss_ita"], inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-13)


def test_a_low_temperature_leaves_the_same_labels(pair):
    """Also in fp32, of labels that differ in one of 14."""
    labels = torch.randint(-1, 2, (6, 14)).float()
    labels[3:] = labels[:3]
    labels[5, 0] = 1 - labels[2, 0].abs()
    image, text = pair(batch=6)
    image, text = image._replace(labels=labels), text._replace(labels=labels)
    target = LabelSimilarity(temperature=0.001)
    described = target.describe(image, text._replace(global_feature=text.global_feature.float()))
    expected = (labels[:, None] == labels).all(dim=2).float().expand(2, -1, -1)
    assert expected[0].sum() == 10
    torch.testing.assert_close(target(described, described), expected, rtol=0, atol=1e-3)


def test_a_low_temperature_leaves_something_of_every_row(pair):
    """Of labels that no report has, and of those of nothing, which any report answers alike."""
    image, text = pair(batch=4)
    images = torch.tensor([[1.0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 1, 0]])
    reports = torch.tensor([[1.0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    weights = LabelSimilarity(temperature=0.001)
    weights = weights(*[weights.describe(image._replace(labels=images), text._replace(labels=reports))] * 2)[0]
    expected = torch.tensor([[1.0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=weights.dtype)
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-6)
    similar = ReportSimilarity(temperature=0.001)
    same = torch.ones(4, 7)  # pieces that all reports have count nothing
    assert similar(same, same).equal(torch.ones(4, 4))


def test_a_target_for_a_loss_that_takes_none():
    with pytest.raises(ValueError, match="TripletLoss takes one report"):
        InstanceAlignment(dict(type="mgca_mm.TripletLoss"), target=dict(type="mgca_mm.IdenticalReports"))


def test_labels_that_the_loader_does_not_give(pair):
    image, text = with_labels(pair)
    alignment = InstanceAlignment(target=dict(type="mgca_mm.LabelSimilarity"))
    for missing in ((image._replace(labels=None), text), (image, text._replace(labels=None))):
        with pytest.raises(UserError, match="EncodeLabels"):
            alignment(*missing)


def test_sigmoid_alignment(pair):
    image, text = pair()
    alignment = SigmoidAlignment(temperature=5.0, bias=-2.0, loss_weight=3.0).double()
    alignment.log_temperature.data.fill_(math.log(5))  # in float64, too
    out = alignment(image, text)
    expected = references.sigmoid_loss(image.global_feature, text.global_feature, 5.0, -2.0)
    assert float(out["loss_sigmoid"]) == pytest.approx(3 * expected, rel=1e-10)
    out["loss_sigmoid"].backward()
    assert alignment.log_temperature.grad != 0 and alignment.bias.grad != 0
    assert 0 < out["p_unmatched"] < 1 and 0 < out["p_matched"] < 1
    one = alignment.eval()(*(x._replace(global_feature=x.global_feature[:1]) for x in (image, text)))
    assert one["p_unmatched"] == 0  # there is no other


@pytest.mark.parametrize("batch", [4, 5])
def test_matching_alignment(pair, batch):
    image, text = pair(batch=batch)
    images, texts = image.global_feature.requires_grad_(), text.global_feature.requires_grad_()
    alignment = MatchingAlignment(embed_dims=6, hidden_channels=5, loss_weight=2.0).double()
    out = alignment(image, text)
    first, second = alignment.classifier[0], alignment.classifier[2]

    def classify(both):
        hidden = [torch.clamp(torch.dot(w, both) + b, min=0) for w, b in zip(first.weight, first.bias, strict=True)]
        return sum(w * h for w, h in zip(second.weight[0], hidden, strict=True)) + second.bias[0]

    expected = 2 * references.matching(images, texts, classify)
    torch.testing.assert_close(out["loss_matching"], expected, rtol=1e-10, atol=0)
    inputs = (images, texts, *alignment.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(out["loss_matching"], inputs), torch.autograd.grad(expected, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-13)
    right = sum(int(classify(torch.cat([images[i], texts[i]])) > 0) for i in range(batch))
    right += sum(int(classify(torch.cat([images[i], texts[(i + batch // 2) % batch]])) <= 0) for i in range(batch))
    assert out["acc_matching"].item() == pytest.approx(100 * right / (2 * batch))


def test_matching_of_one_pair(pair):
    image, text = (x._replace(global_feature=x.global_feature[:1]) for x in pair())
    alignment = MatchingAlignment(embed_dims=6).double().eval()
    logit = alignment.classifier(torch.cat([image.global_feature, text.global_feature], dim=1))
    torch.testing.assert_close(alignment(image, text)["loss_matching"], F.softplus(-logit).squeeze())


def test_orthogonal_alignment(pair):
    image, text = pair()
    images, texts = image.global_feature.requires_grad_(), text.global_feature.requires_grad_()
    latent = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    out = OrthogonalAlignment(off_diagonal_weight=0.3, loss_weight=2.0)(image._replace(latent=latent), text)
    closeness = sum(2 * sum((images[i] - texts[i]) ** 2) for i in range(4)) / 4
    expected = [2 * closeness, 2 * references.orthogonality(latent, 0.3)]
    found = [out["loss_closeness"], out["loss_orthogonality"]]
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)
    inputs = (images, texts, latent)
    for ours, theirs in zip(
        torch.autograd.grad(sum(found), inputs), torch.autograd.grad(sum(expected), inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-13)


def unnormalized(pair, **kwargs):
    """Tokens of any length, as LocalAlignment gets them, that ask for a gradient."""
    image, text = pair(**kwargs)
    regions, words = (x.tokens * torch.linspace(1, 4, x.tokens.shape[1])[:, None] for x in (image, text))
    return image._replace(tokens=regions.requires_grad_()), text._replace(tokens=words.requires_grad_())


@pytest.mark.parametrize("chunk_size", [None, 1, 3])
def test_local_alignment(pair, chunk_size):
    image, text = unnormalized(pair)
    loss = LocalAlignment(loss_weight=0.5, chunk_size=chunk_size)(image, text)["loss_local"]
    similarity = [
        [references.local_similarity(image.tokens[i], text.tokens[j], text.token_mask[j]) for j in range(4)]
        for i in range(4)
    ]
    expected = references.similarity_info_nce(similarity, 10) / 2
    torch.testing.assert_close(loss, expected, rtol=1e-10, atol=0)
    inputs = (image.tokens, text.tokens)
    for ours, theirs in zip(torch.autograd.grad(loss, inputs), torch.autograd.grad(expected, inputs), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_local_alignment_in_chunks_keeps_less(pair):
    """The same loss and gradients; what is kept for the backward pass no longer grows with all pairs of the batch."""
    results, kept = [], []
    for chunk_size in (None, 2):
        image, text = unnormalized(pair, batch=8, regions=20, slots=16)
        storages = {}
        with torch.autograd.graph.saved_tensors_hooks(
            lambda x, storages=storages: (storages.update({x.untyped_storage().data_ptr(): x.nbytes}), x)[1],
            lambda x: x,
        ):
            loss = LocalAlignment(chunk_size=chunk_size)(image, text)["loss_local"]
        loss.backward()
        results.append([loss, image.tokens.grad, text.tokens.grad])
        kept.append(sum(storages.values()))
    for whole, chunked in zip(*results, strict=True):
        torch.testing.assert_close(chunked, whole, rtol=1e-11, atol=1e-13)
    assert kept[0] > 3 * 8 * 8 * 16 * 20 * 8 and kept[1] < kept[0] / 10


@pytest.mark.parametrize("released", [False, True])
def test_token_alignment(pair, released):
    """Eq. 4-6 from projected tokens to the loss, both columns of the protocol."""
    image, text = pair()
    if released:
        alignment = TokenAlignment(
            attention=dict(type="mgca_mm.SimilarityAttention", temperature=0.1),
            loss=dict(type="mgca_mm.TokenInfoNCELoss", temperature=0.1),
            mask_padding=False,
            normalize_contexts=("text",),
            reduction="sum",
        )
    else:
        alignment = TokenAlignment(attention=dict(type="mgca_mm.CrossModalAttention", embed_dims=6)).double()
    temperature = 0.1 if released else 0.07
    every = torch.ones(4, 7, dtype=torch.bool)
    losses = []
    for tokens, context, context_mask, weight, mask, seen, attention, normalize in (
        (image.tokens, text.tokens, text.token_mask, image.token_weight, every[:, :5], every[:, :5],
         alignment.image_attention, not released),
        (text.tokens, image.tokens, every[:, :5], text.token_weight, text.token_mask,
         every if released else text.token_mask, alignment.text_attention, True),
    ):  # fmt: skip
        contexts, weights = [], []
        for i in range(4):
            if released:
                out = references.similarity_attention(tokens[i], context[i], context_mask[i], 0.1)
            else:
                parameters = [getattr(attention, name).weight for name in ("query", "key", "value", "output")]
                out = references.attention(tokens[i], context[i], context_mask[i], *parameters)
            contexts.append(F.normalize(out, dim=-1) if normalize else out)
            weights.append(references.normalize_weight(weight[i], mask[i]))
        losses.append(references.token_info_nce(tokens, contexts, weights, seen, temperature))
    expected = sum(losses) if released else sum(losses) / 2
    out = alignment(image, text)
    torch.testing.assert_close(out["loss_cta"], expected, rtol=1e-10, atol=0)
    torch.testing.assert_close(out["lia"], losses[0], rtol=1e-10, atol=0)
    torch.testing.assert_close(out["lta"], losses[1], rtol=1e-10, atol=0)


def test_padding_words_have_no_influence(pair):
    image, text = pair()
    alignment = TokenAlignment(attention=dict(type="mgca_mm.CrossModalAttention", embed_dims=6)).double()
    changed = text._replace(
        tokens=text.tokens.masked_fill(~text.token_mask[..., None], 0.5),
        token_weight=text.token_weight.masked_fill(~text.token_mask, 9.0),
    )
    torch.testing.assert_close(alignment(image, changed)["loss_cta"], alignment(image, text)["loss_cta"])


def test_prototype_alignment(pair):
    image, text = pair()
    alignment = PrototypeAlignment(num_prototypes=5, embed_dims=6).double()
    out = alignment(image, text)
    prototypes = F.normalize(alignment.prototypes.detach(), dim=1)
    scores = [image.global_feature @ prototypes.T, text.global_feature @ prototypes.T]
    codes = [references.sinkhorn(s) for s in scores]
    expected = references.swapped_prediction(*scores, *codes, 0.2)
    torch.testing.assert_close(out["loss_cpa"].detach(), expected, rtol=1e-10, atol=0)
    assert 0 < out["prototype_usage"] <= 1


def test_prototypes_stay_on_the_sphere(pair):
    alignment = PrototypeAlignment(num_prototypes=5, embed_dims=6).double()
    alignment(*pair())
    torch.testing.assert_close(alignment.prototypes.norm(dim=1), torch.ones(5, dtype=torch.float64))
    before = alignment.prototypes.detach().clone().mul_(3)
    alignment.prototypes.data.copy_(before)
    alignment.eval()(*pair())
    torch.testing.assert_close(alignment.prototypes, before)  # evaluation changes nothing


def test_frozen_prototypes_get_a_gradient_of_zero(pair):
    alignment = PrototypeAlignment(num_prototypes=5, embed_dims=6).double()
    image, text = pair()
    alignment.frozen = True
    frozen = alignment(image, text)["loss_cpa"]
    frozen.backward()
    assert (alignment.prototypes.grad == 0).all()
    alignment.frozen = False
    alignment(image, text)["loss_cpa"].backward()
    assert (alignment.prototypes.grad != 0).any()


def test_prototype_usage_is_1_when_all_are_used_alike():
    alignment = PrototypeAlignment(num_prototypes=4, embed_dims=4).eval()
    alignment.prototypes.data.copy_(torch.eye(4))
    from mgca_mm.structures import ImageFeatures, TextFeatures

    out = alignment(ImageFeatures(torch.eye(4)), TextFeatures(torch.eye(4)))
    torch.testing.assert_close(out["prototype_usage"], torch.tensor(1.0))


def test_gradcheck_of_every_alignment(pair):
    image, text = pair(batch=2)
    image = image._replace(labels=torch.tensor([[1.0, 0.0], [1.0, -1.0]]))
    text = with_pieces(text, REPORTS[2:])._replace(labels=torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    inputs = (image.global_feature, text.global_feature, image.tokens, text.tokens)
    for alignment in (
        InstanceAlignment(),
        InstanceAlignment(chunk_size=1),
        InstanceAlignment(target=dict(type="mgca_mm.ReportSimilarity")),
        InstanceAlignment(target=dict(type="mgca_mm.LabelSimilarity")),
        SigmoidAlignment().double(),
        LocalAlignment(chunk_size=1),
        MatchingAlignment(embed_dims=6, hidden_channels=5).double(),
        TokenAlignment(attention=dict(type="mgca_mm.CrossModalAttention", embed_dims=6)).double(),
    ):

        def loss(image_global, text_global, image_tokens, text_tokens, alignment=alignment):
            out = alignment(
                image._replace(global_feature=image_global, tokens=image_tokens),
                text._replace(global_feature=text_global, tokens=text_tokens),
            )
            return sum(value for name, value in out.items() if "loss" in name)

        assert torch.autograd.gradcheck(loss, tuple(x.detach().clone().requires_grad_() for x in inputs))


def test_gradcheck_of_the_prototypes(pair):
    """Codes are targets without gradient: they are held fixed, as the derivation of the loss does."""
    image, text = pair()
    alignment = PrototypeAlignment(num_prototypes=3, embed_dims=6).double()
    alignment(image, text)
    prototypes = alignment.prototypes.detach().clone()
    codes = [sinkhorn_codes(x.global_feature @ prototypes.T) for x in (image, text)]

    def loss(prototypes):
        return alignment.loss(image.global_feature @ prototypes.T, text.global_feature @ prototypes.T, *codes)

    assert torch.autograd.gradcheck(loss, (prototypes.clone().requires_grad_(),))
    alignment(image, text)["loss_cpa"].backward()
    fixed = prototypes.clone().requires_grad_()
    loss(fixed).backward()
    torch.testing.assert_close(alignment.prototypes.grad, fixed.grad, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenAlignment(reduction="avg"),
        lambda: TokenAlignment(normalize_contexts=("word",)),
        lambda: PrototypeAlignment(num_prototypes=1),
        lambda: InstanceAlignment(chunk_size=0),
        lambda: SigmoidAlignment(temperature=0),
        lambda: ReportSimilarity(temperature=0),
        lambda: LabelSimilarity(temperature=0),
        lambda: LocalAlignment(word_sharpness=0),
        lambda: LocalAlignment(chunk_size=0),
    ],
)
def test_impossible_options(make):
    with pytest.raises(ValueError):
        make()
