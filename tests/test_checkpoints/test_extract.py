"""The image encoder for other libraries: it is loaded there, and gives the same features."""

import pytest
import timm
import torch
import torchvision
from mmengine.config import Config
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel

from mgca_mm.checkpoints.conversion.extract import FORMATS, extract_backbone
from mgca_mm.engine import install
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.command_line import call
from tests.conftest import ROOT

install()

SMALL_VIT = dict(
    type="mmpretrain.VisionTransformer",
    arch=dict(embed_dims=128, num_layers=2, num_heads=2, feedforward_channels=256),
    img_size=64,
    patch_size=16,
    out_type="cls_token",
)
VIT = dict(type="mmpretrain.VisionTransformer", arch="deit-base", img_size=224, patch_size=16, out_type="cls_token")
BACKBONES = {
    "resnet18": dict(type="mmpretrain.ResNet", depth=18),
    "resnet50": dict(type="mmpretrain.ResNet", depth=50),
    "vit_base": VIT,
}


def random_backbone(config):
    """A backbone whose every weight and statistic is unlike its initialization."""
    torch.manual_seed(0)
    backbone = MODELS.build(config)
    for name, tensor in backbone.state_dict().items():
        if tensor.is_floating_point():
            noise = torch.randn_like(tensor) * 0.02
            tensor.add_(noise.abs() if name.endswith("running_var") else noise)
    backbone.eval()  # which returns None in mmpretrain
    return backbone


def checkpoint_of(backbone, prefix="image_encoder.backbone."):
    weights = {prefix + name: tensor for name, tensor in backbone.state_dict().items()}
    return weights | {"text_encoder.model.x": torch.zeros(1)}


def load_by_hand(path, format, name):
    """As somebody who knows nothing of this package would, with the library's own factory."""
    if format == "huggingface":
        model = AutoModel.from_pretrained(path).eval()
        if name == "vit_base":
            return lambda image: model(image).last_hidden_state[:, 0]
        return lambda image: model(image).pooler_output.flatten(1)
    if format == "torchvision":
        model = torchvision.models.get_model({"vit_base": "vit_b_16"}.get(name, name), weights=None)
        head = "heads" if name == "vit_base" else "fc"
        result = model.load_state_dict(torch.load(path, weights_only=True), strict=False)
        assert not result.unexpected_keys and all(key.startswith(head) for key in result.missing_keys)
        setattr(model, head, nn.Identity())
        return model.eval()
    if format == "timm":
        model = timm.create_model({"vit_base": "vit_base_patch16_224"}.get(name, name), num_classes=0)
        model.load_state_dict(torch.load(path, weights_only=True))
        return model.eval()
    weights = load_file(path) if format == "safetensors" else torch.load(path, weights_only=True)["state_dict"]
    model = MODELS.build(BACKBONES[name])
    model.load_state_dict(weights)
    model.eval()
    return lambda image: model(image)[-1] if name == "vit_base" else model(image)[-1].mean(dim=(2, 3))


@pytest.mark.parametrize("name", BACKBONES)
def test_features_are_those_of_our_model(name, tmp_path):
    backbone = random_backbone(BACKBONES[name])
    image = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = backbone(image)[-1]
        expected = expected if name == "vit_base" else expected.mean(dim=(2, 3))
        assert expected.std() > 0.01
        for format in FORMATS:
            difference = extract_backbone(checkpoint_of(backbone), tmp_path / format, format)
            assert difference <= 1e-5, format
            found = load_by_hand(tmp_path / format, format, name)(image)
            assert (found - expected).abs().max() <= 1e-5, format
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FORMATS)  # no partial files


def test_downstream_checkpoints_and_init_cfg(tmp_path):
    """The encoder of a fine-tuned model is found, and what is extracted initializes a backbone."""
    backbone = random_backbone(SMALL_VIT)
    path = tmp_path / "encoder.pth"
    extract_backbone(checkpoint_of(backbone, "backbone."), path, "mmengine")
    other = MODELS.build({**SMALL_VIT, "init_cfg": dict(type="Pretrained", checkpoint=str(path))})
    other.init_weights()
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(other.state_dict()[name], tensor), name


@pytest.mark.parametrize(
    ("name", "format"),
    [("vit", "timm"), ("vit", "safetensors"), ("resnet18", "torchvision"), ("resnet18", "safetensors")],
)
def test_round_trips_are_exact(name, format, tmp_path):
    """What is extracted comes back bit by bit."""
    config = SMALL_VIT if name == "vit" else BACKBONES[name]
    backbone = random_backbone(config)
    path = tmp_path / "file.pth"
    extract_backbone(checkpoint_of(backbone), path, format)
    if format == "safetensors":
        found = load_file(path)
    else:
        other = MODELS.build({**config, "init_cfg": dict(type="Pretrained", checkpoint=str(path))})
        other.init_weights()
        found = other.state_dict()
    weights = backbone.state_dict()
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[key], tensor) for key, tensor in weights.items())


def test_other_backbones_keep_their_names(tmp_path):
    backbone = MODELS.build(dict(type="mmpretrain.RegNet", arch="regnetx_400mf"))
    for format in ("mmengine", "safetensors"):
        assert extract_backbone(checkpoint_of(backbone), tmp_path / format, format) is None
    found = load_file(tmp_path / "safetensors")
    assert all(torch.equal(found[name], tensor) for name, tensor in backbone.state_dict().items())
    with pytest.raises(UserError, match="neither"):
        extract_backbone(checkpoint_of(backbone), tmp_path / "x", "timm")


@pytest.mark.parametrize("format", ["mmengine", "timm"])
@pytest.mark.parametrize("config", [SMALL_VIT, BACKBONES["resnet18"]], ids=["vit", "resnet"])
@pytest.mark.parametrize("lost", ["layer", "weight", "shape", "last"])
def test_damaged_encoders(config, format, lost, tmp_path):
    weights = checkpoint_of(MODELS.build(config))
    names = {
        "layer": [n for n in weights if ".layers.1." in n or ".layer3." in n],
        "weight": [n for n in weights if n.endswith(("ln1.bias", "bn1.bias"))][:1],
        "last": [n for n in weights if n.endswith((".layers.0.ffn.layers.0.0.weight", "layer4.1.conv2.weight"))],
    }
    if lost == "shape":
        name = next(n for n in weights if n.endswith(("attn.proj.weight", "layer2.0.conv1.weight")))
        weights[name] = weights[name][:-1]
    elif lost == "layer" and config is SMALL_VIT:
        weights = {n: t for n, t in weights.items() if ".layers.0." not in n}
    else:
        weights = {n: t for n, t in weights.items() if n not in names[lost]}
    with pytest.raises(UserError, match=r"incomplete|No ResNet"):
        extract_backbone(weights, tmp_path / "out", format)
    assert not list(tmp_path.iterdir())


def test_no_encoder_and_existing_folder(tmp_path):
    with pytest.raises(UserError, match="holds no image encoder"):
        extract_backbone({"fc.weight": torch.zeros(1)}, tmp_path / "x", "timm")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("keep")
    with pytest.raises(UserError, match="exists already"):
        extract_backbone(checkpoint_of(MODELS.build(SMALL_VIT)), tmp_path / "mine", "huggingface")
    assert (tmp_path / "mine" / "file").read_text() == "keep"


def test_command_line(tmp_path):
    """On a checkpoint with more in it than weights, and on half of one."""
    model = Config.fromfile(ROOT / "configs/quickstart/pretrain_clip_resnet18.py").model
    content = {
        "meta": {"epoch": 1},
        "message_hub": {"runtime_info": {}},
        "state_dict": MODELS.build(model).state_dict(),
    }
    torch.save(content, tmp_path / "epoch_1.pth")
    (tmp_path / "broken.pth").write_bytes((tmp_path / "epoch_1.pth").read_bytes()[:1000])
    done = call("convert", "extract-backbone", tmp_path / "epoch_1.pth", tmp_path / "timm.pth", "--format", "timm")
    assert done.returncode == 0, done.stderr
    assert "differ by" in done.stdout and (tmp_path / "timm.pth").is_file()
    done = call("convert", "extract-backbone", tmp_path / "broken.pth", tmp_path / "x.pth")
    assert done.returncode == 2 and "Traceback" not in done.stderr and not (tmp_path / "x.pth").exists()
