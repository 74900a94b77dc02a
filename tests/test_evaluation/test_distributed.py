"""Two ranks with a share of the images each give the metrics of one process, on both, without waiting for ever."""

import json

import numpy as np
import pytest
import torch

from tests.test_distributed.test_equivalence import launch

from .ranks import evaluate
from .test_classification_metrics import draw, exclusive, multi_label
from .test_detection_metrics import random_images
from .test_segmentation_metrics import sample

# The last batch of four has one: the other rank evaluates it once more.
IMAGES = 9


def metrics_and_samples():
    rng = np.random.default_rng(0)
    masks = torch.from_numpy(rng.random((IMAGES, 6, 6)) < 0.3).long()
    scores = torch.from_numpy(rng.random((IMAGES, 6, 6)))
    labeled = multi_label(*draw(rng, IMAGES, 2))
    segmented = [
        dict(sample(*pair), img_path=f"{number}.png") for number, pair in enumerate(zip(masks, scores, strict=True))
    ]
    phrases = [
        dict(heat_map=torch.from_numpy(rng.random(16)), boxes=[box], raw_shape=(128, 128))
        for box in rng.integers(10, 60, (IMAGES, 4)).tolist()
    ]
    pairs = [
        dict(
            study_id=f"s{number // 2}",
            report_id=f"r{number // 2 % 3}",  # the last two studies have the reports of the first two
            image_embedding=torch.from_numpy(rng.random(4)),
            report_embedding=torch.from_numpy(rng.random(4)),
        )
        for number in range(IMAGES)
    ]
    phrases[2]["boxes"] = [(0, 0, 128, 128)]  # cannot be scored
    return [
        (dict(type="AUROC", num_bootstrap=20), labeled),
        (dict(type="ClassificationLoss", multi_label=True), labeled),
        (dict(type="Top1Accuracy"), exclusive(rng.random((IMAGES, 3)), rng.integers(3, size=IMAGES))),
        (dict(type="DetectionMAP"), random_images(rng, images=IMAGES)),
        (dict(type="PerImageDice"), segmented),
        (dict(type="SegmentationLoss", prefix="loss"), segmented),
        (dict(type="PhraseGrounding", num_bootstrap=20), phrases),
        (dict(type="ImageReportRetrieval", topk=(1, 2)), pairs),
    ]


def test_ranks_equal_one_process(tmp_path):
    samples_path, metrics_path = tmp_path / "samples.pt", tmp_path / "metrics.json"
    torch.save(metrics_and_samples(), samples_path)
    launch(2, "tests/test_evaluation/ranks.py", str(samples_path), str(metrics_path))
    expected = {}
    for metric, samples in metrics_and_samples():
        expected.update(evaluate(metric, samples))
    for metrics in json.loads(metrics_path.read_text()):
        assert metrics == pytest.approx(expected, rel=1e-6)
