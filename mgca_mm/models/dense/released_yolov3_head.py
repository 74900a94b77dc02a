"""The released code's loss for YOLOv3.

It needs mmdet, so the package does not import it; a config names this module.
"""

import torch
from mmdet.models.dense_heads import YOLOV3Head
from torch import Tensor
from torch.nn import functional as F

from mgca_mm.registry import MODELS

_WEIGHT_XY = _WEIGHT_WH = 2.5
_WEIGHT_BACKGROUND = 0.5
_IGNORED_IOU = 0.5


@MODELS.register_module()
class ReleasedYOLOV3Head(YOLOV3Head):
    """mmdet's YOLOv3 head, trained with the loss of the widespread PyTorch port that the authors' detector builds on.

    At every level the anchor with the most similar shape in the cell of a box's center is responsible for it, so that
    each box is learned three times; the other anchors of that cell with a shape IoU above 0.5 are left out. With N the
    number of anchors in all cells of a batch at a level, P the responsible ones and E those neither responsible nor
    left out::

        xy    2.5 / N · Σ_P BCE(σ(t_xy), offset of the center in its cell)
        wh    2.5 / N · Σ_P (t_wh − log(size / anchor size))²
        conf  1 / N · (Σ_P BCE(σ(t_o), 1) + 0.5 · Σ_E BCE(σ(t_o), 0))
        cls   mean over P and the classes of BCE(σ(t_c), one-hot class), 0 without a box

    mmdet's own head chooses one anchor among all levels and sums instead of averaging. The arguments are those of
    ``mmdet.YOLOV3Head``; its ``loss_*`` and the assigner take no part. Written from the formulas above.
    """

    def loss_by_feat(
        self, pred_maps: tuple[Tensor, ...], batch_gt_instances: list, batch_img_metas: list, *_
    ) -> dict[str, list[Tensor]]:
        """Losses at each level.

        Args:
            pred_maps: (B, A · (5 + classes), H, W) for each level, raw.
            batch_gt_instances: ``bboxes`` (n, 4) in pixels and ``labels`` (n,) of each image.
            batch_img_metas: Unused.
            *_: Boxes to ignore, of which the data sets have none.

        Returns:
            ``loss_xy``, ``loss_wh``, ``loss_conf`` and ``loss_cls``, a scalar a level.
        """
        device = pred_maps[0].device
        counts = torch.tensor([len(instances.labels) for instances in batch_gt_instances], device=device)
        image = torch.arange(len(counts), device=device).repeat_interleave(counts)  # (n,)
        boxes = torch.cat([instances.bboxes for instances in batch_gt_instances])  # (n, 4)
        labels = torch.cat([instances.labels for instances in batch_gt_instances])  # (n,)
        levels = zip(pred_maps, self.prior_generator.base_sizes, self.featmap_strides, strict=True)
        losses = [self._level_losses(*level, image, boxes, labels) for level in levels]
        return {key: [level[key] for level in losses] for key in losses[0]}

    def _level_losses(
        self, pred: Tensor, anchors: list, stride: int, image: Tensor, boxes: Tensor, labels: Tensor
    ) -> dict[str, Tensor]:
        """Losses at one level, for the boxes of all images of the batch."""
        pred = pred.to(torch.promote_types(pred.dtype, torch.float32))
        height, width = pred.shape[-2:]
        pred = pred.unflatten(1, (len(anchors), self.num_attrib)).permute(0, 1, 3, 4, 2)  # (B, A, H, W, 5 + classes)
        boxes, anchors = boxes.to(pred.dtype), pred.new_tensor(anchors)
        size = boxes[:, 2:] - boxes[:, :2]  # (n, 2)
        center = (boxes[:, :2] + boxes[:, 2:]) / 2 / stride  # (n, 2)
        cell = center.floor().clamp(min=0).minimum(center.new_tensor([width - 1, height - 1]))
        column, row = cell.long().unbind(1)

        overlap = torch.minimum(size[:, None], anchors).prod(-1)  # (n, A)
        iou = overlap / (size.prod(-1)[:, None] + anchors.prod(-1) - overlap)
        best = iou.argmax(1)  # (n,)
        positive = torch.zeros(pred.shape[:-1], dtype=torch.bool, device=pred.device)  # (B, A, H, W)
        positive[image, best, row, column] = True
        ignored = torch.zeros_like(positive)
        box, anchor = (iou > _IGNORED_IOU).nonzero(as_tuple=True)
        ignored[image[box], anchor, row[box], column[box]] = True
        background = ~(positive | ignored)

        target = torch.zeros_like(pred)
        one_hot = F.one_hot(labels, self.num_classes).to(pred.dtype)
        encoded = torch.cat([center - cell, (size / anchors[best]).log(), torch.ones_like(size[:, :1]), one_hot], dim=1)
        target[image, best, row, column] = encoded
        found, wanted = pred[positive], target[positive]  # (P, 5 + classes)

        count = positive.numel()
        empty = pred[background][:, 4]
        confidence = _bce(found[:, 4], wanted[:, 4]) + _WEIGHT_BACKGROUND * _bce(empty, torch.zeros_like(empty))
        return {
            "loss_xy": _WEIGHT_XY * _bce(found[:, :2], wanted[:, :2]) / count,
            "loss_wh": _WEIGHT_WH * F.mse_loss(found[:, 2:4], wanted[:, 2:4], reduction="sum") / count,
            "loss_conf": confidence / count,
            "loss_cls": _bce(found[:, 5:], wanted[:, 5:]) / max(1, wanted[:, 5:].numel()),
        }


def _bce(logits: Tensor, target: Tensor) -> Tensor:
    """Summed binary cross-entropy of logits."""
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum")
