"""Decoders around an image encoder, and their loss against a loop over pixels."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS

from mgca_mm.datasets.transforms import RandomScaleRotate
from mgca_mm.models import CrossEntropyDiceLoss, FocalLogDiceLoss
from mgca_mm.models.dense import ResNetWithStem, UNetHead, ViTPyramid

VIT = dict(
    type="mmpretrain.VisionTransformer",
    arch=dict(embed_dims=32, num_layers=1, num_heads=4, feedforward_channels=64),
    img_size=64,
    patch_size=16,
    out_type="featmap",
)


def slow_loss(logits, target, weight, gamma, smooth):
    """docs/protocol.md#segmentation: 10 · focal(γ = 2) - log(batch Dice, smooth 1), pixel by pixel."""
    focal = overlap = predicted = true = count = 0.0
    for z, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        if y == 255:
            continue
        p = 1 / (1 + math.exp(-z))
        p_true = p if y == 1 else 1 - p
        focal += -((1 - p_true) ** gamma) * math.log(p_true)
        overlap, predicted, true, count = overlap + p * y, predicted + p, true + y, count + 1
    return weight * focal / count, -math.log((2 * overlap + smooth) / (predicted + true + smooth))


@pytest.mark.parametrize(("weight", "gamma", "smooth"), [(10.0, 2.0, 1.0), (1.0, 0.0, 0.5), (3.0, 1.5, 1.0)])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_loss_equals_a_loop(weight, gamma, smooth, ignored):
    for seed in range(5):
        generator = torch.Generator().manual_seed(seed)
        logits = 3 * torch.randn(2, 5, 7, generator=generator)
        target = (torch.rand(2, 5, 7, generator=generator) < 0.3).long()
        target[torch.rand(2, 5, 7, generator=generator) < ignored] = 255
        losses = FocalLogDiceLoss(weight, gamma, smooth)(logits, target)
        expected = slow_loss(logits, target, weight, gamma, smooth)
        assert (float(losses["loss_focal"]), float(losses["loss_dice"])) == pytest.approx(expected, rel=1e-5)


def test_loss_gradient():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 4, generator=generator).requires_grad_()
    target = (torch.rand(1, 3, 4, generator=generator) < 0.5).long()
    loss = FocalLogDiceLoss()
    sum(loss(logits, target).values()).backward()
    step = 1e-2
    for index in range(12):
        moved = logits.detach().flatten().repeat(2, 1)
        moved[0, index] += step
        moved[1, index] -= step
        above, below = (sum(slow_loss(values, target, 10, 2, 1)) for values in moved)
        assert float(logits.grad.flatten()[index]) == pytest.approx((above - below) / (2 * step), rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("value", [-1e4, 1e4])
@pytest.mark.parametrize("label", [0, 1, 255])
def test_loss_of_extreme_logits_and_empty_masks_is_finite(value, label):
    logits = torch.full((1, 4, 4), value, requires_grad=True)
    losses = FocalLogDiceLoss()(logits, torch.full((1, 4, 4), label))
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values()) and torch.isfinite(logits.grad).all()


def test_loss_is_in_full_precision_under_autocast():
    logits = torch.randn(1, 8, 8, dtype=torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = FocalLogDiceLoss()(logits, torch.ones(1, 8, 8, dtype=torch.long))
    assert all(loss.dtype == torch.float32 for loss in losses.values())


def slow_loss_of_classes(logits, target, smooth):
    """Cross-entropy, and 1 - the mean over the foreground classes of the batch's Dice, pixel by pixel."""
    batch, num_classes, height, width = logits.shape
    cross_entropy, count, sums = 0.0, 0, {label: [0.0, 0.0, 0.0] for label in range(1, num_classes)}
    for b, y, x in np.ndindex(batch, height, width):
        true = int(target[b, y, x])
        if true == 255:
            continue
        weights = [math.exp(float(logit)) for logit in logits[b, :, y, x]]
        cross_entropy -= math.log(weights[true] / sum(weights))
        count += 1
        for label, numbers in sums.items():
            p, is_label = weights[label] / sum(weights), true == label
            numbers[0] += p * is_label
            numbers[1] += p
            numbers[2] += is_label
    dice = [(2 * overlap + smooth) / (predicted + real + smooth) for overlap, predicted, real in sums.values()]
    return cross_entropy / count, 1 - sum(dice) / len(dice)


@pytest.mark.parametrize("num_classes", [3, 5])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_loss_of_classes_equals_a_loop(num_classes, ignored):
    for seed in range(3):
        generator = torch.Generator().manual_seed(seed)
        logits = 2 * torch.randn(2, num_classes, 4, 5, generator=generator)
        target = torch.randint(num_classes - (seed == 2), (2, 4, 5), generator=generator)  # a class that is not there
        target[torch.rand(2, 4, 5, generator=generator) < ignored] = 255
        losses = CrossEntropyDiceLoss(smooth=0.5)(logits, target)
        expected = slow_loss_of_classes(logits, target, 0.5)
        assert (float(losses["loss_ce"]), float(losses["loss_dice"])) == pytest.approx(expected, rel=1e-5)


def test_gradient_of_the_loss_of_classes():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 2, 2, generator=generator).requires_grad_()
    target = torch.randint(3, (1, 2, 2), generator=generator)
    sum(CrossEntropyDiceLoss()(logits, target).values()).backward()
    step = 1e-3
    for index in range(logits.numel()):
        moved = logits.detach().double().flatten().repeat(2, 1)
        moved[0, index] += step
        moved[1, index] -= step
        above, below = (sum(slow_loss_of_classes(values.view(1, 3, 2, 2), target, 1)) for values in moved)
        assert float(logits.grad.flatten()[index]) == pytest.approx((above - below) / (2 * step), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("value", [-1e4, 1e4])
@pytest.mark.parametrize("label", [0, 2, 255])
def test_loss_of_classes_is_finite(value, label):
    logits = torch.zeros(1, 3, 4, 4)
    logits[:, 1] = value
    logits.requires_grad_()
    losses = CrossEntropyDiceLoss()(logits, torch.full((1, 4, 4), label))
    sum(losses.values()).backward()
    assert all(torch.isfinite(loss) for loss in losses.values()) and torch.isfinite(logits.grad).all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        losses = CrossEntropyDiceLoss()(logits.bfloat16(), torch.full((1, 4, 4), label))
    assert all(loss.dtype == torch.float32 for loss in losses.values())


def test_resnet_with_stem_is_the_library_s_resnet():
    theirs = ROOT_MODELS.build(dict(type="mmpretrain.ResNet", depth=18, out_indices=(0, 1, 2, 3)))
    ours = ResNetWithStem(depth=18, out_indices=(0, 1, 2, 3))
    theirs.eval()  # returns nothing in mmpretrain
    ours.eval()
    ours.load_state_dict(theirs.state_dict())  # the same names, all of them
    image = torch.randn(1, 3, 64, 64)
    stem, *stages = ours(image)
    assert stem.shape == (1, 64, 32, 32)
    for mine, other in zip(stages, theirs(image), strict=True):
        assert torch.equal(mine, other)


def test_unet_head_uses_every_map():
    head = UNetHead(in_channels=(4, 6, 8, 10, 12), channels=(16, 8, 8, 4, 4)).eval()
    maps = [torch.randn(2, c, 32 // 2**i, 32 // 2**i) for i, c in enumerate((4, 6, 8, 10, 12))]
    maps = [m.requires_grad_() for m in maps]
    logits = head(tuple(maps))
    assert logits.shape == (2, 1, 64, 64)
    logits.sum().backward()
    assert all(m.grad.abs().sum() > 0 for m in maps)


def test_unet_head_of_the_paper():
    """Five up-blocks 256-128-64-32-16, skips from stages 3, 2, 1, the stem and none; one logit."""
    head = UNetHead()
    widths = [(block.convs[0][0].in_channels, block.convs[0][0].out_channels) for block in head.blocks]
    assert widths == [(2048 + 1024, 256), (256 + 512, 128), (128 + 256, 64), (64 + 64, 32), (32, 16)]
    assert head.to_logit.out_channels == 1
    with pytest.raises(ValueError, match="5 maps need as many blocks"):
        UNetHead(channels=(256, 128))


def test_unet_head_of_several_classes():
    head = UNetHead(in_channels=(4, 6, 8, 10, 12), channels=(16, 8, 8, 4, 4), num_classes=3)
    maps = tuple(torch.randn(2, c, 32 // 2**i, 32 // 2**i) for i, c in enumerate((4, 6, 8, 10, 12)))
    assert head(maps).shape == (2, 3, 64, 64) and (head.num_classes, head.out_channels) == (3, 3)
    masks = [SimpleNamespace(gt_sem_seg=SimpleNamespace(data=torch.randint(3, (1, 64, 64)))) for _ in range(2)]
    losses = head.loss(maps, masks)
    expected = CrossEntropyDiceLoss()(head(maps), torch.cat([sample.gt_sem_seg.data for sample in masks]))
    assert {key: float(loss) for key, loss in losses.items()} == pytest.approx(
        {key: float(loss) for key, loss in expected.items()}
    )
    with pytest.raises(ValueError, match="num_classes counts the background and must be at least 2"):
        UNetHead(num_classes=1)


@pytest.mark.parametrize("strides", [(8, 16, 32), (2, 4, 8, 16, 32)])
def test_vit_pyramid(strides):
    channels = tuple(range(4, 4 + len(strides)))
    pyramid = ViTPyramid(VIT, embed_dims=32, patch_size=16, strides=strides, out_channels=channels)
    levels = pyramid(torch.randn(2, 3, 64, 64))
    expected = [(2, c, 64 // s, 64 // s) for c, s in zip(channels, strides, strict=True)]
    assert [tuple(level.shape) for level in levels] == expected


def test_vit_pyramid_refuses_odd_strides():
    with pytest.raises(ValueError, match="stride 12 is no power of two"):
        ViTPyramid(VIT, embed_dims=32, strides=(12,), out_channels=(4,))


def test_scale_rotate_moves_image_and_mask_together():
    np.random.seed(0)
    yy, xx = np.mgrid[:64, :64]
    mask = (((yy - 20) ** 2 + (xx - 40) ** 2) < 80).astype(np.uint8)
    image = np.repeat((mask * 255)[..., None], 3, axis=-1)
    moved = 0
    for _ in range(50):
        results = RandomScaleRotate()({"img": image.copy(), "gt_seg_map": mask.copy()})
        assert results["img"].shape == image.shape and set(np.unique(results["gt_seg_map"])) <= {0, 1}
        assert ((results["img"][..., 0] > 127) != results["gt_seg_map"].astype(bool)).mean() < 0.01
        moved += not np.array_equal(results["gt_seg_map"], mask)
        assert 0.75 < results["gt_seg_map"].sum() / mask.sum() < 1.3  # 0.9² to 1.1², and rounding
    assert 15 < moved < 35  # half of the time


@pytest.mark.parametrize("options", [{"scale": 1.0}, {"degrees": -1}, {"prob": 2}])
def test_scale_rotate_refuses(options):
    with pytest.raises(ValueError, match="are expected"):
        RandomScaleRotate(**options)
