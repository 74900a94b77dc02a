"""Training a linear layer on features that were encoded once."""

import hashlib
import json
import logging
import zipfile
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, Compose, default_collate
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import nn
from torch.utils.data import DataLoader

from mgca_mm.bounds import size_of
from mgca_mm.distributed import unwrapped
from mgca_mm.errors import UserError
from mgca_mm.files import open_atomically
from mgca_mm.prepared import MANIFEST
from mgca_mm.progress import tracked
from mgca_mm.registry import HOOKS


@HOOKS.register_module()
class CachedFeaturesHook(Hook):
    """Encodes every image once, before training; the loop then reads features instead of images.

    For mmpretrain's classifiers with a frozen backbone. Training and validation images go through the validation's
    pipeline: where training has no augmentation the result is that of the loop, where it has, the augmentation is left
    out. The model and its checkpoints are intact as ever, so that a test needs no cache.

    Args:
        folder: Where the features are kept, to be read by the next run with the same encoder and images. None: the
            hook does nothing.
    """

    priority = "VERY_LOW"  # After the hooks that load weights.

    def __init__(self, folder: str | None = None):
        self.folder = None if folder is None else Path(folder)

    def before_train(self, runner) -> None:
        """Encode, and let the loaders deliver features.

        Raises:
            UserError: If the backbone is not frozen.
        """
        if self.folder is None:
            return
        model = unwrapped(runner.model)
        if any(parameter.requires_grad for parameter in model.backbone.parameters()):
            raise UserError("Features can be cached of a frozen backbone only: set model.backbone.frozen_stages.")
        pipeline, digest = runner.val_loop.dataloader.dataset.pipeline, _digest(model, runner.cfg)
        for loader in (runner.train_loop.dataloader, runner.val_loop.dataloader):
            features = self._load_or_encode(model, loader, pipeline, digest)
            loader.dataset.pipeline = Compose([partial(_take_feature, features)])
        # From here on the classifier's inputs are its features: neither normalized nor encoded again.
        model.data_preprocessor._enable_normalize = False
        model.extract_feat = lambda inputs, stage="neck": (inputs,)

    def after_train(self, runner) -> None:
        """Give the model its encoder back."""
        if self.folder is not None:
            model = unwrapped(runner.model)
            model.data_preprocessor._enable_normalize = True
            del model.extract_feat

    def _load_or_encode(
        self, model: nn.Module, loader: DataLoader, pipeline: Compose, digest: str
    ) -> dict[str, np.ndarray]:
        """Features of the images of a data set, by image."""
        dataset = loader.dataset
        ids = [dataset.get_data_info(index)["image_id"] for index in range(len(dataset))]
        manifest = Path(dataset.data_root) / MANIFEST  # of prepared data; it has a checksum of every file
        prepared = ""
        if manifest.exists():
            size_of(manifest)  # A pipe could be read without end.
            prepared = manifest.read_text(encoding="utf-8", errors="replace")
        key = json.dumps([digest, str(dataset.ann_file), prepared])
        path = self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:24]}.npz"
        known = {}
        if path.exists():
            sample = _encode(model, dataset, pipeline, [0], num_workers=0)
            known = _read(path, sample.shape[1])
        todo = [index for index, image_id in enumerate(ids) if image_id not in known]
        if todo:
            print_log(f"encode {len(todo)} images of {dataset.ann_file}", logger="current")
            encoded = _encode(model, dataset, pipeline, todo, loader.num_workers)
            known |= dict(zip((ids[index] for index in todo), encoded, strict=True))
            self._save(path, known)
        return known

    def _save(self, path: Path, features: dict[str, np.ndarray]) -> None:
        """Write a cache file such that no other run meets half of it; without it, this run has its features still."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open_atomically(path) as file:
                np.savez(file, image_ids=np.array(list(features)), features=np.stack(list(features.values())))
        except OSError as error:
            text = f"The features cannot be kept in {self.folder.name} ({error.strerror}): the next run encodes again"
            print_log(text, logger="current", level=logging.WARNING)


def _read(path: Path, width: int) -> dict[str, np.ndarray]:
    """Features (width,) of a cache file by image; none of a damaged file, which will be written anew."""
    try:
        size = size_of(path)
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > size:
                raise ValueError("it is compressed, which ours are not")
        with np.load(path, allow_pickle=False) as content:
            ids, features = content["image_ids"], content["features"]
        if features.shape != (len(ids), width) or features.dtype != np.float32 or not np.isfinite(features).all():
            raise ValueError("no features of this encoder")
        if len(set(ids.tolist())) < len(ids):
            raise ValueError("an image stands in it twice")
        return dict(zip(ids.tolist(), features, strict=True))
    except Exception as error:  # numpy, zipfile and zlib raise half a dozen kinds
        text = f"The cached features {path.name} are damaged ({type(error).__name__}): the images are encoded again"
        print_log(text, logger="current", level=logging.WARNING)
        return {}


def _take_feature(features: dict[str, np.ndarray], results: dict) -> dict:
    """The pipeline of a data set whose images are encoded already."""
    from mmpretrain.structures import DataSample

    sample = DataSample(metainfo={"image_id": results["image_id"]}).set_gt_label(results["gt_label"])
    return {"inputs": torch.from_numpy(features[results["image_id"]]), "data_samples": sample}


@torch.no_grad()
def _encode(
    model: nn.Module, dataset: BaseDataset, pipeline: Compose, indices: Iterable[int], num_workers: int
) -> np.ndarray:
    """Features after the neck, (N, C) float32, in evaluation mode."""
    was_training = model.training
    model.eval()
    images = [{**dataset.get_data_info(index)} for index in indices]
    collate = partial(_transformed, pipeline)
    features = []
    loader = DataLoader(images, batch_size=64, num_workers=num_workers, collate_fn=collate)
    for batch in tracked(loader, "encode images", len(loader)):
        features.append(model.extract_feat(model.data_preprocessor(batch)["inputs"])[-1].float().cpu().numpy())
    model.train(was_training)
    return np.concatenate(features)


def _transformed(pipeline: Compose, samples: list[dict]) -> dict:
    """A batch of the images of samples, as a loader's worker makes it."""
    return default_collate([{"inputs": pipeline(sample)["inputs"]} for sample in samples])


def _digest(model: nn.Module, cfg: Config) -> str:
    """Fingerprint of all that makes features of an image: weights, and the config of what comes before the head.

    The config, because modules and transforms need not tell their parameters, such as the size of the encoder's input.
    """
    parts = {name: part for name, part in cfg.model.to_dict().items() if name != "head"}
    parts["backbone"].pop("init_cfg", None)  # where the weights came from; another name may hold the same
    pipeline = cfg.val_dataloader.dataset.pipeline
    digest = hashlib.sha256(repr((parts, cfg.get("data_preprocessor"), pipeline)).encode())
    for name, tensor in model.backbone.state_dict().items():
        digest.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
