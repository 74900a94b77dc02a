import pytest
import torch
from mmengine.registry import MODELS as ROOT_MODELS

from mgca_mm.engine import install
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.errors import UserError
from mgca_mm.models import ImageEncoder

install()

RESNET = dict(type="mmpretrain.ResNet", depth=18, out_indices=(2, 3))


def backbone(checkpoint, prefix=None, **changes):
    init_cfg = dict(type="Pretrained", checkpoint=str(checkpoint), prefix=prefix)
    model = ROOT_MODELS.build({**RESNET, **changes, "init_cfg": init_cfg})
    model.init_weights()
    return model


@pytest.fixture
def checkpoint(tmp_path):
    """A pretraining checkpoint: image encoder and something else."""
    encoder = ImageEncoder(RESNET, input_size=32)
    state_dict = {f"image_encoder.{k}": v for k, v in encoder.state_dict().items()}
    state_dict["text_encoder.weight"] = torch.ones(1)
    torch.save({"state_dict": state_dict}, tmp_path / "c.pth")
    return tmp_path / "c.pth", encoder


def test_one_line_transfer(checkpoint):
    path, encoder = checkpoint
    loaded = backbone(path, "image_encoder.backbone.")
    for name, tensor in encoder.backbone.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name


def test_wrong_prefix(checkpoint):
    with pytest.raises(UserError, match="no name that begins with 'backbone"):
        backbone(checkpoint[0], "backbone.")


def test_partial_checkpoint_names_what_is_missing(checkpoint, tmp_path):
    state_dict = torch.load(checkpoint[0], weights_only=True)["state_dict"]
    del state_dict["image_encoder.backbone.layer4.1.conv2.weight"]
    torch.save({"state_dict": state_dict}, tmp_path / "partial.pth")
    with pytest.raises(UserError, match=r"layer4\.1\.conv2\.weight"):
        backbone(tmp_path / "partial.pth", "image_encoder.backbone.")


def test_another_architecture(checkpoint):
    with pytest.raises(UserError, match=r"another architecture|only in part"):
        backbone(checkpoint[0], "image_encoder.backbone.", depth=50)


def test_missing_file_names_the_option(tmp_path):
    with pytest.raises(UserError, match="image_init=FILE"):
        backbone(tmp_path / "absent.pth")


@pytest.mark.parametrize("content", [b"garbage", b"PK\x03\x04 truncated", b""])
def test_damaged_file(tmp_path, content):
    (tmp_path / "damaged.pth").write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.pth' cannot be read"):
        backbone(tmp_path / "damaged.pth")


def test_load_whole_model_takes_nothing_else(tmp_path):
    model = torch.nn.Linear(2, 2)
    torch.save({"state_dict": torch.nn.Linear(2, 3).state_dict()}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="does not fit"):
        load_complete_model(model, str(tmp_path / "other.pth"))


def test_a_vit_is_resized_as_mmpretrain_does(tmp_path):
    vit = dict(
        type="mmpretrain.VisionTransformer",
        arch=dict(embed_dims=32, num_layers=1, num_heads=4, feedforward_channels=64),
        patch_size=8,
        out_type="raw",
    )
    small = ROOT_MODELS.build({**vit, "img_size": 32})
    torch.save(small.state_dict(), tmp_path / "vit.pth")
    init_cfg = dict(type="Pretrained", checkpoint=str(tmp_path / "vit.pth"))
    large = ROOT_MODELS.build({**vit, "img_size": 64, "init_cfg": init_cfg})
    large.init_weights()
    assert large.pos_embed.shape == (1, 65, 32)
    assert torch.equal(large.layers[0].attn.qkv.weight, small.layers[0].attn.qkv.weight)


def test_a_transformer_of_timm_is_renamed(tmp_path):
    """As DeiT's files are: under "model", with a head; the outputs of both libraries agree."""
    import timm

    theirs = timm.create_model("deit_tiny_patch16_224", pretrained=False).eval()
    torch.save({"model": theirs.state_dict()}, tmp_path / "deit.pth")
    ours = ROOT_MODELS.build(
        dict(
            type="mmpretrain.VisionTransformer",
            arch="deit-tiny",
            img_size=224,
            patch_size=16,
            out_type="cls_token",
            init_cfg=dict(type="Pretrained", checkpoint=str(tmp_path / "deit.pth")),
        )
    )
    ours.init_weights()
    ours.eval()
    image = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected = theirs.forward_features(image)[:, 0]
        torch.testing.assert_close(ours(image)[-1], expected, rtol=1e-4, atol=1e-5)
