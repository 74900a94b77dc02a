"""Augmentation of an image together with its mask."""

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mgca_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomScaleRotate(BaseTransform):
    """Scales and rotates an image and its mask around the center; what comes in from outside is black.

    See docs/protocol.md#segmentation.

    Required and modified keys: ``img`` (H, W) or (H, W, 3) uint8, ``gt_seg_map`` (H, W).

    Args:
        scale: Largest change of size, as a share; 0.1 is from 90 to 110 %.
        degrees: Largest rotation in either direction, in degrees.
        prob: Probability that anything is done.
    """

    def __init__(self, scale: float = 0.1, degrees: float = 10.0, prob: float = 0.5):
        if not 0 <= scale < 1 or degrees < 0 or not 0 <= prob <= 1:
            raise ValueError(
                f"scale in [0, 1), degrees >= 0 and prob in [0, 1] are expected, got {scale, degrees, prob}"
            )
        self.scale = scale
        self.degrees = degrees
        self.prob = prob

    def transform(self, results: dict) -> dict:
        """Transform one image."""
        if np.random.random() >= self.prob:
            return results
        height, width = results["img"].shape[:2]
        center = ((width - 1) / 2, (height - 1) / 2)
        degrees = np.random.uniform(-self.degrees, self.degrees)
        matrix = cv2.getRotationMatrix2D(center, degrees, 1 + np.random.uniform(-self.scale, self.scale))
        results["img"] = cv2.warpAffine(results["img"], matrix, (width, height), flags=cv2.INTER_LINEAR)
        results["gt_seg_map"] = cv2.warpAffine(results["gt_seg_map"], matrix, (width, height), flags=cv2.INTER_NEAREST)
        return results
