import pytest
import torch

from mgca_mm.models import ImageEncoder, WeldonPooling

from . import references


def test_weldon_pooling_equals_the_loop_with_gradients():
    pooling = WeldonPooling(in_channels=3, out_channels=5, num_regions=2).double()
    regions = torch.randn(4, 6, 3, dtype=torch.float64, requires_grad=True)
    pooled = pooling(regions)
    parameters = (pooling.adaptation.weight, pooling.adaptation.bias)
    expected = torch.stack([references.weldon_pooling(image, *parameters, 2) for image in regions])
    torch.testing.assert_close(pooled, expected, rtol=1e-10, atol=1e-13)
    weight = torch.randn_like(pooled)
    inputs = (regions, *parameters)
    for ours, theirs in zip(
        torch.autograd.grad((pooled * weight).sum(), inputs),
        torch.autograd.grad((expected * weight).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-13)


def test_too_few_regions():
    with pytest.raises(ValueError, match="the map has 4"):
        WeldonPooling(3, 5, num_regions=5)(torch.zeros(1, 4, 3))
    with pytest.raises(ValueError, match="positive"):
        WeldonPooling(3, 5, num_regions=0)


@pytest.mark.parametrize(
    ("backbone", "channels"),
    [
        (dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3)), (512, 256)),
        (
            dict(
                type="mmpretrain.VisionTransformer",
                arch=dict(embed_dims=32, num_layers=2, num_heads=4, feedforward_channels=64),
                img_size=64,
                patch_size=16,
                out_type="raw",
            ),
            (32, 32),
        ),
    ],
    ids=["resnet", "vit"],
)
def test_image_encoder_pools_the_regions_of_its_last_output(backbone, channels):
    pooling = dict(type="WeldonPooling", out_channels=7, num_regions=2)
    encoder = ImageEncoder(backbone, pooling=pooling, input_size=64).eval()
    assert encoder.pooling.adaptation.in_features == channels[0]
    assert (encoder.global_channels, encoder.token_channels) == (7, channels[1])
    images = torch.randn(2, 3, 64, 64)
    output = encoder.backbone(images)[-1]
    regions = output[:, 1:] if output.dim() == 3 else output.flatten(2).transpose(1, 2)
    features = encoder(images)
    torch.testing.assert_close(features.global_feature, encoder.pooling(regions))
    assert features.tokens.shape[2] == channels[1]
