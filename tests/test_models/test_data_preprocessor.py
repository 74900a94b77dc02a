"""From the loader's uint8 batch to the model's input."""

import pytest
import torch

from mgca_mm.models import ImageReportDataPreprocessor
from mgca_mm.models.data_preprocessor import crop


def test_normalization():
    image = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    out = ImageReportDataPreprocessor()({"inputs": {"image": image, "input_ids": torch.ones(1, 3)}})["inputs"]
    assert out["image"].shape == (1, 3, 16, 16) and out["image"].dtype == torch.float32
    torch.testing.assert_close(out["image"][0, 2], (image[0, 0] / 255 - 0.5) / 0.5)
    assert "input_ids" in out


def test_random_crops_are_windows_at_places_of_their_own():
    images = torch.arange(20 * 3 * 9 * 11).view(20, 3, 9, 11)
    crops = crop(images, 5, random=True)
    places = set()
    for image, found in zip(images, crops, strict=True):
        place = [(y, x) for y in range(5) for x in range(7) if torch.equal(image[:, y : y + 5, x : x + 5], found)]
        assert len(place) == 1
        places.add(place[0])
    assert len(places) > 8


def test_random_crops_reach_every_place():
    images = torch.arange(16).view(1, 1, 4, 4).expand(400, 1, 4, 4)
    corners = crop(images, 2, random=True)[:, 0, 0, 0]
    assert sorted(corners.unique().tolist()) == [0, 1, 2, 4, 5, 6, 8, 9, 10]


def test_center_crops_are_those_of_the_pipeline():
    from mgca_mm.registry import TRANSFORMS

    pixels = torch.randint(0, 256, (1, 1, 9, 12), dtype=torch.uint8)
    expected = TRANSFORMS.build(dict(type="CenterCrop", crop_size=5))(dict(img=pixels[0, 0].numpy()))["img"]
    assert torch.equal(crop(pixels, 5, random=False)[0, 0], torch.from_numpy(expected))


def test_crops_are_random_in_training_only():
    preprocessor = ImageReportDataPreprocessor(crop_size=8)
    batch = {"inputs": {"image": torch.randint(0, 256, (4, 1, 16, 16), dtype=torch.uint8)}}
    first, second = (preprocessor(batch, training=False)["inputs"]["image"] for _ in range(2))
    assert torch.equal(first, second) and first.shape == (4, 3, 8, 8)
    first, second = (preprocessor(batch, training=True)["inputs"]["image"] for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.parametrize(
    ("bucket", "longest", "expected"), [(4, 5, 8), (4, 8, 8), (16, 3, 16), (100, 5, 20), (None, 5, 20)]
)
def test_padding_is_cut_to_the_bucket(bucket, longest, expected):
    mask = torch.arange(20) < torch.tensor([[longest], [2]])
    inputs = {
        "image": torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
        "attention_mask": mask.long(),
        "input_ids": mask.long(),
    }
    out = ImageReportDataPreprocessor(length_bucket=bucket)({"inputs": inputs})["inputs"]
    assert out["input_ids"].shape == out["attention_mask"].shape == (2, expected)
    assert inputs["input_ids"].shape == (2, 20)  # the loader's batch stays


def test_padding_on_the_left_is_not_taken_for_a_report():
    mask = torch.tensor([[0, 0, 0, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0, 0, 0]])
    inputs = dict(image=torch.zeros(2, 1, 4, 4, dtype=torch.uint8), attention_mask=mask)
    out = ImageReportDataPreprocessor(length_bucket=2)({"inputs": inputs})["inputs"]
    assert out["attention_mask"].equal(mask[:, :6])


@pytest.mark.parametrize("options", [dict(std=0), dict(crop_size=0), dict(length_bucket=0)])
def test_bad_options(options):
    with pytest.raises(ValueError, match="must be positive"):
        ImageReportDataPreprocessor(**options)


def test_small_images():
    with pytest.raises(ValueError, match="smaller than crop_size 5"):
        crop(torch.zeros(1, 1, 4, 8), 5, random=True)
