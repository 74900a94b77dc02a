"""Phrase grounding against loops, and its edge cases."""

import math

import numpy as np
import pytest
import torch

from mgca_mm.evaluation import PhraseGrounding
from mgca_mm.evaluation.grounding import box_mask, score_map


def slow_scores(heat_map, inside):
    within = [v for v, i in zip(heat_map.flat, inside.flat, strict=True) if i and not math.isnan(v)]
    without = [v for v, i in zip(heat_map.flat, inside.flat, strict=True) if not i and not math.isnan(v)]
    mean = [sum(values) / len(values) for values in (within, without)]
    variance = [
        sum((v - m) ** 2 for v in values) / len(values) for values, m in zip((within, without), mean, strict=True)
    ]
    low, high = min(within + without), max(within + without)
    overlaps = []
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        both = either = 0
        for value, is_inside in zip(heat_map.flat, inside.flat, strict=True):
            if not math.isnan(value):
                is_high = (value - low) / (high - low) > threshold
                both += is_high and is_inside
                either += is_high or is_inside
        overlaps.append(both / either)
    return dict(
        cnr=(mean[0] - mean[1]) / math.sqrt(sum(variance)),
        pointing=100.0 * (high in within),
        miou=100 * sum(overlaps) / 5,
    )


def test_against_loops():
    rng = np.random.default_rng(0)
    for _ in range(200):
        heat_map = rng.normal(size=rng.integers(3, 12, 2))
        heat_map[0, : rng.integers(0, 3)] = np.nan
        inside = np.zeros(heat_map.shape, bool)
        inside[rng.integers(1, heat_map.shape[0]), rng.integers(1, heat_map.shape[1]) :] = True
        found = score_map(heat_map, inside)
        for key, value in slow_scores(heat_map, inside).items():
            assert found[key] == pytest.approx(value, abs=1e-9), key


def test_edge_cases():
    inside = np.eye(4, dtype=bool)
    flat = score_map(np.ones((4, 4)), inside)
    assert flat["cnr"] == 0 and flat["miou"] == 0
    assert flat["pointing"] == 25  # a quarter of the pixels, all of which are highest
    assert all(math.isnan(value) for value in score_map(np.ones((4, 4)), np.ones((4, 4), bool)).values())
    perfect = score_map(inside.astype(float), inside)
    assert perfect["pointing"] == perfect["miou"] == 100
    assert score_map(-inside.astype(float), inside)["pointing"] == 0


def test_boxes():
    mask = box_mask([(1, 2, 3, 1), (0, 0, 1.4, 1)], 5, 6)
    expected = np.zeros((5, 6), bool)
    expected[2, 1:4] = True
    expected[0, 0] = True
    assert (mask == expected).all()


def test_metric_and_its_baselines():
    metric = PhraseGrounding(square=64, crop=64, num_bootstrap=50)
    side = 8
    samples = []
    for row in range(2):  # two phrases, found in the left upper and in the right lower corner
        heat_map = torch.zeros(side, side)
        heat_map[7 * row, 7 * row] = 1
        box = [(0, 0, 32, 32), (96, 96, 32, 32)][row]
        samples.append(dict(heat_map=heat_map.flatten(), boxes=[box], raw_shape=(128, 128)))
    metric.process({}, samples)
    found = metric.compute_metrics(metric.results)
    assert found["pointing"] == 100
    assert found["chance_pointing"] == pytest.approx(100 / 16)
    assert found["centre_pointing"] == 0
    assert found["cnr"] > 0 > found["centre_cnr"]
    assert found["cnr_low"] <= found["cnr"] <= found["cnr_high"]
