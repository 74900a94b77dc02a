"""Metrics of linear classification (docs/protocol.md#classification) on the data samples of mmpretrain's heads."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from mgca_mm.errors import UserError, require_not_negative
from mgca_mm.registry import METRICS

from .bootstrap import bootstrap_interval

# Scores are kept off 0 and 1 by this in a logarithm: about what float32 leaves between 1 and the number below it.
_MARGIN = 1e-7


@METRICS.register_module()
class AUROC(BaseMetric):
    """Area under the ROC curve in percent: ``macro``, the mean over the classes, and one key a class.

    A class of which the evaluated images hold positives only, or negatives only, has no AUROC: its value is NaN, it is
    left out of the mean and named in the log. The macro mean is NaN where all are left out.

    With ``num_bootstrap``, ``macro_low`` and ``macro_high`` are the 95 % percentile interval over images. In a resample
    that happens to hold one label of a class only, the mean is over the other classes.

    Each sample needs ``pred_score`` (C,) in 0…1, the sigmoid scores of mmpretrain's ``MultiLabelLinearClsHead``, and
    ``gt_label``, the indices of the positive classes (none for a negative), or ``gt_score`` (C,) of 0 and 1. One
    binary label is C = 1. The classes are named by ``classes`` of the data set's metainfo, else by their index.

    Args:
        num_bootstrap: Resamples of the interval; 0 for none, which suits validation.
        seed: Of the resamples.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "cls"

    def __init__(self, num_bootstrap: int = 0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        require_not_negative(num_bootstrap=num_bootstrap)
        self.num_bootstrap = num_bootstrap
        self.seed = seed
        self._named_left_out: list[str] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the scores and the labels of a batch."""
        for sample in data_samples:
            scores = _scores(sample)
            self.results.append((scores, _multi_hot(sample, len(scores))))

    def compute_metrics(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Score each class and average.

        Raises:
            UserError: If there are not as many scores as classes.
        """
        # Here, because importing torchmetrics takes seconds.
        from torchmetrics.functional.classification import binary_auroc

        scores, labels = (np.stack(arrays) for arrays in zip(*results, strict=True))  # (N, C) each
        names = self._class_names(scores.shape[1])
        has_both = labels.any(axis=0) & ~labels.all(axis=0)
        self._name_left_out([name for name, both in zip(names, has_both, strict=True) if not both])
        per_class = {}
        for column, name in enumerate(names):
            # A score that is not a number would be ranked as the highest.
            if has_both[column] and not np.isnan(scores[:, column]).any():
                score, label = (torch.from_numpy(array[:, column]) for array in (scores, labels))
                per_class[name] = binary_auroc(score, label.int()).item() * 100
            else:
                per_class[name] = float("nan")
        kept = [per_class[name] for name, both in zip(names, has_both, strict=True) if both]
        metrics = {"macro": float(np.mean(kept)) if kept else float("nan"), **per_class}
        if self.num_bootstrap:
            metrics["macro_low"], metrics["macro_high"] = self._interval(scores[:, has_both], labels[:, has_both])
        return metrics

    def _class_names(self, num_classes: int) -> list[str]:
        classes = (self.dataset_meta or {}).get("classes")
        if classes is None:
            return [str(index) for index in range(num_classes)]
        if len(classes) != num_classes:
            raise UserError(
                f"The head gives {num_classes} scores, but the data set has {len(classes)} classes: "
                f"{', '.join(classes)}.\nSet num_classes of the head to {len(classes)}."
            )
        return list(classes)

    def _name_left_out(self, left_out: list[str]) -> None:
        """Warn of the classes without an AUROC; not again at every validation."""
        if left_out != self._named_left_out:
            self._named_left_out = left_out
            if left_out:
                print_log(
                    f"AUROC: left out of the mean, as the images hold one label of it only: {', '.join(left_out)}",
                    logger="current",
                    level=logging.WARNING,
                )

    def _interval(self, scores: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
        if not scores.size or np.isnan(scores).any():
            return float("nan"), float("nan")

        def macro(counts: np.ndarray) -> np.ndarray:
            per_class = np.stack([resampled_auroc(*column, counts) for column in zip(scores.T, labels.T, strict=True)])
            with np.errstate(invalid="ignore"):
                return np.nansum(per_class, axis=0) / (~np.isnan(per_class)).sum(axis=0)

        low, high = bootstrap_interval(macro, len(scores), self.num_bootstrap, self.seed)
        return low * 100, high * 100


def resampled_auroc(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """AUROC of R resamples: the share of pairs in which the positive scores higher, a tie counting half.

    Sorted once for all resamples (Mann-Whitney)::

                             score 1   score 2   …   score U    (U different scores, ascending)
        negatives drawn    [    3         0             1     ]
        negatives below    [   1.5        3             …     ]   those of the same score by half
        positives drawn    [    0         2             1     ]  → wins = Σ positives · negatives below

    Args:
        scores: (N,).
        labels: (N,) True = positive.
        counts: (R, N) times that each image was drawn.

    Returns:
        (R,) in 0…1; NaN where a resample holds one label only.
    """
    order = np.argsort(scores)
    _, first = np.unique(scores[order], return_index=True)
    counts = counts[:, order]
    positives = np.add.reduceat(counts * labels[order], first, axis=1)  # (R, U)
    negatives = np.add.reduceat(counts, first, axis=1) - positives  # (R, U)
    below = negatives.cumsum(axis=1) - negatives / 2  # (R, U)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (positives * below).sum(axis=1) / pairs


@METRICS.register_module()
class Top1Accuracy(BaseMetric):
    """Share of the images whose highest score is that of their class, in percent: ``top1``.

    With ``num_bootstrap``, ``top1_low`` and ``top1_high`` are the 95 % percentile interval over images.

    Each sample needs ``pred_score`` (C,) and ``gt_label``, one index.

    Args:
        num_bootstrap: Resamples of the interval; 0 for none.
        seed: Of the resamples.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "cls"

    def __init__(self, num_bootstrap: int = 0, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        require_not_negative(num_bootstrap=num_bootstrap)
        self.num_bootstrap = num_bootstrap
        self.seed = seed

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep whether each image of a batch is classified rightly."""
        for sample in data_samples:
            scores = _scores(sample)
            # argmax gives the first score that is not a number, which must not look like a hit.
            is_right = scores.argmax() == _class_index(sample, len(scores)) and not np.isnan(scores).any()
            self.results.append(bool(is_right))

    def compute_metrics(self, results: list[bool]) -> dict[str, float]:
        """Compute the accuracy and its interval."""
        is_right = np.array(results)
        metrics = {"top1": float(is_right.mean()) * 100}
        if self.num_bootstrap:
            count = len(is_right)
            low, high = bootstrap_interval(lambda drawn: drawn @ is_right / count, count, self.num_bootstrap, self.seed)
            metrics["top1_low"], metrics["top1_high"] = low * 100, high * 100
        return metrics


@METRICS.register_module()
class ClassificationLoss(BaseMetric):
    """Mean cross-entropy of the predicted probabilities in nats, ``loss``: what early stopping watches.

    Multi-label: binary cross-entropy of the sigmoid scores, the mean over images and classes. Otherwise the negative
    logarithm of the softmax score of the image's class, the mean over images. A score that rounding has made 0 or 1
    costs 16 at most.

    Each sample needs ``pred_score`` (C,) in 0…1 and labels as for :class:`AUROC` or :class:`Top1Accuracy`.

    Args:
        multi_label: Whether the classes are independent. There is no default: ``gt_label`` of an image with one
            positive class looks the same in either case.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "cls"

    def __init__(self, multi_label: bool, **kwargs):
        super().__init__(**kwargs)
        self.multi_label = multi_label

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the loss of each image of a batch."""
        for sample in data_samples:
            scores = _scores(sample)
            # In float64, where both margins are representable.
            probabilities = scores.astype(np.float64).clip(_MARGIN, 1 - _MARGIN)
            if self.multi_label:
                labels = _multi_hot(sample, len(scores))
                loss = -np.log(np.where(labels, probabilities, 1 - probabilities)).mean()
            else:
                loss = -np.log(probabilities[_class_index(sample, len(scores))])
            self.results.append(float(loss))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Average the losses over the images."""
        return {"loss": float(np.mean(results))}


def _scores(sample: dict) -> np.ndarray:
    """``pred_score`` (C,) in 0…1; NaN passes, for the metrics to show that a model has diverged.

    Raises:
        UserError: If it is missing, of another shape, or no probabilities.
    """
    if "pred_score" not in sample:
        raise UserError("A sample has no pred_score: its head must be one of mmpretrain's classification heads.")
    scores = torch.as_tensor(sample["pred_score"]).detach().float().cpu().numpy()
    if scores.ndim != 1 or not len(scores):
        raise UserError(f"pred_score must be (C,), one score a class, got {scores.shape}.")
    if (scores < 0).any() or (scores > 1).any():
        raise UserError(
            f"pred_score must hold probabilities, got {scores}: the head's predict must end in a sigmoid or softmax."
        )
    return scores


def _multi_hot(sample: dict, num_classes: int) -> np.ndarray:
    """(C,) True = positive, from ``gt_score`` or the indices in ``gt_label``.

    Raises:
        UserError: If there are neither, or not those of C classes.
    """
    if "gt_score" in sample:
        labels = torch.as_tensor(sample["gt_score"]).cpu().numpy()
        if labels.shape != (num_classes,) or not np.isin(labels, (0, 1)).all():
            raise UserError(f"gt_score must be 0 or 1 for each of {num_classes} classes, got {labels}.")
        return labels.astype(bool)
    labels = np.zeros(num_classes, dtype=bool)
    labels[_indices(sample, num_classes)] = True
    return labels


def _class_index(sample: dict, num_classes: int) -> int:
    """The one index in ``gt_label``.

    Raises:
        UserError: If there is none, are several, or it is not that of a class.
    """
    indices = _indices(sample, num_classes)
    if len(indices) != 1:
        raise UserError(
            f"gt_label must be the index of one class, got {indices.tolist()}: set exclusive=True in the data set, "
            "or use the metrics of several labels."
        )
    return int(indices[0])


def _indices(sample: dict, num_classes: int) -> np.ndarray:
    if "gt_label" not in sample:
        raise UserError("A sample has no gt_label: the data set must be labeled and its pipeline pack the label.")
    indices = torch.as_tensor(sample["gt_label"]).long().reshape(-1).cpu().numpy()
    if len(indices) and not 0 <= indices.min() <= indices.max() < num_classes:
        raise UserError(
            f"gt_label {indices.tolist()} does not fit {num_classes} scores: "
            "num_classes of the head must be the number of classes of the data set."
        )
    return indices
