"""What was done to the pixels that an encoder was pretrained on: a part of its weights in all but name."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

Channels = tuple[float, float, float]


class Preprocessing(NamedTuple):
    """Normalization and size of the images in pretraining.

    Attributes:
        mean: Subtracted from gray levels 0–255, of red, green and blue.
        std: Divided by.
        image_size: Side length in pixels.
    """

    mean: Channels
    std: Channels
    image_size: int

    def meta(self) -> dict[str, Any]:
        """What a converted checkpoint says of it: ``data_preprocessor`` as the mm libraries take it, ``image_size``."""
        return {
            "data_preprocessor": {"mean": list(self.mean), "std": list(self.std)},
            "image_size": self.image_size,
        }


def normalization_of(meta: Mapping[str, Any]) -> dict[str, list[float]] | None:
    """How gray levels were normalized in the pretraining, as ``meta`` of a checkpoint says it.

    Returns:
        ``mean`` and ``std`` of three channels, as the ``data_preprocessor`` of mmpretrain, mmdet and mmseg takes them;
        None where it says nothing of the kind.
    """
    try:
        levels = {name: [float(value) for value in meta["data_preprocessor"][name]] for name in ("mean", "std")}
        valid = all(len(value) == 3 and all(map(math.isfinite, value)) for value in levels.values())
        return levels if valid and min(levels["std"]) > 0 else None
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def of_unit(mean: float | Channels, std: float | Channels, image_size: int) -> Preprocessing:
    """The same from numbers of levels 0–1, as torchvision's ``Normalize`` takes them, one or one a channel."""
    levels = (tuple(255.0 * value for value in _channels(part)) for part in (mean, std))
    return Preprocessing(*levels, image_size)


def _channels(value: float | Channels) -> Channels:
    return value if isinstance(value, tuple) else (value,) * 3


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = (0.5, 0.5)
