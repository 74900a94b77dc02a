"""An untrained model in the shape of the quickstart's, and a small prepared phantom."""

import shutil
from pathlib import Path

import pytest
import torch
from mmengine.registry import init_default_scope

from mgca_mm.apis import RadiographInferencer
from mgca_mm.engine.config import load_config
from mgca_mm.registry import MODELS
from tests.conftest import ROOT

CONFIG = ROOT / "configs/quickstart/pretrain_resnet18.py"


def save_weights(config, path, options, seed=0):
    """Random weights of a config's model."""
    init_default_scope("mgca_mm")
    torch.manual_seed(seed)
    torch.save({"state_dict": MODELS.build(load_config(str(config), options).model).state_dict()}, path)
    return path


@pytest.fixture(scope="session")
def options(prepared):
    return {"data_root": str(prepared / "data")}


@pytest.fixture(scope="session")
def weights(tmp_path_factory, options):
    return save_weights(CONFIG, tmp_path_factory.mktemp("weights") / "epoch_1.pth", options)


@pytest.fixture(scope="session")
def inferencer(weights, options):
    return RadiographInferencer(CONFIG, weights, device="cpu", cfg_options=options, show_progress=False)


@pytest.fixture(scope="session")
def checkpoint(weights, options, tmp_path_factory):
    """The weights with their config beside them, for the command lines."""
    folder = tmp_path_factory.mktemp("run")
    load_config(str(CONFIG), options).dump(folder / "pretrain_resnet18.py")
    return Path(shutil.copy(weights, folder))
