"""A checkpoint has one feature of an image, whichever way leads to it: pretraining, probes, cache, inferencer."""

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mgca_mm.apis import RadiographInferencer
from mgca_mm.apis.prepared import load_pairs
from mgca_mm.engine import install
from mgca_mm.engine.config import load_config
from mgca_mm.engine.hooks.cached_features import CachedFeaturesHook
from mgca_mm.evaluation.linear_probe import extract_features
from mgca_mm.phantom.layouts import PhantomOptions, write_mimic_cxr
from mgca_mm.preparation import Options, prepare
from mgca_mm.registry import DATASETS, MODELS
from tests.conftest import ROOT

install()

# Config of the pretraining, the classification that probes it, and the size that data are prepared at.
PAIRS = {
    "resnet50": ("mgca/pretrain_resnet50.py", "downstream/classification/chexpert_resnet50.py", 256),
    "vit": ("mgca/pretrain_vit.py", "downstream/classification/chexpert_vit.py", 256),
    "resnet18": ("quickstart/pretrain_resnet18.py", "quickstart/classification_chexpert.py", 128),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Prepared pairs with labels, at a size."""
    root = tmp_path_factory.mktemp("pairs")
    write_mimic_cxr(root / "raw", PhantomOptions(patients=8, seed=3, split=(0.5, 0.25, 0.25)), progress=False)

    def folder_of(size):
        if not (root / str(size)).exists():
            prepare("mimic_cxr", root / "raw", root / str(size), Options(image_size=size, vocab_size=1000))
        return root / str(size)

    return folder_of


def pretrain(config, options, path):
    """A checkpoint whose weights and statistics are unlike any initialization's; returns its config."""
    cfg = load_config(str(ROOT / "configs" / config), options)
    init_default_scope("mgca_mm")
    state_dict = MODELS.build(cfg.model).state_dict()
    generator = torch.Generator().manual_seed(7)
    for name, value in state_dict.items():
        if name.startswith("image_encoder") and value.is_floating_point():
            value += 1e-3 * torch.rand(value.shape, generator=generator)
    torch.save({"state_dict": state_dict}, path)
    return cfg


@pytest.mark.parametrize("encoder", PAIRS)
@torch.no_grad()
def test_every_way_gives_the_same_feature(encoder, data, prepared, tmp_path):
    config, probe, size = PAIRS[encoder]
    folder, checkpoint = data(size), tmp_path / "checkpoint.pth"
    options = {"data_root": str(folder)}
    if encoder != "resnet18":
        options |= {"text_model": str(prepared / "text_model"), "image_init": "random"}
    cfg = pretrain(config, options, checkpoint)
    inferencer = RadiographInferencer(ROOT / "configs" / config, checkpoint, device="cpu", cfg_options=options)
    pairs = load_pairs(folder, "val")
    images = inferencer._pack([pair.image for pair in pairs])["image"]
    expected = inferencer.model.image_encoder(images).global_feature.numpy()
    names = [pair.image.name for pair in pairs]
    assert len(names) > 1

    # tools/linear_probe.py
    dataset = DATASETS.build(cfg.val_dataloader.dataset)
    ways = {"probe": dict(zip(*extract_features(inferencer.model, dataset, num_workers=0)[:2], strict=True))}

    # The classification, by its own loader and model, and by its cache.
    cfg = load_config(str(ROOT / "configs" / probe), {"data_root": str(folder), "image_init": str(checkpoint)})
    cfg.work_dir = str(tmp_path / "run")
    cfg.train_dataloader.dataset.ann_file = "val.json"  # whose images the cache then encodes only once
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(batch_size=4, num_workers=0, persistent_workers=False)
    runner = Runner.from_cfg(cfg)
    runner.model.init_weights()
    model = runner.model.eval()
    features = [
        feature
        for batch in runner.val_loop.dataloader
        for feature in model.extract_feat(model.data_preprocessor(batch)["inputs"])[-1].numpy()
    ]
    ways["classification"] = dict(zip(names, features, strict=True))  # in the order of the file, as the pairs are
    CachedFeaturesHook(str(tmp_path / "features")).before_train(runner)
    (file,) = (tmp_path / "features").iterdir()
    ways["cache"] = dict(zip(*np.load(file).values(), strict=True))
    for way, features in ways.items():
        found = np.stack([features[name] for name in names])
        cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1) / np.linalg.norm(expected, axis=1)
        assert cosine.min() > 1 - 1e-6, way
        assert np.abs(found - expected).max() <= 1e-5, way
