"""Precision@k by class against loops."""

import numpy as np
import pytest
import torch

from mgca_mm.evaluation import ClassRetrieval
from mgca_mm.evaluation.retrieval import precision_at


def slow_precision(scores, match, k, hidden):
    shares = []
    for query in range(len(scores)):
        order = sorted(range(scores.shape[1]), key=lambda g: -scores[query, g])
        found = [g for g in order if not hidden[query, g]][:k]
        shares.append(sum(bool(match[query, g]) for g in found) / len(found))
    return 100 * float(np.mean(shares))


def test_against_loops():
    rng = np.random.default_rng(0)
    for _ in range(100):
        queries, gallery = rng.integers(2, 8, 2)
        scores = torch.from_numpy(rng.normal(size=(queries, gallery)))
        match = torch.from_numpy(rng.random((queries, gallery)) < 0.4)
        hidden = torch.zeros(queries, gallery, dtype=torch.bool)
        hidden[:, 0] = True
        for k in (1, 3, 20):
            for mask in (None, hidden):
                expected = slow_precision(scores, match, k, hidden if mask is not None else torch.zeros_like(hidden))
                assert precision_at(scores, match, [k], mask)[k] == pytest.approx(expected, abs=1e-4)


def test_metric():
    metric = ClassRetrieval(topk=(1,))
    image = torch.eye(4)[[0, 0, 1, 1]]
    report = torch.eye(4)[[0, 0, 1, 2]]
    samples = [
        dict(gt_label=label, image_embedding=i, report_embedding=r, pred_score=i[:2])
        for label, i, r in zip((0, 0, 1, 1), image, report, strict=True)
    ]
    metric.process({}, samples)
    found = metric.compute_metrics(metric.results)
    assert found["i2i_P@1"] == found["i2t_P@1"] == found["q2i_P@1"] == 100
    assert found["t2i_P@1"] == 75
    for sample in samples:  # a class that no image has is no query
        sample["pred_score"] = torch.cat([sample["pred_score"], torch.ones(1)])
    metric.results.clear()
    metric.process({}, samples)
    assert metric.compute_metrics(metric.results)["q2i_P@1"] == 100
