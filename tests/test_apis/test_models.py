"""Models by name: whose weights they have, and that they encode as the inferencer does."""

import numpy as np
import pytest
import torch

from mgca_mm import get_model, list_models, load_config
from mgca_mm.apis.inputs import list_images
from mgca_mm.errors import UserError
from tests.conftest import ROOT

from .conftest import CONFIG, save_weights

NAME = "quickstart/pretrain_resnet18"
CONFIGS = ROOT / "configs"
OTHER_TASKS = ("classification", "detection", "segmentation", "grounding", "retrieval", "zero_shot")


def test_list_models():
    """All configs but those of other tasks."""
    names = [path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.glob("[!_]*/**/*.py")]
    others = ("downstream/", "evaluation/", *(f"quickstart/{task}" for task in OTHER_TASKS))
    assert list_models() == sorted(name for name in names if not name.startswith(others))
    ends = ("", "_chexpert_plus", "_fast", "_large_batch", "_padchest")
    assert list_models("mgca/pretrain_vit*") == [f"mgca/pretrain_vit{end}" for end in ends]
    assert list_models("nothing") == []


def test_weights_of_a_checkpoint(weights):
    model = get_model(NAME, weights, device="cpu")
    saved = torch.load(weights, weights_only=True)["state_dict"]
    assert all(torch.equal(value, saved[name]) for name, value in model.state_dict().items())
    assert not model.training and model.cfg.data_root == load_config(NAME).data_root
    by_file = get_model(CONFIG, weights.parent, device="cpu")  # the folder of a run
    assert torch.equal(by_file.image_encoder.backbone.conv1.weight, model.image_encoder.backbone.conv1.weight)
    assert not torch.equal(
        get_model(NAME).image_encoder.backbone.conv1.weight.cpu(), saved["image_encoder.backbone.conv1.weight"]
    )


def test_a_model_of_another_library():
    model = get_model("downstream/classification/rsna_resnet50", cfg_options={"image_init": "random"}, device="cpu")
    assert model.head.fc.out_features == 1


def test_a_checkpoint_of_another_model_is_refused(weights, tmp_path):
    with pytest.raises(UserError, match="does not fit the model"):
        get_model("quickstart/ablation_ita_resnet18", weights)
    with pytest.raises(UserError, match="does not exist"):
        get_model(NAME, tmp_path / "absent.pth")
    with pytest.raises(UserError, match="num_prototypez"):
        get_model(NAME, weights, cfg_options={"model.alignments.cpa.num_prototypez": 3})


def test_encoded_images_are_those_of_the_inferencer(inferencer, weights):
    squares = np.random.default_rng(0).integers(0, 256, (3, 128, 128), dtype=np.uint8)
    expected = inferencer.embed_images(list_images(list(squares)))
    model = get_model(NAME, weights, device="cpu")
    centers = squares[:, 8:120, 8:120]
    for given in (centers, torch.from_numpy(centers)):
        found = model.encode_images(given)
        torch.testing.assert_close(found, expected)
        assert not found.requires_grad


@pytest.mark.parametrize("images", [np.zeros((2, 112, 112), np.float32), np.zeros((2, 1, 112, 112), np.uint8)])
def test_what_cannot_be_encoded(images, weights):
    with pytest.raises(ValueError, match=r"images must be uint8 of the shape \(N, H, W\)"):
        get_model(NAME, weights, device="cpu").encode_images(images)


def test_a_writer_of_reports_encodes_nothing(tmp_path):
    name = "quickstart/pretrain_caption_lstm_resnet18"
    model = get_model(name, save_weights(CONFIGS / f"{name}.py", tmp_path / "x.pth", {}), device="cpu")
    with pytest.raises(UserError, match="embed none"):
        model.encode_images(np.zeros((1, 112, 112), np.uint8))
