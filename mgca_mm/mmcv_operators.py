"""A stand-in for ``mmcv._ext``, the compiled operators of mmcv, by what torch and torchvision have.

Arguments, and tensors that are written to in place, are those of mmcv's own extension, which ``mmcv.ops`` calls. All
run where their tensors are, and every other operator says how to build mmcv's.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
import torchvision.ops
from torch import Tensor

_FULL_BUILD = (
    "it needs mmcv's compiled operators: install torch first, then "
    "`MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv`"
)


def __getattr__(name: str) -> Callable:
    if name.startswith("__"):
        raise AttributeError(name)

    def operator(*args, **kwargs):
        raise NotImplementedError(f"mmcv operator `{name}` is not available: {_FULL_BUILD}")

    return operator


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int = 0) -> Tensor:
    """Indices of the kept boxes (x1, y1, x2, y2), best score first.

    ``offset=1`` counts pixels inclusively (width = x2 - x1 + 1), which is the same as moving the far corner by one.
    """
    return torchvision.ops.nms(_moved(boxes, offset), scores, float(iou_threshold))


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS (Bodla et al., 2017): the boxes in the order of their lowered scores are written to ``dets`` (N, 5).

    ``method`` 0 drops what overlaps, 1 lowers its score by 1 - IoU, 2 by exp(-IoU² / sigma).

    Returns:
        Indices of the boxes, of which the first ``len(indices)`` rows of ``dets`` are filled.
    """
    moved, scores, kept = _moved(boxes, offset), scores.clone(), []
    rest = torch.arange(len(boxes), device=boxes.device)
    while len(rest):
        place = int(scores[rest].argmax())
        best = int(rest[place])
        dets[len(kept)] = torch.cat([boxes[best], scores[best, None]])
        kept.append(best)
        rest = torch.cat([rest[:place], rest[place + 1 :]])
        iou = torchvision.ops.box_iou(moved[best, None], moved[rest])[0]
        overlaps = iou >= iou_threshold
        weight = ((~overlaps).to(iou), torch.where(overlaps, 1 - iou, 1), torch.exp(-(iou**2) / sigma))[method]
        scores[rest] *= weight
        rest = rest[scores[rest] >= min_score]
    return torch.tensor(kept, dtype=torch.long, device=boxes.device)


def _moved(boxes: Tensor, offset: int) -> Tensor:
    return boxes + boxes.new_tensor([0, 0, offset, offset])


def roi_align_forward(
    input: Tensor, rois: Tensor, output: Tensor, argmax_y: Tensor, argmax_x: Tensor, pool_mode: int, **settings: Any
) -> None:
    """RoIAlign (He et al., 2017) of (N, C, H, W) in boxes (K, 5) of image index and corners."""
    if pool_mode == 0:
        raise NotImplementedError(f"RoIAlign by the maximum is not available: {_FULL_BUILD}")
    output.copy_(_roi_align(input, rois, **settings))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    pool_mode: int,
    **settings: Any,
) -> None:
    """Gradient of :func:`roi_align_forward`, which is linear in its input."""
    _add_gradients(lambda x: _roi_align(x, rois, **settings), [torch.zeros_like(grad_input)], grad_output, [grad_input])


def _roi_align(
    input: Tensor,
    rois: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    size = (aligned_height, aligned_width)
    return torchvision.ops.roi_align(input, rois.to(input), size, spatial_scale, sampling_ratio, aligned)


def roi_pool_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax: Tensor,
    pooled_height: int,
    pooled_width: int,
    spatial_scale: float,
) -> None:
    """RoIPool (Girshick, 2015) with mmcv's bins, from floor to ceiling, which overlap; torchvision rounds the boxes."""
    height, width = input.shape[-2:]
    rows = _bins(rois[:, 2], rois[:, 4], spatial_scale, pooled_height, height)
    columns = _bins(rois[:, 1], rois[:, 3], spatial_scale, pooled_width, width)
    argmax.fill_(-1)
    for k, image in enumerate(rois[:, 0].long().tolist()):
        for i, (top, bottom) in enumerate(rows[k]):
            for j, (left, right) in enumerate(columns[k]):
                if bottom > top and right > left:
                    values, places = input[image, :, top:bottom, left:right].flatten(1).max(1)
                    y, x = top + places // (right - left), left + places % (right - left)
                    output[k, :, i, j], argmax[k, :, i, j] = values, (y * width + x).int()


def _bins(start: Tensor, end: Tensor, scale: float, count: int, length: int) -> list[list[tuple[int, int]]]:
    """For each box the first pixel, and the one after the last, of each of its bins along one axis."""
    start, end = start * scale, (end + 1) * scale
    edges = torch.arange(count + 1, device=start.device) * ((end - start) / count)[:, None] + start[:, None]
    first, last = edges[:, :-1].floor(), edges[:, 1:].ceil()
    last = torch.where((end > start)[:, None], last, first)  # no box
    pairs = torch.stack([first, last], -1).clamp(0, length).long()
    return [[tuple(pair) for pair in box] for box in pairs.tolist()]


def roi_pool_backward(grad_output: Tensor, rois: Tensor, argmax: Tensor, grad_input: Tensor, **settings: Any) -> None:
    """Gradient of :func:`roi_pool_forward`: each value goes to where it came from."""
    channels, height, width = grad_input.shape[1:]
    plane = rois[:, 0].long()[:, None] * channels + torch.arange(channels, device=rois.device)
    place = plane[:, :, None, None] * (height * width) + argmax
    grad_input.view(-1).index_add_(0, place[argmax >= 0], grad_output[argmax >= 0])


def sigmoid_focal_loss_forward(
    input: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Focal loss (Lin et al., 2017) of logits (N, C); a target (N) of C is background. Weights are those of classes."""
    output.copy_(_sigmoid_focal_loss(input, target, weight, gamma, alpha))


def sigmoid_focal_loss_backward(
    input: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Gradient of :func:`sigmoid_focal_loss_forward` with respect to the logits, of the sum."""
    ones = torch.ones_like(input)
    _add_gradients(lambda x: _sigmoid_focal_loss(x, target, weight, gamma, alpha), [input], ones, [grad_input])


def _sigmoid_focal_loss(input: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    classes = input.shape[1]
    is_class = F.one_hot(target, classes + 1)[:, :classes].to(input)
    loss = torchvision.ops.sigmoid_focal_loss(input, is_class, alpha, gamma)
    return loss * weight[target][:, None] if weight.numel() else loss


def deform_conv_forward(
    input: Tensor, weight: Tensor, offset: Tensor, output: Tensor, *_: Tensor, **sizes: int
) -> None:
    """Deformable convolution (Dai et al., 2017)."""
    output.copy_(torchvision.ops.deform_conv2d(input, offset, weight, **_places(**sizes)))


def deform_conv_backward_input(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_input: Tensor,
    grad_offset: Tensor,
    weight: Tensor,
    columns: Tensor,
    **sizes: int,
) -> None:
    """Gradients of :func:`deform_conv_forward` with respect to the input and the offsets."""
    places = _places(**sizes)
    _add_gradients(
        lambda x, o: torchvision.ops.deform_conv2d(x, o, weight, **places),
        [input, offset],
        grad_output,
        [grad_input, grad_offset],
    )


def deform_conv_backward_parameters(
    input: Tensor,
    offset: Tensor,
    grad_output: Tensor,
    grad_weight: Tensor,
    *_: Tensor,
    scale: float = 1,
    **sizes: int,
) -> None:
    """Gradient of :func:`deform_conv_forward` with respect to the weight, times ``scale``."""
    places = _places(**sizes)
    _add_gradients(
        lambda w: torchvision.ops.deform_conv2d(input, offset, w, **places),
        [torch.zeros_like(grad_weight)],
        grad_output * scale,
        [grad_weight],
    )


def _places(
    dH: int, dW: int, padH: int, padW: int, dilationH: int, dilationW: int, **_: int
) -> dict[str, tuple[int, int]]:
    return dict(stride=(dH, dW), padding=(padH, padW), dilation=(dilationH, dilationW))


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    **sizes: int,
) -> None:
    """Modulated deformable convolution (Zhu et al., 2019); ``bias`` counts only ``with_bias``."""
    output.copy_(_modulated(input, offset, mask, weight, bias, **sizes))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    **sizes: int,
) -> None:
    """Gradients of :func:`modulated_deform_conv_forward`."""
    inputs, gradients = [input, offset, mask, weight], [grad_input, grad_offset, grad_mask, grad_weight]
    if sizes["with_bias"]:
        inputs, gradients = [*inputs, bias], [*gradients, grad_bias]
    _add_gradients(lambda *given: _modulated(*given, **sizes), inputs, grad_output, gradients)


def _modulated(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    with_bias: bool,
    **_: int,
) -> Tensor:
    places = dict(stride=(stride_h, stride_w), padding=(pad_h, pad_w), dilation=(dilation_h, dilation_w))
    kernel = zip(input.shape[2:], weight.shape[2:], *places.values(), strict=True)
    size = tuple((side + 2 * pad - gap * (taps - 1) - 1) // step + 1 for side, taps, step, pad, gap in kernel)
    if offset.shape[2:] != size:  # as DyHead has it, whose offsets are those of a larger map
        raise NotImplementedError(
            f"Deformable convolution with offsets of another size is not available: {_FULL_BUILD}"
        )
    return torchvision.ops.deform_conv2d(input, offset, weight, bias if with_bias else None, mask=mask, **places)


def ms_deform_attn_forward(
    value: Tensor, spatial_shapes: Tensor, level_start_index: Tensor, locations: Tensor, weights: Tensor, **_: int
) -> Tensor:
    """Deformable attention over several scales (Zhu et al., 2021) by mmcv's own PyTorch code, which it has for CPUs."""
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    return multi_scale_deformable_attn_pytorch(value, spatial_shapes, locations, weights)


def ms_deform_attn_backward(
    value: Tensor,
    spatial_shapes: Tensor,
    level_start_index: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    **_: int,
) -> None:
    """Gradients of :func:`ms_deform_attn_forward`."""
    _add_gradients(
        lambda v, at, w: ms_deform_attn_forward(v, spatial_shapes, level_start_index, at, w),
        [value, locations, weights],
        grad_output,
        [grad_value, grad_locations, grad_weights],
    )


def _add_gradients(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], grad_output: Tensor, gradients: Sequence[Tensor]
) -> None:
    """Add the gradients of a function with respect to its inputs to tensors that are there."""
    with torch.enable_grad():
        inputs = [tensor.detach().requires_grad_() for tensor in inputs]
        found = torch.autograd.grad(function(*inputs), inputs, grad_output)
    for gradient, value in zip(gradients, found, strict=True):
        gradient += value
