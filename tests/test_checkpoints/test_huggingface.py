"""The folder for transformers: the code of its card gives the features of the model that was exported."""

import os
import re
import stat

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from huggingface_hub import ModelCard
from mmengine.registry import init_default_scope
from PIL import Image
from transformers import AutoImageProcessor

from mgca_mm import get_model, load_config
from mgca_mm.apis.run_folder import training_of
from mgca_mm.checkpoints.conversion.extract import extract_backbone
from mgca_mm.checkpoints.conversion.huggingface import Training
from mgca_mm.radiographs.reading import resize_and_pad
from mgca_mm.registry import MODELS
from tests.command_line import call

from .test_extract import BACKBONES, SMALL_VIT, checkpoint_of

BERT = "model_type='bert', vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=1"
SMALL_TEXT = f"text_encoder=dict(_delete_=True, type='TextEncoder', max_length=16, config=dict({BERT}))"
# A run's config → changes of it.
RUNS = {
    "resnet": ("quickstart/pretrain_resnet18", ""),
    "upsampled": ("quickstart/pretrain_resnet18", "image_encoder=dict(resize_to=149)"),
    "vit": (
        "quickstart/pretrain_resnet18",
        f"image_encoder=dict(backbone=dict(_delete_=True, **{ {**SMALL_VIT, 'img_size': 112, 'out_type': 'raw'} }))",
    ),
    "papers_vit": ("mgca/pretrain_vit", SMALL_TEXT),
    "papers_resnet": ("mgca/pretrain_resnet50", SMALL_TEXT),
}


def make_run(name, folder):
    """A folder as a run leaves it, with random weights; config and checkpoint."""
    base, changes = RUNS[name]
    (folder / "source.txt").write_text(f"_base_ = 'mgca_mm::{base}.py'\nmodel = dict({changes})\n")
    (folder / "source.txt").rename(folder / "source.py")
    cfg = load_config(folder / "source.py")
    run = folder / "run"
    run.mkdir()
    cfg.dump(run / f"{name}.py")
    init_default_scope("mgca_mm")
    torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, run / "epoch_1.pth")
    return run


def export(source, target):
    done = call("convert", "extract-backbone", source, target, "--format", "huggingface")
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_the_card(folder):
    """The features that the code of the card computes of radiograph.png."""
    (code,) = re.findall(r"```python\n(.+?)```", (folder / "README.md").read_text(), flags=re.DOTALL)
    names = {}
    exec(code, names)
    return names["features"]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "papers" in name else ()) for name in RUNS]
)
def test_the_card_gives_the_features_of_the_model(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(name, tmp_path)
    export(run, "exported")
    model = get_model(run / f"{name}.py", run, device="cpu")
    training = training_of(run)
    square, crop = training.square, training.crop
    assert (square, crop) == ((256, 224) if "papers" in name else (128, 112))
    start = (square - crop) // 2
    generator = np.random.default_rng(0)
    for height, width in [(square, square), (square, square - 6), (crop - 31, square)]:
        image = generator.integers(0, 256, (height, width), dtype=np.uint8)
        Image.fromarray(image).save("radiograph.png")
        features = run_the_card(tmp_path / "exported")
        seen = resize_and_pad(image, square)[None, start : start + crop, start : start + crop]
        with torch.no_grad():
            inputs = model.data_preprocessor(dict(inputs=dict(image=torch.from_numpy(seen)[:, None])))["inputs"]
            expected = model.image_encoder(inputs["image"]).global_feature
            embedding = F.normalize(model.image_projector(features), dim=1)
        assert features.shape == expected.shape and expected.std() > 1e-3
        assert (features - expected).abs().max() <= 1e-5
        assert (embedding - model.encode_images(seen)).abs().max() <= 1e-5


def test_what_is_in_the_folder(tmp_path):
    run = make_run("upsampled", tmp_path)
    printed = export(run / "epoch_1.pth", tmp_path / "it's")
    names = ["README.md", "config.json", "model.safetensors", "preprocessor_config.json"]
    files = sorted((tmp_path / "it's").iterdir())
    assert [path.name for path in files] == names and "No config" not in printed
    assert len({stat.S_IMODE(path.stat().st_mode) for path in files}) == 1
    card = ModelCard.load(tmp_path / "it's" / "README.md")
    assert card.data.library_name == "transformers" and card.data.license is None
    assert "| epochs | 6 |" in card.text and "not a medical" in card.text and '"it\'s"' in card.text
    content = "".join(path.read_text() for path in files if path.suffix != ".safetensors")
    assert str(tmp_path) not in content and os.path.expanduser("~/") not in content


def test_a_checkpoint_alone(tmp_path):
    """The sizes are those of the paper for such a backbone, and the card says that they are not known."""
    for name, config, crop, square in [("vit", SMALL_VIT, 64, 73), ("r18", BACKBONES["resnet18"], 224, 256)]:
        torch.save({"state_dict": checkpoint_of(MODELS.build(config))}, tmp_path / "alone.pth")
        assert "No config" in export(tmp_path / "alone.pth", tmp_path / name)
        processor = AutoImageProcessor.from_pretrained(tmp_path / name)
        assert processor.crop_size["height"] == crop and processor.size["max_height"] == square
        card = (tmp_path / name / "README.md").read_text()
        assert "not known" in card and "interpolate" not in card
    extract_backbone(checkpoint_of(MODELS.build(BACKBONES["resnet50"])), tmp_path / "r50", "huggingface")
    assert "size=299" in (tmp_path / "r50" / "README.md").read_text()


def test_an_encoder_of_another_project(tmp_path):
    """Its normalization is not ours, and it was not shown upsampled crops; the converted file says so."""
    weights = {f"backbone.{name}": value for name, value in MODELS.build(BACKBONES["resnet50"]).state_dict().items()}
    levels = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
    meta = dict(converted_by="from-cxr-clip", data_preprocessor=levels, image_size=224)
    torch.save({"state_dict": weights, "meta": meta}, tmp_path / "converted.pth")
    assert "No config" not in export(tmp_path / "converted.pth", tmp_path / "r50")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "r50")
    assert [255 * level for level in processor.image_mean] == pytest.approx(levels["mean"])
    assert [255 * level for level in processor.image_std] == pytest.approx(levels["std"])
    card = (tmp_path / "r50" / "README.md").read_text()
    assert "mean 123.675, 116.28, 103.53" in card and "| project | cxr-clip |" in card and "interpolate" not in card


def test_a_config_of_another_model(tmp_path):
    """A vision transformer takes one size: what lies beside it does not count where it says another one."""
    target = tmp_path / "vit"
    extract_backbone(checkpoint_of(MODELS.build(SMALL_VIT)), target, "huggingface", Training(facts={"config": "x"}))
    assert AutoImageProcessor.from_pretrained(target).crop_size["height"] == 64
    assert "| config | x |" not in (target / "README.md").read_text()


def test_what_the_card_says_of_a_run(tmp_path):
    """Of a config that somebody has made by hand, names and numbers alone; and what sizes it gives."""
    steps = "[dict(type='mgca_mm.ResizeAndPad', size=300)]"
    (tmp_path / "mine.py").write_text(
        "model = dict(image_encoder=dict(pooling=dict(type='WeldonPooling'), resize_to=240), "
        "data_preprocessor=dict(crop_size=200, mean=100), alignments=dict(ita=dict(type='InstanceAlignment')))\n"
        f"test_dataloader = dict(dataset=dict(pipeline={steps}))\n"
        "optim_wrapper = dict(optimizer=dict({'type': 'Lion'}))\nrandomness = dict(seed='/home/someone/seed')\n"
    )
    facts = {"config": "mine", "aligned by": "InstanceAlignment", "pooled by": "WeldonPooling", "optimizer": "Lion"}
    assert training_of(tmp_path / "epoch_1.pth") == Training(300, 200, 240, (100.0,) * 3, (127.5,) * 3, facts)


@pytest.mark.parametrize(
    "text",
    [
        "open('ran', 'w')\nmodel = dict(data_preprocessor=dict(mean=open('ran', 'w')))\n",
        "model = 3\n",
        "model = dict(\n",
        "model = dict(**other)\n",
        "model = \0\n",
        f"model = {'(' * 5000}\n",
        "a.b = 1\n",
        "model = dict(image_encoder=dict(), data_preprocessor=dict(mean='dark'), alignments={})\n",
        "",
    ],
)
def test_a_config_is_read_as_data(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(text)
    assert training_of(tmp_path / "epoch_1.pth") is None
    assert [path.name for path in tmp_path.iterdir()] == ["config.py"]


def test_where_the_processor_differs(tmp_path):
    """What the card says: resizing by about a gray level, and an odd short side that is cropped by one pixel."""
    extract_backbone(checkpoint_of(MODELS.build(BACKBONES["resnet18"])), tmp_path / "r18", "huggingface")
    processor = AutoImageProcessor.from_pretrained(tmp_path / "r18")

    def both(image):
        theirs = processor(Image.fromarray(image), return_tensors="pt").pixel_values[0, 0] * 127.5 + 127.5
        return theirs, torch.from_numpy(resize_and_pad(image, 256)[16:240, 16:240]).float()

    generator = np.random.default_rng(0)
    theirs, ours = both(generator.integers(0, 256, (256, 233), dtype=np.uint8))
    assert not torch.equal(theirs, ours)
    assert (theirs[:, 1:] - ours[:, :-1]).abs().max() < 1e-3
    smooth = cv2.GaussianBlur(generator.integers(0, 256, (1200, 1000), dtype=np.uint8), (0, 0), 4)
    smooth = cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)
    theirs, ours = both(smooth)
    assert 0 < (theirs - ours).abs().mean() < 2
