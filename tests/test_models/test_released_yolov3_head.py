"""The released detection loss against loops over boxes and cells."""

import math

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from mgca_mm.models.dense.released_yolov3_head import ReleasedYOLOV3Head

ANCHORS = [[(60, 50), (80, 100)], [(16, 30), (31, 20)], [(5, 7), (8, 15)]]
STRIDES = [32, 16, 8]
SIZE = 64


def make_head(num_classes=2):
    return ReleasedYOLOV3Head(
        num_classes=num_classes,
        in_channels=(4, 4, 4),
        out_channels=(4, 4, 4),
        anchor_generator=dict(type="mmdet.YOLOAnchorGenerator", base_sizes=ANCHORS, strides=STRIDES),
        bbox_coder=dict(type="mmdet.YOLOBBoxCoder"),
        loss_cls=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
        loss_conf=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
        loss_xy=dict(type="mmdet.CrossEntropyLoss", use_sigmoid=True),
        loss_wh=dict(type="mmdet.MSELoss"),
        norm_cfg=dict(type="BN"),
    )


def bce(logit, target):
    p = 1 / (1 + math.exp(-logit))
    return -target * math.log(p) - (1 - target) * math.log(1 - p)


def slow_level(pred, anchors, stride, images, num_classes):
    """The docstring's four formulas, cell by cell."""
    batch, _, height, width = pred.shape
    responsible, left_out = {}, set()
    for b, boxes in enumerate(images):
        for (x1, y1, x2, y2), label in boxes:
            w, h, cx, cy = x2 - x1, y2 - y1, (x1 + x2) / 2 / stride, (y1 + y2) / 2 / stride
            i, j = min(int(cy), height - 1), min(int(cx), width - 1)
            overlaps = []
            for aw, ah in anchors:
                inter = min(w, aw) * min(h, ah)
                overlaps.append(inter / (w * h + aw * ah - inter))
            best = overlaps.index(max(overlaps))
            left_out |= {(b, a, i, j) for a, overlap in enumerate(overlaps) if overlap > 0.5}
            responsible[b, best, i, j] = (
                cx - j,
                cy - i,
                math.log(w / anchors[best][0]),
                math.log(h / anchors[best][1]),
                label,
            )
    n = batch * len(anchors) * height * width
    xy = wh = conf = cls = 0.0
    for b in range(batch):
        for a in range(len(anchors)):
            for i in range(height):
                for j in range(width):
                    start = a * (5 + num_classes)
                    t = pred[b, start : start + 5 + num_classes, i, j].tolist()
                    if (b, a, i, j) in responsible:
                        dx, dy, lw, lh, label = responsible[b, a, i, j]
                        xy += bce(t[0], dx) + bce(t[1], dy)
                        wh += (t[2] - lw) ** 2 + (t[3] - lh) ** 2
                        conf += bce(t[4], 1)
                        cls += sum(bce(t[5 + c], float(c == label)) for c in range(num_classes))
                    elif (b, a, i, j) not in left_out:
                        conf += 0.5 * bce(t[4], 0)
    return 2.5 * xy / n, 2.5 * wh / n, conf / n, cls / max(1, len(responsible) * num_classes)


def random_boxes(generator, count, num_classes):
    corner = torch.rand(count, 2, generator=generator) * 40
    size = torch.rand(count, 2, generator=generator) * 30 + 2
    boxes = torch.cat([corner, (corner + size).clamp(max=SIZE)], dim=1)
    return InstanceData(bboxes=boxes, labels=torch.randint(num_classes, (count,), generator=generator))


@pytest.mark.parametrize("counts", [(1, 2), (0, 3), (0, 0), (4, 1)])
@pytest.mark.parametrize("num_classes", [1, 2])
def test_loss_equals_a_loop(counts, num_classes):
    generator = torch.Generator().manual_seed(sum(counts) + num_classes)
    head = make_head(num_classes)
    channels = 2 * (5 + num_classes)
    maps = [torch.randn(2, channels, SIZE // s, SIZE // s, generator=generator, dtype=torch.float64) for s in STRIDES]
    instances = [random_boxes(generator, count, num_classes) for count in counts]
    losses = head.loss_by_feat(maps, instances, [{}, {}])
    images = [list(zip(i.bboxes.double().tolist(), i.labels.tolist(), strict=True)) for i in instances]
    for level, (pred, anchors, stride) in enumerate(zip(maps, ANCHORS, STRIDES, strict=True)):
        expected = slow_level(pred, anchors, stride, images, num_classes)
        found = [float(losses[key][level]) for key in ("loss_xy", "loss_wh", "loss_conf", "loss_cls")]
        assert found == pytest.approx(expected, rel=1e-10)


def test_a_center_on_the_edge_of_the_image():
    head = make_head()
    maps = [torch.randn(1, 14, SIZE // s, SIZE // s, requires_grad=True) for s in STRIDES]
    box = torch.tensor([[SIZE - 4.0, SIZE - 4.0, SIZE + 4.0, SIZE + 4.0]])
    instances = [InstanceData(bboxes=box, labels=torch.tensor([1]))]
    losses = head.loss_by_feat(maps, instances, [{}])
    sum(sum(values) for values in losses.values()).backward()
    assert all(torch.isfinite(pred.grad).all() for pred in maps)


def test_the_loss_leads_to_the_boxes():
    """What minimizes it is what the head predicts as these boxes."""
    head = make_head(1)
    box = torch.tensor([[10.0, 12.0, 40.0, 50.0]])
    maps = [torch.zeros(1, 12, SIZE // s, SIZE // s, requires_grad=True) for s in STRIDES]
    optimizer = torch.optim.Adam(maps, lr=0.1)
    for _ in range(800):
        optimizer.zero_grad()
        losses = head.loss_by_feat(maps, [InstanceData(bboxes=box, labels=torch.tensor([0]))], [{}])
        sum(sum(values) for values in losses.values()).backward()
        optimizer.step()
    settings = ConfigDict(
        nms_pre=100, score_thr=0.05, conf_thr=0.005, nms=dict(type="nms", iou_threshold=0.45), max_per_img=10
    )
    meta = dict(scale_factor=(1.0, 1.0), img_shape=(SIZE, SIZE))
    (found,) = head.predict_by_feat([pred.detach().clone() for pred in maps], [meta], cfg=settings)
    assert torch.allclose(found.bboxes[0], box[0], atol=1.0) and found.scores[0] > 0.5
