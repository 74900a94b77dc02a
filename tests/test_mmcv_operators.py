"""The stand-in for mmcv's operators, through ``mmcv.ops``, against its formulas written out as loops."""

import math

import pytest
import torch

GENERATOR = torch.Generator()


@pytest.fixture(autouse=True)
def seeded():
    GENERATOR.manual_seed(0)


def rand(*shape):
    return torch.rand(*shape, generator=GENERATOR, dtype=torch.float64)


def boxes_of(count, size=50.0, longest=20.0):
    corner = rand(count, 2) * size
    return torch.cat([corner, corner + 1 + rand(count, 2) * longest], dim=1)


def iou(a, b, offset):
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    inter = max(width, 0) * max(height, 0)
    return inter / (sum((box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)) - inter)


@pytest.mark.parametrize("offset", [0, 1])
def test_nms(offset):
    from mmcv.ops import nms

    boxes, scores = boxes_of(200), rand(200)
    kept = []
    for i in scores.argsort(descending=True).tolist():
        if all(iou(boxes[i].tolist(), boxes[j].tolist(), offset) <= 0.4 for j in kept):
            kept.append(i)
    assert nms(boxes, scores, 0.4, offset=offset)[1].tolist() == kept


def test_batched_nms_keeps_classes_apart():
    from mmcv.ops import batched_nms

    boxes = boxes_of(1).repeat(4, 1).float()
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    kept = batched_nms(boxes, scores, torch.tensor([0, 0, 1, 1]), dict(type="nms", iou_threshold=0.5))[1]
    assert kept.tolist() == [0, 2]


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("method", ["naive", "linear", "gaussian"])
def test_soft_nms(method, offset):
    from mmcv.ops import soft_nms

    boxes, scores = boxes_of(60), rand(60)
    rest, wanted = {i: float(score) for i, score in enumerate(scores)}, []
    while rest:
        best = max(rest, key=rest.get)
        wanted.append((best, rest.pop(best)))
        for i in list(rest):
            overlap = iou(boxes[best].tolist(), boxes[i].tolist(), offset)
            if method == "gaussian":
                rest[i] *= math.exp(-(overlap**2) / 0.5)
            elif overlap >= 0.3:
                rest[i] *= 0 if method == "naive" else 1 - overlap
            if rest[i] < 0.1:
                del rest[i]
    dets, kept = soft_nms(boxes, scores, 0.3, sigma=0.5, min_score=0.1, method=method, offset=offset)
    assert kept.tolist() == [i for i, _ in wanted] and len(wanted) < 60
    torch.testing.assert_close(dets[:, 4], torch.tensor([score for _, score in wanted], dtype=torch.float64))
    torch.testing.assert_close(dets[:, :4], boxes[kept])


def test_soft_nms_of_nothing():
    from mmcv.ops import soft_nms

    dets, kept = soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and len(kept) == 0


def bilinear(plane, y, x):
    """Value of a plane at a point; 0 beyond a pixel outside, the border's until there."""
    height, width = len(plane), len(plane[0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    top = plane[y0][x0] * (1 - (x - x0)) + plane[y0][x1] * (x - x0)
    bottom = plane[y1][x0] * (1 - (x - x0)) + plane[y1][x1] * (x - x0)
    return top * (1 - (y - y0)) + bottom * (y - y0)


def rois_of(count, images=2, size=40.0, longest=30.0):
    image = torch.randint(images, (count, 1), generator=GENERATOR).double()
    return torch.cat([image, boxes_of(count, size, longest)], dim=1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("sampling_ratio", [0, 2])
def test_roi_align(sampling_ratio, aligned):
    from mmcv.ops import roi_align

    maps, rois = rand(2, 3, 9, 11).requires_grad_(), rois_of(5)
    found = roi_align(maps, rois, (2, 3), 0.25, sampling_ratio, "avg", aligned)
    for k, (image, *corners) in enumerate(rois.tolist()):
        left, top, right, bottom = (value * 0.25 - (0.5 if aligned else 0) for value in corners)
        height, width = bottom - top, right - left
        if not aligned:
            height, width = max(height, 1), max(width, 1)
        rows, columns = sampling_ratio or math.ceil(height / 2), sampling_ratio or math.ceil(width / 3)
        for c in range(3):
            plane = maps[int(image), c].tolist()
            for i in range(2):
                for j in range(3):
                    values = [
                        bilinear(
                            plane,
                            top + (i + (a + 0.5) / rows) * height / 2,
                            left + (j + (b + 0.5) / columns) * width / 3,
                        )
                        for a in range(rows)
                        for b in range(columns)
                    ]
                    assert found[k, c, i, j].item() == pytest.approx(sum(values) / len(values), abs=1e-9)
    assert torch.autograd.gradcheck(lambda x: roi_align(x, rois, (2, 3), 0.25, sampling_ratio, "avg", aligned), maps)


def test_roi_pool():
    from mmcv.ops import roi_pool

    maps, rois = rand(2, 3, 9, 11).requires_grad_(), rois_of(5)
    rois[4, 1:] = torch.tensor([60.0, 60, 50, 50])  # no box
    found = roi_pool(maps, rois, (2, 3), 0.25)
    for k, (image, *corners) in enumerate(rois.tolist()):
        left, top, right, bottom = corners[0] / 4, corners[1] / 4, (corners[2] + 1) / 4, (corners[3] + 1) / 4
        for i in range(2):
            for j in range(3):
                y0, y1 = math.floor(top + i * (bottom - top) / 2), math.ceil(top + (i + 1) * (bottom - top) / 2)
                x0, x1 = math.floor(left + j * (right - left) / 3), math.ceil(left + (j + 1) * (right - left) / 3)
                region = maps[int(image), :, max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)].flatten(1)
                wanted = region.amax(1) if region.numel() else torch.zeros(3)
                torch.testing.assert_close(found[k, :, i, j], wanted.double())
    assert torch.autograd.gradcheck(lambda x: roi_pool(x, rois, (2, 3), 0.25), maps)


@pytest.mark.parametrize("weighted", [False, True])
def test_sigmoid_focal_loss(weighted):
    from mmcv.ops import sigmoid_focal_loss

    logits, targets = (rand(6, 3) * 8 - 4).requires_grad_(), torch.tensor([0, 1, 2, 2, 1, 0 if weighted else 3])
    weight = rand(3) if weighted else None
    found = sigmoid_focal_loss(logits, targets, 2.0, 0.25, weight, "none")
    for n, target in enumerate(targets.tolist()):
        for c in range(3):
            p = 1 / (1 + math.exp(-logits[n, c].item()))
            loss = -0.25 * (1 - p) ** 2 * math.log(p) if c == target else -0.75 * p**2 * math.log(1 - p)
            assert found[n, c].item() == pytest.approx(loss * (weight[target].item() if weighted else 1), rel=1e-9)
    assert torch.autograd.gradcheck(lambda x: sigmoid_focal_loss(x, targets, 2.0, 0.25, weight, "mean"), logits)


def zero_outside(plane, y, x):
    height, width = len(plane), len(plane[0])
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < height and 0 <= column < width:
                total += plane[row][column] * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize("modulated", [False, True])
def test_deformable_convolution(modulated):
    from mmcv.ops import deform_conv2d, modulated_deform_conv2d

    groups, offset_groups, stride, padding, dilation = 2, 2, 2, 1, 2
    maps, weight, bias = rand(2, 4, 6, 7), rand(6, 2, 3, 2), rand(6)
    height, width = (6 + 2 - 2 * 2 - 1) // 2 + 1, (7 + 2 - 2 * 1 - 1) // 2 + 1
    offset = rand(2, offset_groups * 2 * 6, height, width) * 3 - 1.5
    mask = rand(2, offset_groups * 6, height, width) if modulated else torch.ones(2, offset_groups * 6, height, width)
    settings = (stride, padding, dilation, groups, offset_groups)

    def run(*tensors):
        return modulated_deform_conv2d(*tensors, *settings) if modulated else deform_conv2d(*tensors, *settings)

    given = (maps, offset, mask, weight, bias) if modulated else (maps, offset, weight)
    found = run(*given)
    for n in range(2):
        planes = [plane.tolist() for plane in maps[n]]
        for out in range(6):
            for i in range(height):
                for j in range(width):
                    total = bias[out].item() if modulated else 0.0
                    for channel in range(2):
                        source = (out // 3) * 2 + channel
                        group = source // 2
                        for tap in range(6):
                            at = group * 12 + tap * 2
                            y = i * stride - padding + (tap // 2) * dilation + offset[n, at, i, j].item()
                            x = j * stride - padding + (tap % 2) * dilation + offset[n, at + 1, i, j].item()
                            value = zero_outside(planes[source], y, x) * mask[n, group * 6 + tap, i, j].item()
                            total += value * weight[out, channel, tap // 2, tap % 2].item()
                    assert found[n, out, i, j].item() == pytest.approx(total, abs=1e-9)
    given = [tensor.requires_grad_() for tensor in given]
    assert torch.autograd.gradcheck(run, given)


def test_deformable_attention():
    from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction

    shapes = torch.tensor([[4, 5], [2, 3]])
    value = rand(2, 26, 2, 3).requires_grad_()
    locations = (rand(2, 3, 2, 2, 2, 2) * 1.2 - 0.1).requires_grad_()
    weights = rand(2, 3, 2, 2, 2).requires_grad_()
    start = torch.tensor([0, 20])

    def run(*tensors):
        return MultiScaleDeformableAttnFunction.apply(tensors[0], shapes, start, *tensors[1:], 64)

    found = run(value, locations, weights)
    for n in range(2):
        for query in range(3):
            for head in range(2):
                total = torch.zeros(3, dtype=torch.float64)
                for level, (height, width) in enumerate(shapes.tolist()):
                    part = value[n, start[level] : start[level] + height * width, head].T.reshape(3, height, width)
                    for point in range(2):
                        x, y = locations[n, query, head, level, point].tolist()
                        sampled = [
                            zero_outside(plane, y * height - 0.5, x * width - 0.5) for plane in part.detach().tolist()
                        ]
                        total += weights[n, query, head, level, point].item() * torch.tensor(sampled).double()
                torch.testing.assert_close(found[n, query, head * 3 : head * 3 + 3].detach(), total)
    assert torch.autograd.gradcheck(run, (value, locations, weights))


def test_other_operators_name_the_full_build():
    import mmcv._ext as ext

    if ext.__file__.endswith(".so"):
        pytest.skip("mmcv was built with its operators")
    with pytest.raises(NotImplementedError, match=r"carafe_forward.*MMCV_WITH_OPS=1"):
        ext.carafe_forward()
