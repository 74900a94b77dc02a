"""From the loader's uint8 batch to the model's input, on the device."""

import torch
from mmengine.model import BaseDataPreprocessor

from mgca_mm.registry import MODELS


@MODELS.register_module()
class ImageReportDataPreprocessor(BaseDataPreprocessor):
    """Moves a batch to the device, where the grey uint8 image becomes three equal normalised channels.

    Args:
        mean: Mean in grey levels, 0-255.
        std: Standard deviation in grey levels.
        non_blocking: Copy without waiting (from pinned memory).
    """

    def __init__(self, mean: float = 127.5, std: float = 127.5, non_blocking: bool = True):
        super().__init__(non_blocking=non_blocking)
        if std <= 0:
            raise ValueError(f"std must be positive, got {std}")
        self.mean = mean
        self.std = std

    def forward(self, data: dict, training: bool = False) -> dict:
        """Normalise ``data['inputs']['image']`` from (B, 1, H, W) uint8 to (B, 3, H, W) float32; the rest is moved."""
        data = self.cast_data(data)
        image = data["inputs"]["image"].to(torch.float32)
        image = ((image - self.mean) / self.std).expand(-1, 3, -1, -1)
        return {**data, "inputs": {**data["inputs"], "image": image}}
