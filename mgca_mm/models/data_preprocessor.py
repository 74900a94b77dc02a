"""From the loader's uint8 batch to the model's input, on the device."""

import math
from collections.abc import Callable

import torch
from mmengine.model import BaseDataPreprocessor
from torch import Tensor

from mgca_mm.errors import require_positive
from mgca_mm.registry import MODELS

_REPORT = ("input_ids", "attention_mask", "is_continuation")


@MODELS.register_module()
class ImageReportDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device, where the gray uint8 image becomes three equal normalized channels.

    Args:
        mean: Mean in gray levels, 0-255.
        std: Standard deviation in gray levels.
        crop_size: Side length of a crop made on the device: of a random place for each image in training, of the center
            otherwise. None: images come cropped from the loader.
        length_bucket: Cut the padding that all reports of a batch share, to a multiple of this many pieces. The
            embeddings stay. Of use where the text encoder computes padding (:class:`mgca_mm.models.TextEncoder`) and
            batches are small; a small one saves most, a large one gives ``torch.compile`` fewer shapes. None: reports
            stay as long as the tokenizer has padded them.
        non_blocking: Copy without waiting (from pinned memory).

    Attributes:
        count_real: Given ``attention_mask`` and ``is_continuation``, numbers of real pieces and words that the model
            wants to know before the copy, so that nothing waits for the device; the model sets it.
    """

    def __init__(
        self,
        mean: float = 127.5,
        std: float = 127.5,
        crop_size: int | None = None,
        length_bucket: int | None = None,
        non_blocking: bool = True,
    ):
        super().__init__(non_blocking=non_blocking)
        require_positive(std=std, crop_size=crop_size, length_bucket=length_bucket)
        self.mean = mean
        self.std = std
        self.crop_size = crop_size
        self.length_bucket = length_bucket
        self.count_real: Callable[[Tensor, Tensor], dict[str, int]] | None = None

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare ``data['inputs']``.

        Args:
            data: ``inputs`` with ``image`` (B, 1, H, W) uint8 and, for pairs, the reports' tensors (B, T), still in the
                memory of the loader; ``data_samples``.
            training: Crop at random places.

        Returns:
            The same on the device with ``image`` (B, 3, H, W) float32, T cut to the bucket, and what ``count_real``
            counts.
        """
        length, counts = self._bucket_length(data["inputs"]), self._counts(data["inputs"])
        data = self.cast_data(data)
        inputs = {**data["inputs"], **counts}
        for key in _REPORT:
            if key in inputs:
                inputs[key] = inputs[key][:, :length]
        image = inputs["image"]
        if self.crop_size is not None:
            image = crop(image, self.crop_size, random=training)
        inputs["image"] = ((image.to(torch.float32) - self.mean) / self.std).expand(-1, 3, -1, -1)
        return {**data, "inputs": inputs}

    def _counts(self, inputs: dict[str, Tensor]) -> dict[str, int]:
        if self.count_real is None or not set(_REPORT) <= inputs.keys():
            return {}
        return self.count_real(inputs["attention_mask"].cpu(), inputs["is_continuation"].cpu())

    def _bucket_length(self, inputs: dict[str, Tensor]) -> int | None:
        """Pieces to keep, known before the copy so that nothing waits for the device."""
        if self.length_bucket is None or "attention_mask" not in inputs:
            return None
        mask = inputs["attention_mask"]
        longest = int((mask.bool() * torch.arange(1, 1 + mask.shape[1], device=mask.device)).max())
        return math.ceil(longest / self.length_bucket) * self.length_bucket


def crop(image: Tensor, size: int, random: bool) -> Tensor:
    """Square crops of a batch, each at a place of its own or all at the center.

    Args:
        image: (B, C, H, W).
        size: Side length of the crops.
        random: Uniformly random places, from the device's default generator.

    Returns:
        (B, C, size, size).

    Raises:
        ValueError: If the images are smaller.
    """
    batch, channels, height, width = image.shape
    if min(height, width) < size:
        raise ValueError(f"images of {height} x {width} are smaller than crop_size {size}")
    if random:
        top = torch.randint(height - size + 1, (batch, 1), device=image.device)
        left = torch.randint(width - size + 1, (batch, 1), device=image.device)
        steps = torch.arange(size, device=image.device)
        image = image.gather(2, (top + steps)[:, None, :, None].expand(-1, channels, -1, width))
        return image.gather(3, (left + steps)[:, None, None, :].expand(-1, channels, size, -1))
    top, left = round((height - size) / 2), round((width - size) / 2)
    return image[:, :, top : top + size, left : left + size]
