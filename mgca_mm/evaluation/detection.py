"""Average precision of detectors (docs/protocol.md#detection) on the data samples of mmdet."""

import logging
from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from torch import Tensor

from mgca_mm.errors import UserError
from mgca_mm.registry import METRICS

# COCO's. Those of torchmetrics are rounded to float32, so that a recall of exactly 3/5 misses its own threshold.
_RECALL_THRESHOLDS = np.linspace(0, 1, 101).tolist()
# Detections below do not exist for the released evaluation.
_RELEASED_CONFIDENCE = 0.5


@METRICS.register_module()
class DetectionMAP(BaseMetric):
    """Mean average precision over IoU thresholds and classes, in percent, as pycocotools has it.

    * ``mAP``: over all images, those without boxes included, at most 100 detections an image. 0 where nothing is
      detected; NaN, with a word in the log, where the images hold no box at all. The key is always there, whereas
      mmdet's ``CocoMetric`` returns none when nothing is detected, and saving the best checkpoint fails.
    * ``mAP_released``: the evaluation of the released code: detections with a confidence of 0.5 or more only, on the
      images that have both boxes and such detections only; 0 where there are none. It flatters: false alarms on healthy
      images and images without a confident detection do not count.

    Each sample needs ``pred_instances`` with ``bboxes``, ``scores`` and ``labels``, which mmdet's detectors rescale to
    the original image, and ``gt_instances`` with ``bboxes`` (a tensor or mmdet's ``HorizontalBoxes``) and ``labels`` in
    pixels of the original image too. They are so where ``LoadAnnotations`` stands *after* ``Resize`` in the test
    pipeline, as in mmdet's own configs; before it, the true boxes would be resized and the result wrong.
    ``ignored_instances`` (COCO's crowds) must be empty: none of the data sets has any.

    Args:
        iou_thresholds: Averaged over; by default 0.40 : 0.05 : 0.75 (the paper's list prints 0.65 twice).
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "det"

    def __init__(self, iou_thresholds: Sequence[float] = (0.40, 0.45, 0.50, 0.55, 0.60, 0.65, 0.70, 0.75), **kwargs):
        super().__init__(**kwargs)
        if not iou_thresholds or not all(0 < threshold <= 1 for threshold in iou_thresholds):
            raise ValueError(f"iou_thresholds must lie in (0, 1], got {iou_thresholds}")
        self.iou_thresholds = [float(threshold) for threshold in iou_thresholds]

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the detections and the true boxes of each image of a batch, as torchmetrics wants them.

        Raises:
            UserError: If a sample has no true boxes, boxes to ignore, or boxes, scores and labels that do not match.
        """
        for sample in data_samples:
            if "bboxes" not in sample.get("gt_instances", {}):
                raise UserError(
                    "A sample has no gt_instances: put dict(type='LoadAnnotations', with_bbox=True) after Resize in "
                    "the test pipeline."
                )
            if len(sample.get("ignored_instances", {}).get("labels", ())):
                raise UserError("A sample has boxes to ignore (iscrowd), which DetectionMAP cannot: remove them.")
            found = _instances(sample["pred_instances"], "pred_instances", ("scores", "labels"))
            self.results.append((found, _instances(sample["gt_instances"], "gt_instances", ("labels",))))

    def compute_metrics(self, results: list[tuple[dict[str, Tensor], dict[str, Tensor]]]) -> dict[str, float]:
        """Evaluate in both ways."""
        if any(len(true["boxes"]) for _, true in results):
            mean_ap = self._mean_average_precision(results)
        else:
            print_log("mAP is not a number: no image has a box", logger="current", level=logging.WARNING)
            mean_ap = float("nan")
        confident = [(_confident(found), true) for found, true in results]
        confident = [(found, true) for found, true in confident if len(found["boxes"]) and len(true["boxes"])]
        return {"mAP": mean_ap, "mAP_released": self._mean_average_precision(confident) if confident else 0.0}

    def _mean_average_precision(self, results: list[tuple[dict[str, Tensor], dict[str, Tensor]]]) -> float:
        # Here, because importing torchmetrics takes seconds.
        from torchmetrics.detection import MeanAveragePrecision

        metric = MeanAveragePrecision(
            iou_thresholds=self.iou_thresholds,
            rec_thresholds=_RECALL_THRESHOLDS,
            # MMEngine has gathered the results on one rank; synchronizing again would wait for the others forever.
            sync_on_compute=False,
        )
        metric.warn_on_many_detections = False
        metric.update(*map(list, zip(*results, strict=True)))
        return metric.compute()["map"].item() * 100


def _confident(found: dict[str, Tensor]) -> dict[str, Tensor]:
    keep = found["scores"] >= _RELEASED_CONFIDENCE
    return {name: values[keep] for name, values in found.items()}


def _instances(instances: dict, name: str, fields: Sequence[str]) -> dict[str, Tensor]:
    """``boxes`` (n, 4) and the fields (n,) of a sample's instances.

    Raises:
        UserError: If the shapes are others.
    """
    # mmdet's HorizontalBoxes, told apart without importing mmdet.
    boxes = getattr(instances["bboxes"], "tensor", instances["bboxes"])
    values = {"boxes": boxes.float(), **{field: instances[field] for field in fields}}
    shapes = {field: tuple(value.shape) for field, value in values.items()}
    if shapes != {"boxes": (len(boxes), 4), **dict.fromkeys(fields, (len(boxes),))}:
        raise UserError(f"{name} must have boxes (n, 4) and {', '.join(fields)} (n,), got {shapes}.")
    return {field: value.detach().cpu() for field, value in values.items()}
