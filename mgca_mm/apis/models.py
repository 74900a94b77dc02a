"""Pretrained models by the name of their config."""

import fnmatch
from pathlib import Path
from typing import Any

import torch
from mmengine.registry import DefaultScope
from torch import nn

from mgca_mm.engine.config import load_config
from mgca_mm.engine.config_errors import errors_named_by_key
from mgca_mm.engine.config_files import CONFIGS
from mgca_mm.engine.pretrained import load_complete_model
from mgca_mm.engine.validation import validate
from mgca_mm.registry import MODELS

_PRETRAINING = ("pretrain", "released", "ablation")


def list_models(pattern: str = "*") -> list[str]:
    """Names of the configs of pretraining, such as ``mgca/pretrain_vit``.

    Args:
        pattern: Those that match it, in the manner of file names: ``'*_vit'``, ``'quickstart/*'``.
    """
    files = (file for word in _PRETRAINING for file in CONFIGS.glob(f"[!_]*/{word}_*.py"))
    return sorted(fnmatch.filter((file.relative_to(CONFIGS).with_suffix("").as_posix() for file in files), pattern))


def get_model(
    config: str | Path,
    checkpoint: str | Path | None = None,
    device: str | torch.device | None = None,
    cfg_options: dict[str, Any] | None = None,
) -> nn.Module:
    """Build the model of a config, in evaluation mode.

    Args:
        config: Name, as :func:`list_models` has it, or config file.
        checkpoint: Weights that fill the whole model: a file, or a run's folder, of which the best one is taken. None:
            as the config builds it, untrained.
        device: Such as ``'cuda'``. None: a GPU where there is one.
        cfg_options: Changes of the config, dotted key → value, such as ``{'text_model': FOLDER}`` for the text model
            where the hub cannot be reached.

    Returns:
        The model, with its config as ``model.cfg`` and what its checkpoint says of the training data as
        ``model.dataset_meta``. One of pretraining encodes images by
        :meth:`~mgca_mm.models.ImageReportPretrainer.encode_images`; images of any size and reports are what
        :class:`mgca_mm.apis.RadiographInferencer` is for.

    Raises:
        UserError: The config or the checkpoint is missing, faulty, or they do not belong together.
    """
    cfg = load_config(config, cfg_options)
    validate(cfg)
    with errors_named_by_key(cfg), DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
        model = MODELS.build(cfg.model)
    meta = {} if checkpoint is None else load_complete_model(model, str(checkpoint))
    model.cfg = cfg  # as in init_detector of mmdet and init_model of mmseg
    model.dataset_meta = meta.get("dataset_meta")
    return model.to(device or ("cuda" if torch.cuda.is_available() else "cpu")).eval()
