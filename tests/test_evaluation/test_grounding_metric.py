"""Phrase grounding against loops, and its edge cases."""

import math

import numpy as np
import pytest
import torch

from mgca_mm.evaluation import PhraseGrounding
from mgca_mm.evaluation.grounding import box_mask, score_map


def slow_scores(heat_map, inside):
    within = [v for v, i in zip(heat_map, inside, strict=True) if i]
    without = [v for v, i in zip(heat_map, inside, strict=True) if not i]
    mean = [sum(values) / len(values) for values in (within, without)]
    variance = [
        sum((v - m) ** 2 for v in values) / len(values) for values, m in zip((within, without), mean, strict=True)
    ]
    low, high = min(within + without), max(within + without)
    overlaps = []
    for threshold in (0.1, 0.2, 0.3, 0.4, 0.5):
        both = either = 0
        for value, is_inside in zip(heat_map, inside, strict=True):
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
        heat_map = rng.normal(size=rng.integers(3, 100))
        inside = np.arange(len(heat_map)) < rng.integers(1, len(heat_map))
        found = score_map(heat_map, inside)
        for key, value in slow_scores(heat_map, inside).items():
            assert found[key] == pytest.approx(value, abs=1e-9), key


def test_edge_cases():
    inside = np.eye(4, dtype=bool).ravel()
    flat = score_map(np.ones(16), inside)
    assert flat["cnr"] == 0 and flat["miou"] == 0
    assert flat["pointing"] == 25  # a quarter of the pixels, all of which are highest
    for broken in (math.nan, math.inf):  # in one pixel: a miss, not a phrase less
        heat_map = inside.astype(float)
        heat_map[0] = broken
        assert score_map(heat_map, inside) == dict(cnr=0, pointing=0, miou=0)
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


def scored(boxes, heat_map=None, raw_shape=(128, 128)):
    """The metric of some phrases, on images of which the crop leaves the middle half."""
    metric = PhraseGrounding(square=64, crop=32, num_bootstrap=20)
    heat_map = torch.eye(4).flatten() if heat_map is None else heat_map
    metric.process({}, [dict(heat_map=heat_map, boxes=[box], raw_shape=raw_shape) for box in boxes])
    return metric.compute_metrics(metric.results)


def test_phrases_that_cannot_be_scored_count_for_no_key(monkeypatch):
    told = []
    monkeypatch.setattr("mgca_mm.evaluation.grounding.print_log", lambda message, *_: told.append(message))
    visible = (32, 32, 16, 16)  # a sixteenth of what is seen
    assert scored([visible])["chance_pointing"] == pytest.approx(100 / 16)
    assert not told
    cut_off, whole = (0, 0, 20, 20), (0, 0, 128, 128)
    assert scored([cut_off, visible, whole]) == scored([visible])
    assert "2 of 3 phrases cannot be scored" in told[0]
    nothing = scored([cut_off])
    assert nothing.keys() == scored([visible]).keys() and all(math.isnan(value) for value in nothing.values())


def test_a_map_that_is_not_finite_is_a_miss():
    found = scored([(32, 32, 16, 16)], heat_map=torch.full((16,), math.nan))
    assert found["pointing"] == found["miou"] == found["cnr"] == 0
    assert found["chance_pointing"] == pytest.approx(100 / 16) and math.isfinite(found["centre_cnr"])
