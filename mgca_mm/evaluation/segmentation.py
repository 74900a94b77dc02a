"""Per-image Dice (docs/protocol.md#segmentation) on the data samples of mmseg."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mgca_mm.errors import UserError
from mgca_mm.registry import METRICS

_IGNORED = 255


@METRICS.register_module()
class PerImageDice(BaseMetric):
    """Dice of the foreground of each image, 2 |A ∩ B| / (|A| + |B|), averaged over images, in percent.

    * ``dice``: over all images; an empty mask scores 1 if the prediction is empty, otherwise 0.
    * ``dice_positive``: over the images with foreground; NaN, with a word in the log, where there are none.

    Of more than two classes (``classes`` of the data set's metainfo, the background first) both are the mean over the
    classes but the background, each of which is the foreground in its turn, and ``dice_NAME`` is that of one class; a
    class that no image has is left out of ``dice_positive``.

    mmseg's ``mDice`` pools the pixels of all images instead, and so hardly notices a miss of something small.

    Each sample needs ``gt_sem_seg`` (1, H, W) of classes, with 255 for pixels that do not count, and as prediction

    * ``seg_logits`` (1, H, W), where the head has one channel. In spite of their name they are the *probabilities* into
      which mmseg's ``postprocess_result`` turns the logits of one channel; ``threshold`` replaces the head's own;
    * else ``pred_sem_seg`` (1, H, W) of classes.

    mmseg resizes predictions to the original image, so ``LoadAnnotations`` must stand after ``Resize`` in the test
    pipeline, as in mmseg's own configs.

    Args:
        threshold: Probability above which a pixel is foreground.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "seg"

    def __init__(self, threshold: float = 0.5, **kwargs):
        super().__init__(**kwargs)
        if not 0 < threshold < 1:
            raise ValueError(f"threshold must be a probability between 0 and 1, got {threshold}")
        self.threshold = threshold

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the Dice of each class and image of a batch, and whether the image has the class."""
        num_classes = len(self._class_names()) + 1
        for sample in data_samples:
            predicted = self._prediction(sample, num_classes)
            mask = _mask(sample, num_classes).to(predicted.device)
            if mask.shape != predicted.shape:
                raise UserError(
                    f"A mask of {tuple(mask.shape)} for a prediction of {tuple(predicted.shape)}: put LoadAnnotations "
                    "after Resize in the test pipeline."
                )
            counts = mask != _IGNORED
            dice, has_class = [], []
            for label in range(1, num_classes):
                # A prediction that is not a number stays one, so that an empty mask does not make it look right.
                found = (predicted == label).float().masked_fill(predicted.isnan(), torch.nan) * counts
                foreground = mask == label
                total = foreground.sum() + found.sum()
                dice.append((2 * (found * foreground).sum() / total).item() if total != 0 else 1.0)
                has_class.append(foreground.any().item())
            self.results.append((dice, has_class))

    def _class_names(self) -> list[str]:
        """Names of the classes but the background."""
        classes = (self.dataset_meta or {}).get("classes") or ("background", "foreground")
        return list(classes[1:]) or ["foreground"]

    def _prediction(self, sample: dict, num_classes: int) -> Tensor:
        """(H, W) float: the class, 0 background, NaN where the score is not a number.

        Raises:
            UserError: If it is missing, of another shape, or neither probabilities nor a map of the classes.
        """
        if "seg_logits" in sample and len(sample["seg_logits"]["data"]) == 1:
            probability = _plane(sample, "seg_logits").float()
            if (probability < 0).any() or (probability > 1).any():
                raise UserError(
                    "seg_logits of one channel must be probabilities, as mmseg's postprocess_result leaves them: "
                    "apply the sigmoid in the segmentor."
                )
            return (probability > self.threshold).float().masked_fill(probability.isnan(), torch.nan)
        if "pred_sem_seg" not in sample:
            raise UserError("A sample has neither seg_logits of one channel nor pred_sem_seg.")
        predicted = _plane(sample, "pred_sem_seg").float()
        if not torch.isin(predicted, torch.arange(num_classes, device=predicted.device)).all():
            raise UserError(f"pred_sem_seg must be a map of {num_classes} classes, 0 the background.")
        if "seg_logits" in sample:
            predicted = predicted.masked_fill(sample["seg_logits"]["data"].isnan().any(dim=0), torch.nan)
        return predicted

    def compute_metrics(self, results: list[tuple[list[float], list[bool]]]) -> dict[str, float]:
        """Average Dice over all images and over those with foreground."""
        dice, has_class = (np.array(column) for column in zip(*results, strict=True))  # (N, classes) each
        if has_class.any():
            kept = zip(dice.T, has_class.T, strict=True)
            positive = float(np.mean([column[has].mean() for column, has in kept if has.any()])) * 100
        else:
            print_log("dice_positive is not a number: no image has foreground", logger="current", level=logging.WARNING)
            positive = float("nan")
        names = self._class_names()
        per_class = {f"dice_{name}": float(column.mean()) * 100 for name, column in zip(names, dice.T, strict=True)}
        return (per_class if len(names) > 1 else {}) | {"dice": float(dice.mean()) * 100, "dice_positive": positive}


def _mask(sample: dict, num_classes: int) -> Tensor:
    if "gt_sem_seg" not in sample:
        raise UserError("A sample has no gt_sem_seg: put dict(type='LoadAnnotations') after Resize in the pipeline.")
    mask = _plane(sample, "gt_sem_seg")
    if not torch.isin(mask, torch.tensor([*range(num_classes), _IGNORED], device=mask.device)).all():
        known = "0 (background), 1 (foreground)" if num_classes == 2 else f"0 to {num_classes - 1}"
        raise UserError(f"A mask must hold {known} and 255 (not counted) only.")
    return mask


def _plane(sample: dict, key: str) -> Tensor:
    """(H, W) of a sample's (1, H, W)."""
    data = sample[key]["data"]
    if data.ndim != 3 or len(data) != 1:
        raise UserError(f"{key} must be (1, H, W), got {tuple(data.shape)}.")
    return data[0]
