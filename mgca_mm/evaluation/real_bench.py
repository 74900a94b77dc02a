"""The bench of frozen encoders: a linear layer on shares of the training images, and neighbors; divided by patient."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from mgca_mm.errors import UserError

from .bootstrap import interval_of, resample
from .classification import resampled_auroc

SHARES = (1, 5, 20, 100)  # percent of the training images
# C of scikit-learn's logistic regression; validation chooses.
INVERSE_REGULARIZATIONS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
NUM_NEIGHBORS = 20
MIN_OF_CLASS = 3  # images of each class that a share of the training images has at least
_TEST, _VALIDATION = 5, 8  # one part in so many is the test; of what is left, the validation: 70/10/20
_NUM_RESAMPLES = 1000


class Division(NamedTuple):
    """Rows of the training, the validation and the test; a patient's are in one of them."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


class Score(NamedTuple):
    """AUROC of a method in percent.

    Attributes:
        aurocs: One a seed.
        resampled: (R,) means over the seeds, each of patients drawn with replacement: the same for all methods.
        num_images: That it was trained on, with the first seed.
    """

    aurocs: list[float]
    resampled: np.ndarray
    num_images: int

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.aurocs))

    @property
    def sd(self) -> float | None:
        """Standard deviation over the seeds; None of one alone."""
        return float(np.std(self.aurocs, ddof=1)) if len(self.aurocs) > 1 else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the mean over patients."""
        return interval_of(self.resampled)

    def error_relative_to(self, other: "Score") -> tuple[float, float, float] | None:
        """Change of the error, 100 − AUROC, against another method's, in percent, with its 95 % interval over patients.

        None where the other one makes no error.
        """
        if other.mean == 100:
            return None
        with np.errstate(divide="ignore", invalid="ignore"):
            resampled = (100 - self.resampled) / (100 - other.resampled)
        return tuple(100 * (ratio - 1) for ratio in ((100 - self.mean) / (100 - other.mean), *interval_of(resampled)))


def divide_by_patient(labels: np.ndarray, patients: np.ndarray, seed: int) -> Division:
    """Divide images 70/10/20 by patient, with about the same share of positives in each part.

    Args:
        labels: (N,) of 0 and 1.
        patients: (N,) names.
        seed: Of the draw.

    Raises:
        UserError: There are too few patients for each part to have both classes.
    """
    rest, test = _split(labels, patients, _TEST, seed)
    train, val = _split(labels[rest], patients[rest], _VALIDATION, seed)
    return Division(rest[train], rest[val], test)


def _split(labels: np.ndarray, patients: np.ndarray, parts: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the rest and of one of the parts: the first that leaves both classes on both sides."""
    enough = len(np.unique(patients)) >= parts and np.bincount(labels.astype(int), minlength=2).min() >= parts
    folds = StratifiedGroupKFold(parts, shuffle=True, random_state=seed).split(labels, labels, patients)
    for sides in folds if enough else ():
        if all(len(np.unique(labels[rows])) == 2 for rows in sides):
            return sides
    raise UserError("too few patients of a class to divide them into training, validation and test")


def draw_share(labels: np.ndarray, train: np.ndarray, percent: int, seed: int) -> np.ndarray | None:
    """Draw a share of the training images, each class in proportion.

    Args:
        labels: (N,) of 0 and 1.
        train: Rows of the training images.
        percent: Of them that are drawn.
        seed: Of the draw; a smaller share is a part of a larger one, but for rounding.

    Returns:
        Rows; None where the share cannot hold :data:`MIN_OF_CLASS` images of both classes.
    """
    if percent == 100:
        return train
    order = np.random.default_rng(seed).permutation(train)
    total = round(len(train) * percent / 100)
    of_class = [order[labels[order] == value] for value in (0, 1)]
    if total < 2 * MIN_OF_CLASS or min(map(len, of_class)) < MIN_OF_CLASS:
        return None
    positives = min(max(round(total * len(of_class[1]) / len(train)), MIN_OF_CLASS), total - MIN_OF_CLASS)
    return np.concatenate([of_class[0][: total - positives], of_class[1][:positives]])


def bench_encoder(
    features: np.ndarray, labels: np.ndarray, patients: np.ndarray, seeds: Sequence[int], divisions: Sequence[Division]
) -> dict[int | str, Score]:
    """Score the features of a frozen encoder on one task.

    Features are standardized by the images that are trained on. The linear layer is a logistic regression, whose
    regularization the validation chooses for each share and seed; neighbors are weighted by their cosine.

    Args:
        features: (N, C) global features of the encoder, before projection.
        labels: (N,) of 0 and 1.
        patients: (N,) names.
        seeds: Of the shares.
        divisions: One a seed (:func:`divide_by_patient`).

    Returns:
        Share in percent → score of the linear layer, without the shares that cannot hold both classes; ``"knn"`` →
        score of the neighbors among all training images.
    """
    drawn = {
        percent: [
            draw_share(labels, division.train, percent, seed) for seed, division in zip(seeds, divisions, strict=True)
        ]
        for percent in SHARES
    }
    drawn = {percent: rows for percent, rows in drawn.items() if all(part is not None for part in rows)}
    methods = [(percent, rows, _linear) for percent, rows in drawn.items()] + [("knn", drawn[100], _neighbors)]
    scores = {}
    for name, trained_on, method in methods:
        predicted = [
            method(features, labels, rows, division) for rows, division in zip(trained_on, divisions, strict=True)
        ]
        tests = [division.test for division in divisions]
        scores[name] = _score(predicted, tests, labels, patients, len(trained_on[0]))
    return scores


def _standardized(features: np.ndarray, train: np.ndarray, division: Division) -> Iterator[np.ndarray]:
    """Of the training, the validation and the test images, by the mean and the deviation of the training ones."""
    scaler = StandardScaler().fit(features[train])
    return (scaler.transform(features[rows]) for rows in (train, division.val, division.test))


def _linear(features: np.ndarray, labels: np.ndarray, train: np.ndarray, division: Division) -> np.ndarray:
    """Decision values of the test images."""
    fitted, val, test = _standardized(features, train, division)
    probe = LogisticRegression(max_iter=1000, warm_start=True)
    best, decisions = -1.0, np.empty(0)
    for strength in INVERSE_REGULARIZATIONS:
        probe.set_params(C=strength).fit(fitted, labels[train])
        auroc = roc_auc_score(labels[division.val], probe.decision_function(val))
        if auroc > best:  # of equal ones, the stronger regularization
            best, decisions = auroc, probe.decision_function(test)
    return decisions


def _neighbors(features: np.ndarray, labels: np.ndarray, train: np.ndarray, division: Division) -> np.ndarray:
    """Share of positives among the nearest training images of each test image."""
    fitted, _, test = _standardized(features, train, division)
    classifier = KNeighborsClassifier(min(NUM_NEIGHBORS, len(train)), weights="distance", metric="cosine")
    return classifier.fit(fitted, labels[train]).predict_proba(test)[:, 1]


def _score(
    predicted: Sequence[np.ndarray],
    tests: Sequence[np.ndarray],
    labels: np.ndarray,
    patients: np.ndarray,
    num_images: int,
) -> Score:
    names, patient_of = np.unique(patients, return_inverse=True)
    parts = [(scores, labels[rows] == 1, patient_of[rows]) for scores, rows in zip(predicted, tests, strict=True)]

    def mean_over_seeds(counts: np.ndarray) -> np.ndarray:
        aurocs = np.stack([resampled_auroc(scores, positive, counts[:, drawn]) for scores, positive, drawn in parts])
        with np.errstate(invalid="ignore"):
            return np.nansum(aurocs, axis=0) / (~np.isnan(aurocs)).sum(axis=0)

    aurocs = [100 * float(roc_auc_score(positive, scores)) for scores, positive, _ in parts]
    return Score(aurocs, 100 * resample(mean_over_seeds, len(names), _NUM_RESAMPLES), num_images)
