from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator

from mgca_mm.errors import UserError
from mgca_mm.evaluation import PerImageDice, SegmentationLoss
from mgca_mm.models import CrossEntropyDiceLoss, FocalLogDiceLoss


def sample(mask, probability=None, predicted=None):
    """A sample of (H, W) arrays."""
    planes = dict(gt_sem_seg=mask, seg_logits=probability, pred_sem_seg=predicted)
    return {name: dict(data=torch.as_tensor(plane)[None]) for name, plane in planes.items() if plane is not None}


def evaluate(samples, **kwargs):
    metric = PerImageDice(**kwargs)
    metric.process({}, samples)
    return metric.evaluate(len(samples))


def reference(mask, found):
    both = either = 0
    for row, found_row in zip(mask.tolist(), found.tolist(), strict=True):
        for true, predicted in zip(row, found_row, strict=True):
            if true != 255:
                both += true == 1 and predicted
                either += (true == 1) + predicted
    return 200 * both / either if either else 100


def test_dice_equals_the_loop():
    rng = np.random.default_rng(0)
    empty = 0
    for _ in range(1000):
        shape, threshold = tuple(rng.integers(1, 6, size=2)), rng.choice([0.3, 0.5])
        samples, expected, positive = [], [], []
        for _ in range(rng.integers(1, 5)):
            mask = rng.choice([0, 1, 255], size=shape, p=rng.dirichlet([1, 1, 0.2]))
            mask *= rng.random() > 0.3
            probability = rng.random(shape).round(1).astype(np.float32) * (rng.random() > 0.3)
            found = probability > np.float32(threshold)
            samples.append(
                sample(mask, probability) if rng.random() < 0.5 else sample(mask, predicted=found.astype(np.int64))
            )
            expected.append(reference(mask, found))
            if (mask == 1).any():
                positive.append(expected[-1])
            empty += not (mask == 1).any() and not found.any()
        metrics = evaluate(samples, threshold=threshold)
        assert metrics["seg/dice"] == pytest.approx(np.mean(expected), abs=1e-4)
        np.testing.assert_allclose(metrics["seg/dice_positive"], np.mean(positive) if positive else np.nan, atol=1e-4)
    assert empty > 100


def test_several_classes():
    """Each is the foreground in its turn; of dice_positive those are left out that no image has."""
    rng = np.random.default_rng(0)
    for _ in range(100):
        shape, samples, dice, positive = tuple(rng.integers(1, 6, size=2)), [], [[], [], []], [[], [], []]
        for _ in range(rng.integers(1, 5)):
            mask = rng.choice([0, 1, 2, 255], size=shape)
            found = rng.integers(0, 4, size=shape)
            samples.append(sample(mask, predicted=found))
            for label in range(1, 4):
                one = np.where(mask == 255, 255, mask == label)
                dice[label - 1].append(reference(one, found == label))
                positive[label - 1] += dice[label - 1][-1:] if (mask == label).any() else []
        metric = PerImageDice()
        metric.dataset_meta = dict(classes=("background", "lung", "heart", "rib"))
        metric.process({}, samples)
        metrics = metric.evaluate(len(samples))
        for name, expected in zip(("lung", "heart", "rib"), dice, strict=True):
            assert metrics[f"seg/dice_{name}"] == pytest.approx(np.mean(expected), abs=1e-4)
        assert metrics["seg/dice"] == pytest.approx(np.mean(dice), abs=1e-4)
        kept = [np.mean(own) for own in positive if own]
        np.testing.assert_allclose(metrics["seg/dice_positive"], np.mean(kept) if kept else np.nan, atol=1e-4)


def test_a_score_of_several_that_is_not_a_number():
    metric = PerImageDice()
    metric.dataset_meta = dict(classes=("background", "lung", "heart"))
    empty = sample(torch.zeros(2, 2), predicted=torch.zeros(2, 2))
    metric.process({}, [empty | dict(seg_logits=dict(data=torch.full((3, 2, 2), torch.nan)))])
    assert np.isnan(metric.evaluate(1)["seg/dice"])
    with pytest.raises(UserError, match="map of 3 classes"):
        metric.process({}, [sample(torch.zeros(2, 2), predicted=torch.full((2, 2), 3))])
    with pytest.raises(UserError, match="A mask must hold 0 to 2 and 255"):
        metric.process({}, [sample(torch.full((2, 2), 3), predicted=torch.zeros(2, 2))])


@pytest.mark.parametrize("num_classes", [2, 3])
def test_loss_of_a_validation_is_that_of_the_training(num_classes):
    torch.manual_seed(0)
    logits = torch.randn(3, num_classes if num_classes > 2 else 1, 8, 8)
    masks = torch.randint(num_classes, (3, 1, 8, 8))
    loss = FocalLogDiceLoss() if num_classes == 2 else CrossEntropyDiceLoss()
    scores = logits.sigmoid() if num_classes == 2 else logits  # what mmseg hands out
    metric = SegmentationLoss(dict(type=f"mgca_mm.{type(loss).__name__}"))
    pairs = zip(masks, scores, strict=True)
    metric.process({}, [dict(gt_sem_seg=dict(data=mask), seg_logits=dict(data=score)) for mask, score in pairs])
    expected = sum(loss(logits[:, 0] if num_classes == 2 else logits, masks[:, 0]).values())
    assert metric.evaluate(3)["seg/loss"] == pytest.approx(float(expected), rel=1e-4)


def test_empty_masks(log):
    empty, full = torch.zeros(4, 4), torch.ones(4, 4)
    assert evaluate([sample(empty, empty)])["seg/dice"] == 100
    assert evaluate([sample(empty, full)])["seg/dice"] == 0
    assert evaluate([sample(full, empty)]) == {"seg/dice": 0, "seg/dice_positive": 0}
    assert len(log) == 2 and "no image has foreground" in log[0]
    assert evaluate([sample(empty, empty), sample(full, empty)]) == {"seg/dice": 50, "seg/dice_positive": 0}
    assert np.isnan(evaluate([sample(empty, empty)])["seg/dice_positive"])


def test_a_score_at_the_threshold_is_background():
    assert evaluate([sample(torch.ones(2, 2), torch.full((2, 2), 0.5))])["seg/dice"] == 0


def test_not_a_number_is_not_an_empty_prediction():
    assert np.isnan(evaluate([sample(torch.zeros(2, 2), torch.full((2, 2), torch.nan))])["seg/dice"])


@pytest.mark.parametrize("channels", [1, 2])
def test_on_the_samples_of_mmseg(channels):
    """What mmseg leaves under ``seg_logits`` is a probability for one channel, a logit for two."""
    from mmengine.structures import PixelData
    from mmseg.models.segmentors.base import BaseSegmentor
    from mmseg.structures import SegDataSample

    logits = torch.randn(3, channels, 8, 8) * 3
    masks = (torch.rand(3, 8, 8) < 0.4).long()
    samples = [SegDataSample(gt_sem_seg=PixelData(data=mask[None]), metainfo=dict(ori_shape=(8, 8))) for mask in masks]
    segmentor = SimpleNamespace(align_corners=False, decode_head=SimpleNamespace(threshold=0.9))  # not the metric's
    evaluator = Evaluator(dict(type="mgca_mm.PerImageDice"))
    evaluator.process(BaseSegmentor.postprocess_result(segmentor, logits, samples))
    found = logits[:, 0] > 0 if channels == 1 else logits.argmax(dim=1) == 1
    expected = np.mean([reference(*pair) for pair in zip(masks, found, strict=True)])
    assert evaluator.evaluate(3)["seg/dice"] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (dict(seg_logits=dict(data=torch.rand(1, 2, 2))), "no gt_sem_seg"),
        (sample(torch.ones(2, 2)), "neither"),
        (sample(torch.ones(4, 4), torch.rand(2, 2)), "after Resize"),
        (sample(torch.full((2, 2), 2), torch.rand(2, 2)), "A mask must hold"),
        (sample(torch.ones(2, 2), torch.tensor([[0.5, -3.0], [2.0, 0.0]])), "probabilities"),
        (sample(torch.ones(2, 2), predicted=torch.full((2, 2), 3)), "map of 2 classes"),
        (sample(torch.ones(1, 2, 2), torch.rand(2, 2)), r"\(1, H, W\)"),
    ],
)
def test_errors(wrong, message):
    with pytest.raises(UserError, match=message):
        PerImageDice().process({}, [wrong])


@pytest.mark.parametrize("threshold", [0.0, 1.0, 50])
def test_threshold_is_a_probability(threshold):
    with pytest.raises(ValueError, match="threshold"):
        PerImageDice(threshold=threshold)
