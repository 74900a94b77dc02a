"""The loss of masks over a validation set."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric

from mgca_mm.distributed import gather_samples
from mgca_mm.registry import METRICS, MODELS


@METRICS.register_module()
class SegmentationLoss(BaseMetric):
    """``loss``: the training's loss of the predictions, each batch's weighted by its images, for early stopping.

    Dice is that of a batch, and the batch that of all ranks together (:func:`mgca_mm.distributed.gather_samples`): the
    value belongs to ranks × batch of the loader. Samples are told apart by ``img_path``, of mmseg's ``PackSegInputs``.

    Each sample needs ``gt_sem_seg`` (1, H, W) and ``seg_logits``: (1, H, W), in which mmseg hands out probabilities, or
    (K, H, W) of more than two classes, which are logits.

    Args:
        loss: Config of the loss.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "seg"

    def __init__(self, loss: dict | None = None, **kwargs):
        super().__init__(**kwargs)
        self.loss = MODELS.build(loss or dict(type="mgca_mm.FocalLogDiceLoss"))

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Compute the loss of the batch of all ranks."""
        scores = torch.stack([sample["seg_logits"]["data"] for sample in data_samples]).float()
        target = torch.stack([sample["gt_sem_seg"]["data"][0] for sample in data_samples])
        names = [sample.get("img_path") for sample in data_samples]
        scores, target = gather_samples((scores, target.to(scores.device)), names)
        losses = self.loss(torch.logit(scores[:, 0], eps=1e-6) if scores.shape[1] == 1 else scores, target)
        # Once for each image, so that an image which fills up the last batch is cut off with its result.
        self.results += [float(sum(losses.values()))] * len(data_samples)

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """Average over the images."""
        return {"loss": sum(results) / len(results)}
