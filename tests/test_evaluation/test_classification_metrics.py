import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.registry import init_default_scope
from sklearn.metrics import log_loss, roc_auc_score

from mgca_mm.errors import UserError
from mgca_mm.evaluation import AUROC, ClassificationLoss, Top1Accuracy
from mgca_mm.evaluation.classification import resampled_auroc
from mgca_mm.registry import METRICS


def evaluate(metric, samples, classes=None):
    """As an evaluator does, in two batches."""
    metric.dataset_meta = None if classes is None else dict(classes=classes)
    metric.process({}, samples[:1])
    metric.process({}, samples[1:])
    return metric.evaluate(len(samples))


def multi_label(scores, labels):
    return [
        dict(pred_score=torch.tensor(score, dtype=torch.float32), gt_label=torch.tensor(np.flatnonzero(label)))
        for score, label in zip(scores, labels, strict=True)
    ]


def exclusive(scores, classes):
    return [
        dict(pred_score=torch.tensor(score, dtype=torch.float32), gt_label=torch.tensor([label]))
        for score, label in zip(scores, classes, strict=True)
    ]


def draw(rng, images, classes, separation=1.0, share=0.3):
    """Scores in 0…1 that know something of the labels."""
    labels = rng.random((images, classes)) < share
    return 1 / (1 + np.exp(-(separation * labels + rng.standard_normal((images, classes))))), labels


def reference_auroc(labels, scores):
    return roc_auc_score(labels, scores) if 0 < labels.sum() < len(labels) else np.nan


def macro(values):
    return np.nan if np.isnan(values).all() else np.nanmean(values)


def test_auroc_equals_sklearn():
    rng = np.random.default_rng(0)
    defined = 0
    for case in range(1000):
        scores, labels = draw(rng, rng.integers(1, 40), rng.integers(1, 5), share=rng.random())
        if case % 2:
            scores = scores.round(1)  # with ties
        scores = scores.astype(np.float32)
        expected = [reference_auroc(*columns) * 100 for columns in zip(labels.T, scores.T, strict=True)]
        metrics = evaluate(AUROC(), multi_label(scores, labels))
        got = [metrics[f"cls/{index}"] for index in range(len(expected))]
        np.testing.assert_allclose(got, expected, atol=1e-4)
        np.testing.assert_allclose(metrics["cls/macro"], macro(expected), atol=1e-4)
        assert len(metrics) == 1 + len(expected)
        defined += np.isfinite(expected).sum()
    assert defined > 1000


def test_a_class_of_one_label_is_left_out_and_named_once(log):
    scores, labels = draw(np.random.default_rng(0), 50, 3)
    labels[:, 0], labels[:, 2] = False, True
    metric = AUROC()
    for _ in range(2):
        metrics = evaluate(metric, multi_label(scores, labels), ["none", "some", "all"])
        assert np.isnan(metrics["cls/none"]) and np.isnan(metrics["cls/all"])
        assert (
            metrics["cls/macro"]
            == metrics["cls/some"]
            == pytest.approx(roc_auc_score(labels[:, 1], scores[:, 1]) * 100, abs=1e-4)
        )
    assert [message for message in log if "none, all" in message] == log[:1] and len(log) == 1


@pytest.mark.parametrize("images", [1, 5])
def test_no_class_left(images, log):
    metrics = evaluate(AUROC(num_bootstrap=10), multi_label(np.full((images, 2), 0.3), np.zeros((images, 2))))
    assert set(metrics) == {"cls/macro", "cls/0", "cls/1", "cls/macro_low", "cls/macro_high"}
    assert np.isnan(list(metrics.values())).all()
    assert "0, 1" in log[0]


def test_constant_scores_are_chance():
    metrics = evaluate(AUROC(num_bootstrap=50), multi_label(np.full((6, 1), 0.5), np.arange(6)[:, None] % 2))
    assert metrics["cls/macro"] == metrics["cls/macro_low"] == metrics["cls/macro_high"] == 50


def test_not_a_number_is_shown():
    scores, labels = draw(np.random.default_rng(0), 50, 2)
    scores[3, 1] = np.nan
    metrics = evaluate(AUROC(num_bootstrap=10), multi_label(scores, labels))
    assert metrics["cls/0"] > 50
    assert np.isnan([metrics[f"cls/{key}"] for key in ("1", "macro", "macro_low", "macro_high")]).all()
    assert np.isnan(evaluate(ClassificationLoss(multi_label=True), multi_label(scores, labels))["cls/loss"])
    assert evaluate(Top1Accuracy(), exclusive([[np.nan, 0.1]], [0]))["cls/top1"] == 0


def test_gt_score_is_as_good_as_gt_label():
    scores, labels = draw(np.random.default_rng(0), 30, 3)
    samples = [
        dict(pred_score=torch.tensor(score), gt_score=torch.tensor(label).float())
        for score, label in zip(scores, labels, strict=True)
    ]
    for metric in (AUROC(), ClassificationLoss(multi_label=True)):
        assert evaluate(metric, samples) == pytest.approx(evaluate(metric, multi_label(scores, labels)))


def test_resampled_auroc_equals_sklearn_on_copies():
    rng = np.random.default_rng(0)
    for case in range(100):
        scores, labels = draw(rng, 20, 1)
        scores, labels = scores[:, 0].round(1 + case % 2), labels[:, 0]
        drawn = rng.integers(20, size=(5, 20))
        counts = np.stack([np.bincount(rows, minlength=20) for rows in drawn])
        expected = [reference_auroc(labels[rows], scores[rows]) for rows in drawn]
        np.testing.assert_allclose(resampled_auroc(scores, labels, counts), expected)


def test_auroc_interval_equals_the_loop():
    """Rare labels: some resamples lack a class, and are averaged over the others."""
    rng = np.random.default_rng(1)
    scores, labels = draw(rng, 40, 3, share=0)
    labels[[0, 7], 0] = labels[[3, 9, 20], 1] = labels[::3, 2] = True
    scores = scores.astype(np.float32)
    metrics = evaluate(AUROC(num_bootstrap=200, seed=7), multi_label(scores, labels))
    rng, values, lacking = np.random.default_rng(7), [], 0
    for _ in range(200):
        rows = rng.integers(40, size=40)
        per_class = [reference_auroc(labels[rows, column], scores[rows, column]) for column in range(3)]
        lacking += np.isnan(per_class).any()
        values.append(macro(per_class) * 100)
    assert 0 < lacking < 200
    expected = np.nanpercentile(values, (2.5, 97.5))
    np.testing.assert_allclose([metrics["cls/macro_low"], metrics["cls/macro_high"]], expected)


def test_top1_interval_equals_the_loop():
    rng = np.random.default_rng(1)
    scores, classes = rng.dirichlet(np.ones(3), 60), rng.integers(3, size=60)
    metrics = evaluate(Top1Accuracy(num_bootstrap=200, seed=7), exclusive(scores, classes))
    rng, right = np.random.default_rng(7), scores.argmax(axis=1) == classes
    values = [right[rng.integers(60, size=60)].mean() * 100 for _ in range(200)]
    np.testing.assert_allclose([metrics["cls/top1_low"], metrics["cls/top1_high"]], np.percentile(values, (2.5, 97.5)))


@pytest.mark.parametrize(("metric", "key"), [(AUROC, "macro"), (Top1Accuracy, "top1")])
def test_interval(metric, key):
    """It repeats with its seed, holds the estimate, and shrinks as one over the root of the number of images."""
    widths = []
    for images in (100, 1600):
        rng = np.random.default_rng(0)
        if metric is AUROC:
            samples = multi_label(*draw(rng, images, 2))
        else:
            samples = exclusive(rng.dirichlet(np.ones(3), images), rng.integers(3, size=images))
        plain, first, again, other = (
            evaluate(metric(num_bootstrap=count, seed=seed), samples)
            for count, seed in ((0, 0), (300, 0), (300, 0), (300, 1))
        )
        low, high = first[f"cls/{key}_low"], first[f"cls/{key}_high"]
        assert low < first[f"cls/{key}"] < high
        assert plain == {name: value for name, value in first.items() if name[-4:] not in ("_low", "high")}
        assert first == again != other
        widths.append(high - low)
    assert 3 < widths[0] / widths[1] < 5.3


def test_interval_is_the_same_in_blocks(monkeypatch):
    samples = multi_label(*draw(np.random.default_rng(0), 30, 2))
    whole = evaluate(AUROC(num_bootstrap=50), samples)
    monkeypatch.setattr("mgca_mm.evaluation.bootstrap._BLOCK", 100)
    assert evaluate(AUROC(num_bootstrap=50), samples) == whole


def test_losses_equal_sklearn():
    rng = np.random.default_rng(0)
    for _ in range(1000):
        images, classes = rng.integers(1, 20), rng.integers(2, 6)
        scores, labels = draw(rng, images, classes)
        got = evaluate(ClassificationLoss(multi_label=True), multi_label(scores, labels))
        expected = torch.nn.functional.binary_cross_entropy(torch.tensor(scores), torch.tensor(labels).double())
        assert got == {"cls/loss": pytest.approx(expected.item(), rel=1e-5)}
        scores, index = rng.dirichlet(np.ones(classes), images), rng.integers(classes, size=images)
        got = evaluate(ClassificationLoss(multi_label=False), exclusive(scores, index))
        assert got == {"cls/loss": pytest.approx(log_loss(index, scores, labels=range(classes)), rel=1e-4)}
        right = np.mean(scores.astype(np.float32).argmax(axis=1) == index)
        assert evaluate(Top1Accuracy(), exclusive(scores, index)) == {"cls/top1": pytest.approx(right * 100)}


def test_saturated_scores_cost_a_finite_loss():
    wrong = evaluate(ClassificationLoss(multi_label=True), multi_label([[0.0, 1.0]], [[1, 0]]))["cls/loss"]
    assert wrong == pytest.approx(-np.log(1e-7))
    assert evaluate(ClassificationLoss(multi_label=True), multi_label([[0.0, 1.0]], [[0, 1]]))["cls/loss"] < 1e-6
    assert evaluate(ClassificationLoss(multi_label=False), exclusive([[0.0, 1.0]], [0]))["cls/loss"] == pytest.approx(
        wrong
    )


def test_on_the_heads_of_mmpretrain():
    from mmpretrain.models import LinearClsHead, MultiLabelLinearClsHead
    from mmpretrain.structures import DataSample

    init_default_scope("mmpretrain")
    features = (torch.randn(12, 4),)
    labels = [[0, 2], [], [1], [0], [1, 2], []] * 2
    samples = [DataSample().set_gt_label(label) for label in labels]
    evaluator = Evaluator([dict(type="mgca_mm.AUROC"), dict(type="mgca_mm.ClassificationLoss", multi_label=True)])
    head = MultiLabelLinearClsHead(num_classes=3, in_channels=4)
    evaluator.process(head.predict(features, samples))
    metrics = evaluator.evaluate(12)
    positive = torch.tensor([[index in label for index in range(3)] for label in labels])
    expected = torch.nn.functional.binary_cross_entropy_with_logits(head(features), positive.float())
    assert metrics["cls/loss"] == pytest.approx(expected.item(), rel=1e-5)
    assert metrics["cls/macro"] == pytest.approx(roc_auc_score(positive, head(features).detach()) * 100, abs=1e-4)

    classes = torch.arange(12) % 3
    head = LinearClsHead(num_classes=3, in_channels=4)
    evaluator = Evaluator(
        [dict(type="mgca_mm.Top1Accuracy"), dict(type="mgca_mm.ClassificationLoss", multi_label=False)]
    )
    evaluator.process(head.predict(features, [DataSample().set_gt_label(index) for index in classes]))
    metrics = evaluator.evaluate(12)
    expected = torch.nn.functional.cross_entropy(head(features), classes)
    assert metrics["cls/loss"] == pytest.approx(expected.item(), rel=1e-5)
    right = (head(features).argmax(dim=1) == classes).float().mean().item()
    assert metrics["cls/top1"] == pytest.approx(right * 100)


@pytest.mark.parametrize(
    ("metric", "sample", "message"),
    [
        (AUROC(), dict(gt_label=torch.tensor([0])), "pred_score"),
        (AUROC(), dict(pred_score=torch.rand(1, 3), gt_label=torch.tensor([0])), r"\(1, 3\)"),
        (AUROC(), dict(pred_score=torch.tensor([0.2, 1.5]), gt_label=torch.tensor([0])), "probabilities"),
        (AUROC(), dict(pred_score=torch.rand(2)), "gt_label"),
        (AUROC(), dict(pred_score=torch.rand(2), gt_label=torch.tensor([2])), "2 scores"),
        (AUROC(), dict(pred_score=torch.rand(2), gt_label=torch.tensor([-1])), "2 scores"),
        (AUROC(), dict(pred_score=torch.rand(2), gt_score=torch.tensor([0.0, 0.5])), "0 or 1"),
        (AUROC(), dict(pred_score=torch.rand(2), gt_score=torch.tensor([0.0, 1.0, 1.0])), "2 classes"),
        (Top1Accuracy(), dict(pred_score=torch.rand(2), gt_label=torch.tensor([0, 1])), "exclusive"),
        (Top1Accuracy(), dict(pred_score=torch.rand(2), gt_label=torch.tensor([2])), "2 scores"),
        (ClassificationLoss(multi_label=False), dict(pred_score=torch.rand(2), gt_label=torch.tensor([])), "one class"),
    ],
)
def test_errors(metric, sample, message):
    with pytest.raises(UserError, match=message):
        metric.process({}, [sample])


def test_classes_must_fit_the_head():
    with pytest.raises(UserError, match="3 scores, but the data set has 2"):
        evaluate(AUROC(), multi_label(*draw(np.random.default_rng(0), 5, 3)), ["a", "b"])


def test_the_kind_of_loss_must_be_said():
    with pytest.raises(TypeError, match="multi_label"):
        METRICS.build(dict(type="mgca_mm.ClassificationLoss"))
