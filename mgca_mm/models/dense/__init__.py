"""What classifiers, detectors and segmentors need around an image encoder."""

from .pretrained_backbone import build_pretrained_backbone
from .resizing_classifier import ResizingClassifier
from .resnet_with_stem import ResNetWithStem
from .unet_head import UNetHead
from .vit_pyramid import ViTPyramid

__all__ = ["ResNetWithStem", "ResizingClassifier", "UNetHead", "ViTPyramid", "build_pretrained_backbone"]
