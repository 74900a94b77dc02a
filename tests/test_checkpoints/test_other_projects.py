"""Checkpoints of GLoRIA, generated in their format, against models that are built without this package."""

import re

import pytest
import torch
import torch.nn.functional as F
import torchvision
from mmengine.config import Config
from transformers import BertConfig, BertModel

from mgca_mm.checkpoints.conversion.gloria import convert_gloria
from mgca_mm.engine import install
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS
from tests.command_line import call
from tests.conftest import ROOT, small_batch

install()

BERT = dict(
    vocab_size=60, hidden_size=64, num_hidden_layers=4, num_attention_heads=1, intermediate_size=96,
    max_position_embeddings=32, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def gloria():
    """The published parts: torchvision's ResNet-50, two linear layers, a BERT; and their state dict."""
    torch.manual_seed(0)
    parts = dict(
        resnet=torchvision.models.resnet50(weights=None),
        global_embedder=torch.nn.Linear(2048, 64),
        local_embedder=torch.nn.Conv2d(1024, 64, 1, bias=False),
        bert=BertModel(BertConfig(**BERT)),
    )
    state_dict = {}
    for prefix, part in (
        ("gloria.img_encoder.model.", "resnet"),
        ("gloria.img_encoder.global_embedder.", "global_embedder"),
        ("gloria.img_encoder.local_embedder.", "local_embedder"),
        ("gloria.text_encoder.model.", "bert"),
    ):
        state_dict |= {prefix + name: tensor for name, tensor in parts[part].state_dict().items()}
    state_dict["gloria.text_encoder.model.embeddings.position_ids"] = torch.arange(32)[None]
    return {name: part.eval() for name, part in parts.items()}, state_dict


def small_model():
    model = Config.fromfile(ROOT / "configs/gloria/pretrain_resnet50.py").model
    model.image_encoder.backbone.init_cfg = None
    model.text_encoder.update(pretrained=None, max_length=32, config=dict(model_type="bert", **BERT))
    model.projector.out_channels = 64
    return MODELS.build(model).eval()


def test_gloria_gives_the_embeddings_of_its_parts(gloria, tmp_path):
    parts, state_dict = gloria
    converted = convert_gloria(state_dict)
    torch.save({"state_dict": converted.state_dict}, tmp_path / "gloria.pth")
    model = small_model()
    load_complete_model(model, str(tmp_path / "gloria.pth"))  # every name, and no other
    inputs = small_batch(2, image_size=64)
    with torch.no_grad():
        image, text = model(inputs)
        resnet = parts["resnet"]
        x = F.interpolate(inputs["image"], size=(299, 299), mode="bilinear", align_corners=True)
        x = resnet.maxpool(resnet.relu(resnet.bn1(resnet.conv1(x))))
        stage3 = resnet.layer3(resnet.layer2(resnet.layer1(x)))
        vector = parts["global_embedder"](resnet.layer4(stage3).mean(dim=(2, 3)))
        torch.testing.assert_close(image.global_feature, F.normalize(vector, dim=1), rtol=1e-4, atol=1e-5)
        regions = parts["local_embedder"](stage3).flatten(2).transpose(1, 2)
        torch.testing.assert_close(image.tokens, regions, rtol=1e-4, atol=1e-4)
        mask = inputs["attention_mask"]
        hidden = parts["bert"](inputs["input_ids"], mask, output_hidden_states=True).hidden_states
        pieces = sum(hidden[-4:])
        mean = (pieces * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        torch.testing.assert_close(text.global_feature, F.normalize(mean, dim=1), rtol=1e-4, atol=1e-5)


def test_report_of_gloria(gloria):
    _, state_dict = gloria
    converted = convert_gloria(state_dict)
    reported = [theirs for theirs, _ in converted.mapped] + converted.unused
    assert sorted(reported) == sorted(state_dict)
    assert {re.sub(r".*(pooler|fc|position_ids).*", r"\1", name) for name in converted.unused} == {
        "pooler",
        "fc",
        "position_ids",
    }
    assert set(converted.missing) == {
        "image_token_projector.fc.bias",
        *(f"{part}.fc.{name}" for part in ("text_projector", "text_token_projector") for name in ("weight", "bias")),
    }


def test_a_checkpoint_without_local_projection(gloria):
    """As of ConVIRT in this format: both encoders and the global projection."""
    _, state_dict = gloria
    converted = convert_gloria({name: t for name, t in state_dict.items() if "local_embedder" not in name})
    assert "image_token_projector.fc.weight" in converted.missing
    assert not any(name.startswith("image_token_projector") for name in converted.state_dict)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (r".*layer4\.2\..*", "No ResNet"),
        (r".*layer4\.2\.conv3\.weight", "incomplete"),
        (r".*encoder\.layer\.2\.output\.dense\.bias", "incomplete"),
        (r".*word_embeddings\.weight", "incomplete"),
        (r".*global_embedder\.bias", "incomplete"),
        (r"gloria\.img_encoder\.model.*", "no image encoder"),
    ],
)
def test_truncated_gloria(gloria, lost, message):
    _, state_dict = gloria
    with pytest.raises(UserError, match=message):
        convert_gloria({name: tensor for name, tensor in state_dict.items() if not re.fullmatch(lost, name)})


def test_unknown_names_of_gloria(gloria):
    _, state_dict = gloria
    with pytest.raises(UserError, match=r"first is 'gloria\.extra'"):
        convert_gloria(state_dict | {"gloria.extra": torch.zeros(1)})


def test_command_line(gloria, tmp_path):
    theirs, ours = tmp_path / "chexpert_resnet50.ckpt", tmp_path / "ours.pth"
    torch.save({"state_dict": gloria[1]}, theirs)
    done = call("convert", "from-gloria", theirs, ours)
    assert done.returncode == 0
    for line in ("img_encoder.model.conv1.weight → image_encoder.backbone.conv1.weight", "left out: ", "missing: "):
        assert line in done.stdout
    backbone = tmp_path / "resnet50.safetensors"
    assert call("convert", "extract-backbone", ours, backbone, "--format", "safetensors").returncode == 0
    assert backbone.is_file()
    for words in (
        ("from-gloria", tmp_path / "absent.ckpt", tmp_path / "x.pth"),
        ("from-blip", theirs, tmp_path / "x.pth"),
        ("from-gloria", ours, tmp_path / "x.pth"),
        ("from-gloria", ours, ours),
        ("from-gloria", theirs, tmp_path / "absent" / "x.pth"),
    ):
        done = call("convert", *words)
        assert done.returncode == 2 and 1 <= len(done.stderr.strip().splitlines()) <= 3, words
        assert not (tmp_path / "x.pth").exists()
