"""Frozen image encoders by config and checkpoint, without the rest of the model."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope
from mmengine.runner import set_random_seed
from torch import nn

from mgca_mm.checkpoints.conversion.preprocessing import normalization_of
from mgca_mm.checkpoints.selection import select_checkpoint
from mgca_mm.checkpoints.weights import read_weights
from mgca_mm.engine.config import RANDOM, find_config, load_config
from mgca_mm.engine.config_errors import errors_named_by_key
from mgca_mm.engine.pretrained import CompletePretrainedInit
from mgca_mm.errors import UserError
from mgca_mm.registry import MODELS

from .run_folder import config_beside

_PREFIX = "image_encoder."
_WHERE = re.compile(r"((?:mgca_mm::)?[^:]+)(?::(.+))?")  # CONFIG[:CHECKPOINT]


class NamedEncoder(NamedTuple):
    """An image encoder as a command line names it.

    Attributes:
        name: Of a row of a table.
        config: Its config of pretraining.
        checkpoint: File, URL or ``torchvision://`` name of its weights; None: random ones.
    """

    name: str
    config: Path
    checkpoint: str | None


def read_encoders(words: Sequence[str]) -> list[NamedEncoder]:
    """Encoders of ``NAME=RUN`` (its folder or a checkpoint), ``NAME=CONFIG:CHECKPOINT`` and ``NAME=CONFIG``.

    Returns:
        The random ones first, which others are compared with.

    Raises:
        UserError: A word is malformed, names nothing, or a name stands twice.
    """
    encoders: dict[str, NamedEncoder] = {}
    for word in words:
        name, _, where = word.partition("=")
        parts = _WHERE.fullmatch(where)
        if not name or parts is None:
            raise UserError(f"--encoders {word}: expected NAME=RUN, NAME=CONFIG:CHECKPOINT or NAME=CONFIG")
        if name in encoders:
            raise UserError(f"--encoders {word}: there are two of this name\nGive each a name of its own.")
        config, checkpoint = parts.groups()
        if Path(where).exists() and not where.endswith(".py"):
            config, checkpoint = config_beside(where), where
        if checkpoint and "://" not in checkpoint and not Path(checkpoint).exists():
            raise UserError(f"--encoders {word}: no such file: {checkpoint}")
        encoders[name] = NamedEncoder(name, find_config(config), checkpoint and select_checkpoint(checkpoint))
    return sorted(encoders.values(), key=lambda encoder: encoder.checkpoint is not None)


def build_encoder(config: Path, checkpoint: str | None, seed: int = 42) -> tuple[nn.ModuleDict, Config]:
    """``image_encoder`` and ``data_preprocessor`` of a config, on a GPU where there is one, and the config.

    The text encoder is not built: its weights may lie where nobody can read them, and no image needs them.

    Args:
        config: Config of a pretraining.
        checkpoint: Weights of the whole model or of its backbone alone, also by another project's names; None: the
            backbone's own random initialization, whatever the config starts from.
        seed: Of random weights.

    Raises:
        UserError: The config is of no pretraining, the checkpoint does not fit, or random weights are asked for of a
            backbone that brings others.
    """
    cfg = load_config(config)
    if "image_init" in cfg:
        cfg = load_config(config, {"image_init": RANDOM})
    if "image_encoder" not in cfg.get("model", {}):
        raise UserError(f"{config} is no config of a pretraining: it has no 'model.image_encoder'.")
    _forget_start(cfg.model.image_encoder, config, is_random=checkpoint is None)
    weights, meta = ({}, {}) if checkpoint is None else read_weights(checkpoint)
    set_random_seed(seed)
    scope = DefaultScope.overwrite_default_scope(cfg.get("default_scope"))
    with _quiet(), errors_named_by_key(cfg), scope:
        parts = {part: MODELS.build(cfg.model[part]) for part in ("data_preprocessor", "image_encoder")}
        parts["image_encoder"].init_weights()
    if checkpoint is not None:
        is_whole = any(name.startswith(_PREFIX) for name in weights)
        load = CompletePretrainedInit(checkpoint, _PREFIX if is_whole else None)
        with _quiet():
            load(parts["image_encoder"] if is_whole else parts["image_encoder"].backbone)
    # One by one: a data preprocessor notes the device only when it is moved itself.
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for name, levels in (normalization_of(meta) or {}).items():  # encoders of other projects bring their own
        setattr(parts["data_preprocessor"], name, torch.tensor(levels, device=device).view(3, 1, 1))
    return nn.ModuleDict({name: part.to(device) for name, part in parts.items()}), cfg


def _forget_start(part: object, config: Path, is_random: bool) -> None:
    """Leave out what an encoder would start from: a checkpoint brings all weights, or they are to be random."""
    if isinstance(part, list | tuple):
        for item in part:
            _forget_start(item, config, is_random)
    elif isinstance(part, dict):
        if is_random and (part.get("pretrained") or part.get("checkpoint")):
            raise UserError(
                f"{config}: its backbone brings weights by itself, so it is no random one\n"
                "Name a config without 'pretrained' and 'checkpoint', or a checkpoint: NAME=CONFIG:CHECKPOINT."
            )
        starts = part.get("init_cfg") or []
        if any(
            str(init.get("type")).endswith("Pretrained") for init in (starts if isinstance(starts, list) else [starts])
        ):
            del part["init_cfg"]
        for value in part.values():
            _forget_start(value, config, is_random)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines of MMEngine and mmpretrain about each parameter and stage."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)
