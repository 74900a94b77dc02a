"""The bench's arithmetic: divisions by patient, shares, the linear layer and neighbors; batch norm adapted to a set."""

import numpy as np
import pytest
import torch
from torch import nn

from mgca_mm.errors import UserError
from mgca_mm.evaluation.bench_report import cells, markdown
from mgca_mm.evaluation.gray_statistics import GrayStatistics
from mgca_mm.evaluation.linear_probe import adapt_batch_norm
from mgca_mm.evaluation.real_bench import Score, _linear, bench_encoder, divide_by_patient, draw_share
from mgca_mm.models import ImageReportDataPreprocessor
from mgca_mm.structures import ImageReportSample

PATIENTS = np.array([f"p{number // 3}" for number in range(900)])


def features(seed=0, positives=0.3):
    """Labels, and (N, 8) features of which the first shows them."""
    rng = np.random.default_rng(seed)
    labels = (rng.random(900) < positives).astype(float)
    values = rng.standard_normal((900, 8))
    values[:, 0] += 3 * labels
    return values, labels


@pytest.mark.parametrize("seed", range(3))
def test_a_patient_is_in_one_part(seed):
    _, labels = features()
    division = divide_by_patient(labels, PATIENTS, seed)
    parts = [set(PATIENTS[rows]) for rows in division]
    assert sorted(np.concatenate(division)) == list(range(900))
    assert sum(map(len, parts)) == len(set().union(*parts)) == 300
    assert [len(rows) for rows in division] == pytest.approx([630, 90, 180], abs=12)
    for rows in division:
        assert labels[rows].mean() == pytest.approx(labels.mean(), abs=0.05)
    again = divide_by_patient(labels, PATIENTS, seed)
    assert all(np.array_equal(one, other) for one, other in zip(division, again, strict=True))
    assert not np.array_equal(division.test, divide_by_patient(labels, PATIENTS, seed + 1).test)


@pytest.mark.parametrize(
    ("labels", "patients"),
    [
        ([0, 1] * 20, ["a", "b"] * 20),  # two patients
        ([0] * 40, list(range(40))),  # one value
        ([1] * 3 + [0] * 37, list(range(40))),  # three positives
        ([1] * 10 + [0] * 30, [*["sick"] * 10, *range(30)]),  # all of one patient
    ],
)
def test_too_few_to_divide(labels, patients):
    with pytest.raises(UserError, match="too few patients"):
        divide_by_patient(np.array(labels, float), np.array(patients, str), 0)


def test_a_share_is_in_proportion_and_within_the_larger_one():
    _, labels = features()
    train = np.arange(600)
    drawn = {percent: draw_share(labels, train, percent, 0) for percent in (5, 20, 100)}
    assert [len(rows) for rows in drawn.values()] == [30, 120, 600]
    assert set(drawn[5]) < set(drawn[20]) < set(train)
    for rows in drawn.values():
        assert len(set(rows)) == len(rows) and labels[rows].mean() == pytest.approx(labels[train].mean(), abs=0.02)
    assert set(draw_share(labels, train, 5, 1)) != set(drawn[5])


@pytest.mark.parametrize(
    ("positives", "percent", "expected"),
    [
        (300, 1, (3, 3)),
        (10, 5, (3, 27)),  # in proportion it would be none
        (590, 5, (27, 3)),
        (2, 5, None),
        (300, 0.5, None),  # three images
        (2, 100, (2, 598)),
    ],
)
def test_a_share_holds_a_few_of_each_class(positives, percent, expected):
    labels = np.zeros(600)
    labels[:positives] = 1
    rows = draw_share(labels, np.arange(600), percent, 0)
    found = None if rows is None else (int(labels[rows].sum()), int((1 - labels[rows]).sum()))
    assert found == expected


def test_scores():
    values, labels = features()
    seeds = range(3)
    divisions = [divide_by_patient(labels, PATIENTS, seed) for seed in seeds]
    scores = bench_encoder(values, labels, PATIENTS, seeds, divisions)
    assert list(scores) == [1, 5, 20, 100, "knn"]
    assert scores[100].mean > 97 and scores["knn"].mean > 90 and scores[100].mean > scores[1].mean
    total = len(divisions[0].train)
    assert [score.num_images for score in scores.values()] == [6, round(total / 20), round(total / 5), total, total]
    for score in scores.values():
        assert len(score.aurocs) == 3 and score.interval[0] < score.mean < score.interval[1]
        assert score.sd == pytest.approx(np.std(score.aurocs, ddof=1))
    again = bench_encoder(values, labels, PATIENTS, seeds, divisions)
    assert [(*score.aurocs, *score.resampled) for score in again.values()] == [
        (*score.aurocs, *score.resampled) for score in scores.values()
    ]
    noise = bench_encoder(values[:, 1:], labels, PATIENTS, seeds, divisions)
    assert noise[100].interval[0] < 50 < noise[100].interval[1] and abs(noise["knn"].mean - 50) < 8
    change, low, high = scores[100].error_relative_to(noise[100])
    assert change == pytest.approx(100 * (100 - scores[100].mean) / (100 - noise[100].mean) - 100)
    assert -100 < low < change < high < -80


def test_the_interval_of_an_error_is_over_the_same_patients():
    """Where a resample is hard, both methods err more: their ratio stays."""
    errors = np.array([5.0, 10.0, 20.0])
    ours, theirs = Score([92.0], 100 - errors, 9), Score([84.0], 100 - 2 * errors, 9)
    assert ours.error_relative_to(theirs) == pytest.approx((-50, -50, -50)) and ours.sd is None
    assert ours.error_relative_to(Score([100.0], errors, 9)) is None


def test_shares_that_cannot_hold_both_classes_are_left_out():
    values, labels = features(positives=0.3)
    few = slice(0, 150)
    divisions = [divide_by_patient(labels[few], PATIENTS[few], seed) for seed in (0, 1)]
    assert list(bench_encoder(values[few], labels[few], PATIENTS[few], (0, 1), divisions)) == [20, 100, "knn"]


def test_labels_of_the_test_change_no_prediction():
    values, labels = features()
    division = divide_by_patient(labels, PATIENTS, 0)
    turned = labels.copy()
    turned[division.test] = 1 - turned[division.test]
    one, other = (_linear(values, each, division.train, division) for each in (labels, turned))
    assert np.array_equal(one, other)


def test_validation_chooses_the_regularization():
    """Of many useless features and few images, a strong one is better; of labels turned there, it is worth nothing."""
    rng = np.random.default_rng(0)
    labels = (np.arange(900) % 2).astype(float)
    values = rng.standard_normal((900, 300))
    values[:, :20] += 0.4 * labels[:, None]
    division = divide_by_patient(labels, PATIENTS, 0)
    rows = draw_share(labels, division.train, 20, 0)
    found = _linear(values, labels, rows, division)
    turned = labels.copy()
    turned[division.val] = 1 - turned[division.val]
    assert not np.allclose(found, _linear(values, turned, rows, division))


class Encoder(nn.Module):
    def __init__(self, norm):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = norm

    def forward(self, images):
        return self.norm(self.conv(images))


def images(count=50, level=90):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(level, level + 60, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return [{"inputs": {"image": each}, "data_samples": ImageReportSample()} for each in pixels]


def model(norm):
    return nn.ModuleDict({"data_preprocessor": ImageReportDataPreprocessor(), "image_encoder": Encoder(norm)})


def test_adapting_batch_norm_changes_the_statistics_alone():
    adapted = model(nn.BatchNorm2d(4))
    before = {name: value.clone() for name, value in adapted.state_dict().items()}
    adapt_batch_norm(adapted, images(), batch_size=25, num_workers=0)
    after = adapted.state_dict()
    changed = {name.rpartition(".")[2] for name, value in before.items() if not torch.equal(value, after[name])}
    assert changed == {"running_mean", "running_var", "num_batches_tracked"}
    assert not adapted.training and adapted.image_encoder.norm.momentum == 0.1
    pixels = torch.stack([sample["inputs"]["image"] for sample in images()])
    maps = adapted.image_encoder.conv(
        adapted.data_preprocessor({"inputs": {"image": pixels}})["inputs"]["image"]
    ).detach()
    torch.testing.assert_close(after["image_encoder.norm.running_mean"], maps.mean(dim=(0, 2, 3)))
    torch.testing.assert_close(after["image_encoder.norm.running_var"], maps.var(dim=(0, 2, 3)), rtol=0.05, atol=0)
    again = {name: value.clone() for name, value in after.items()}
    adapt_batch_norm(adapted, images(), batch_size=25, num_workers=0)
    assert all(torch.equal(value, again[name]) for name, value in adapted.state_dict().items())


def test_without_batch_norm():
    with pytest.raises(UserError, match="has none"):
        adapt_batch_norm(model(nn.GroupNorm(2, 4)), images(), num_workers=0)


@pytest.mark.parametrize("size", [(160, 160), (96, 50)])
def test_the_numbers_of_the_grays(size):
    height, width = size
    pixels = np.random.default_rng(0).normal(2, 3, (4, *size))
    pixels[:, round(height * 5 / 16) : round(height * 11 / 16), width // 4 : width * 3 // 4] *= 2
    middle = pixels[:, round(height * 5 / 16) : round(height * 11 / 16), width // 4 : width * 3 // 4]
    expected = [
        [one.mean(), one.std(ddof=1), part.mean(), part.std(ddof=1), *np.quantile(one, (0.05, 0.25, 0.5, 0.75, 0.95))]
        for one, part in zip(pixels, middle, strict=True)
    ]
    found = GrayStatistics()(torch.from_numpy(pixels)[:, None].expand(-1, 3, -1, -1)).global_feature
    np.testing.assert_allclose(found, expected)
    of_others = GrayStatistics()(torch.from_numpy(pixels)[2:, None].expand(-1, 3, -1, -1)).global_feature
    torch.testing.assert_close(found[2:], of_others)


def row(encoder, share, mean, control=False, relative=None, task="pneumonia"):
    numbers = dict(trained_on=41, mean=mean, sd=1.25, low=mean - 2, high=mean + 2, error_to_random=relative)
    sizes = dict(images=5840, positives=4265, patients=2775, blank=1200)
    return dict(data="kermany", task=task, control=control, encoder=encoder, share=share, **sizes, **numbers)


def test_tables_and_cells():
    rows = [
        *(row("random", share, 80.6, relative=(0, 0, 0)) for share in (1, "knn")),
        *(row("a", share, 91.2, relative=(-54.6, -70, 3)) for share in (1, "knn")),
        row("random", 1, 70.0, control=True, task="view=AP"),
    ]
    named = {
        "random": dict(config="c", checkpoint=None, sha256=None),
        "a": dict(config="c", checkpoint="f", sha256="0f"),
    }
    text = markdown(rows, ["kermany, rare: one value"], named)
    assert (
        "5,840 images of 2,775 patients, 4,265 positive, 1,200 blank, hence negative." in text
        and "* kermany, rare: one value" in text
    )
    assert "| encoder | 1 % (41) | error | neighbors | error |" in text
    assert "| a | 91.2 ± 1.2 (89.2–93.2) | −55 % (−70 to +3) | 91.2" in text
    assert text.index("pneumonia") < text.index("## Controls") < text.index("view=AP") < text.index("## Left out")
    assert [(cell["init"], cell["percent"]) for cell in cells(rows)] == [("random", 1), ("a", 1)]
