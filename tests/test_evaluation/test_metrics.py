import numpy as np
import pytest
import torch

from mgca_mm.evaluation import AlignmentLoss, ClassRetrieval, ImageReportRetrieval, rank_of_best_match
from mgca_mm.evaluation.linear_probe import LabeledFeatures, linear_probe, select
from mgca_mm.evaluation.retrieval import number_reports


def test_rank_of_best_match_equals_the_loop():
    generator = torch.Generator().manual_seed(0)
    for _ in range(300):
        scores = torch.randint(0, 6, (5, 7), generator=generator).float()  # with ties
        match = torch.rand(5, 7, generator=generator) < 0.3
        match[:, 0] = True
        ranks = rank_of_best_match(scores, match)
        for i in range(5):
            best = max(float(s) for s, m in zip(scores[i], match[i], strict=True) if m)
            assert ranks[i] == sum(float(s) >= best and not m for s, m in zip(scores[i], match[i], strict=True))


def samples(images, reports, studies):
    return [
        dict(study_id=s, image_embedding=i, report_embedding=r)
        for i, r, s in zip(images, reports, studies, strict=True)
    ]


def test_perfect_and_reversed_retrieval():
    eye = torch.eye(4)
    metric = ImageReportRetrieval(topk=(1, 3))
    metric.process({}, samples(eye, eye, "abcd"))
    assert metric.compute_metrics(metric.results) == {"i2t_R@1": 100, "i2t_R@3": 100, "t2i_R@1": 100, "t2i_R@3": 100}
    metric = ImageReportRetrieval(topk=(1,))
    metric.process({}, samples(eye, eye[[1, 0, 3, 2]], "abcd"))
    assert metric.compute_metrics(metric.results) == {"i2t_R@1": 0, "t2i_R@1": 0}


def test_images_of_one_study_share_its_report():
    """Two images, one report: both find it, and it counts once in the gallery."""
    images = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    reports = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    metric = ImageReportRetrieval(topk=(1,))
    metric.process({}, samples(images, reports, "aab"))
    assert metric.compute_metrics(metric.results) == {"i2t_R@1": 100, "t2i_R@1": 100}


def test_reports_of_one_text_are_one_report():
    """A perfect encoder cannot tell them apart, and has 100; other ties, and other texts, still count against it."""
    texts = ["normal", "effusion", "normal", "edema", "normal", None, None]
    studies = ["a", "b", "c", "d", "a", "e", "f"]
    eye = torch.eye(5)
    found = eye[[0, 1, 0, 2, 0, 3, 4]]
    rows = samples(found, found, studies)
    perfect = [s | ({} if t is None else dict(report_id=t)) for s, t in zip(rows, texts, strict=True)]
    metric = ImageReportRetrieval(topk=(1, 5))
    metric.process({}, perfect)
    assert set(metric.compute_metrics(metric.results).values()) == {100}
    assert number_reports(key for key, *_ in metric.results) == [0, 1, 0, 2, 0, 3, 4]
    metric = ImageReportRetrieval(topk=(1,))
    perfect[3]["image_embedding"] = perfect[3]["report_embedding"] = eye[1]  # as the effusion
    metric.process({}, perfect)
    metrics = metric.compute_metrics(metric.results)
    assert metrics["i2t_R@1"] == pytest.approx(100 * 5 / 7) and metrics["t2i_R@1"] == pytest.approx(100 * 3 / 5)


def test_of_several_texts_of_a_study_the_first_counts():
    """Sentences drawn from one report do not make several reports of it."""
    keys = [("a", "x"), ("b", "y"), ("a", "z"), ("c", "x"), ("d", "z")]
    assert number_reports(keys) == [0, 1, 0, 0, 2]


def test_constant_embeddings_find_nothing():
    """A collapsed model must not look perfect because of ties."""
    metric = ImageReportRetrieval(topk=(1,))
    metric.process({}, samples(torch.ones(4, 2), torch.ones(4, 2), "abcd"))
    assert metric.compute_metrics(metric.results) == {"i2t_R@1": 0, "t2i_R@1": 0}


def test_not_a_number_finds_nothing():
    metric = ImageReportRetrieval(topk=(1,))
    metric.process({}, samples(torch.full((4, 2), torch.nan), torch.ones(4, 2), "abcd"))
    assert metric.compute_metrics(metric.results) == {"i2t_R@1": 0, "t2i_R@1": 0}


@pytest.mark.parametrize("kind", [ImageReportRetrieval, ClassRetrieval])
def test_a_batch_is_copied_to_the_host_once(kind, monkeypatch):
    """Each copy waits for the GPU. What is kept is what each sample has, in fp32 and by itself, since ranks send it."""
    tensors = torch.randn(2, 5, 8, dtype=torch.bfloat16)
    found = [sample | dict(gt_label=0, pred_score=torch.randn(3)) for sample in samples(*tensors, "abcde")]
    keys = ("image_embedding", "report_embedding", "pred_score")[: 2 if kind is ImageReportRetrieval else 3]
    copies, cpu = [], torch.Tensor.cpu
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: copies.append(tensor) or cpu(tensor))
    metric = kind()
    metric.process({}, found)
    assert len(copies) == 1
    for sample, (_, *kept) in zip(found, metric.results, strict=True):
        kept = kept if kind is ImageReportRetrieval else kept[0].values()
        for key, tensor in zip(keys, kept, strict=True):
            assert tensor.dtype == torch.float32 and torch.equal(tensor, sample[key].float())
            assert tensor.untyped_storage().nbytes() == 4 * len(tensor)


def test_alignment_loss_weighs_batches_by_their_size():
    metric = AlignmentLoss()
    metric.process({}, [dict(losses=dict(loss_ita=torch.tensor(1.0), loss_cpa=torch.tensor(2.0)))] * 3)
    metric.process({}, [dict(losses=dict(loss_ita=torch.tensor(5.0), loss_cpa=torch.tensor(2.0)))])
    assert metric.compute_metrics(metric.results) == {"loss": 4.0, "loss_ita": 2.0, "loss_cpa": 2.0}


def labeled(count, seed):
    rng = np.random.default_rng(seed)
    features = rng.standard_normal((count, 5))
    visible = (features[:, 0] > 0).astype(float)
    noise = rng.integers(0, 2, count).astype(float)
    labels = np.stack([visible, noise, np.zeros(count)], axis=1)
    labels[:5, 0] = np.nan  # uncertain: neither fitted nor scored
    return LabeledFeatures([f"i{i}" for i in range(count)], features, labels)


def test_linear_probe():
    train, test = labeled(400, 0), labeled(400, 1)
    result = linear_probe(train, test, ["visible", "noise", "constant"])
    assert result.per_class["visible"] > 97
    assert 40 < result.per_class["noise"] < 60
    assert result.left_out == ["constant"]
    assert result.macro == pytest.approx((result.per_class["visible"] + result.per_class["noise"]) / 2)


def test_select():
    chosen = select(labeled(10, 0), {"i3", "i7", "absent"})
    assert chosen.image_ids == ["i3", "i7"] and len(chosen.features) == len(chosen.labels) == 2
