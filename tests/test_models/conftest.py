import pytest
import torch
import torch.nn.functional as F

from mgca_mm.structures import ImageFeatures, TextFeatures


@pytest.fixture
def pair():
    """Embeddings of 4 pairs in float64: reports of 7, 1, 4 and 5 words in 7 slots."""

    def make(batch=4, regions=5, slots=7, dims=6, seed=0):
        generator = torch.Generator().manual_seed(seed)

        def unit(*shape):
            return F.normalize(torch.randn(*shape, generator=generator, dtype=torch.float64), dim=-1)

        lengths = torch.tensor([slots, 1, 4, 5] * batch)[:batch]
        mask = torch.arange(slots) < lengths[:, None]
        weight = torch.rand(batch, slots, generator=generator, dtype=torch.float64).masked_fill(~mask, 0)
        image = ImageFeatures(
            unit(batch, dims),
            unit(batch, regions, dims),
            torch.rand(batch, regions, generator=generator, dtype=torch.float64),
        )
        return image, TextFeatures(unit(batch, dims), unit(batch, slots, dims), weight, mask)

    return make
