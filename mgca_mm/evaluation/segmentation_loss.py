"""The loss of binary masks over a validation set."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from mgca_mm.registry import METRICS, MODELS


@METRICS.register_module()
class SegmentationLoss(BaseMetric):
    """``loss``: the training's loss of the predictions, each batch's weighted by its images, for early stopping.

    Each sample needs ``gt_sem_seg`` (1, H, W) and ``seg_logits`` (1, H, W), in which mmseg hands out probabilities.

    Args:
        loss: Config of the loss.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "seg"

    def __init__(self, loss: dict | None = None, **kwargs):
        super().__init__(**kwargs)
        self.loss = MODELS.build(loss or dict(type="mgca_mm.FocalLogDiceLoss"))

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compute the loss of a batch."""
        probabilities = torch.stack([sample["seg_logits"]["data"][0] for sample in data_samples]).float()
        target = torch.stack([sample["gt_sem_seg"]["data"][0] for sample in data_samples])
        losses = self.loss(torch.logit(probabilities, eps=1e-6), target.to(probabilities.device))
        self.results.append((len(data_samples), float(sum(losses.values()))))

    def compute_metrics(self, results: list[tuple[int, float]]) -> dict[str, float]:
        """Average over the images."""
        total = sum(count for count, _ in results)
        return {"loss": sum(count * loss for count, loss in results) / total}
