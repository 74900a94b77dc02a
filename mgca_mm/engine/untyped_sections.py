"""Sections of a config that name no type: what MMEngine takes in them. It passes over what it does not know."""

from typing import Literal, TypedDict

import torch.distributed
from torch.utils.data import DataLoader


class Randomness(TypedDict):
    """``randomness``."""

    seed: int | None
    diff_rank_seed: bool
    deterministic: bool


class Environment(TypedDict):
    """``env_cfg``; the precision is of :class:`mgca_mm.engine.runner.PrivateRunner`."""

    cudnn_benchmark: bool
    mp_cfg: dict
    dist_cfg: dict
    resource_limit: int
    float32_matmul_precision: Literal["highest", "high", "medium"]


class Processes(TypedDict):
    """``env_cfg.mp_cfg``."""

    mp_start_method: str
    opencv_num_threads: int


class Ranks(TypedDict):
    """``env_cfg.dist_cfg``, which is read on several ranks only."""

    backend: Literal[tuple(torch.distributed.Backend.backend_list)]
    init_backend: str
    init_method: str
    timeout: int
    port: int


class LearningRateScale(TypedDict):
    """``auto_scale_lr``."""

    enable: bool
    base_batch_size: int


class ParameterGroups(TypedDict):
    """``optim_wrapper.paramwise_cfg`` of MMEngine's constructor and ours."""

    custom_keys: dict
    bias_lr_mult: float
    bias_decay_mult: float
    norm_decay_mult: float
    flat_decay_mult: float
    dwconv_decay_mult: float
    dcn_offset_lr_mult: float
    bypass_duplicate: bool


# What stands at a place where there is no type, or the name of the type that the runner takes then.
UNTYPED = {
    "randomness": Randomness,
    "env_cfg": Environment,
    "env_cfg.mp_cfg": Processes,
    "env_cfg.dist_cfg": Ranks,
    "auto_scale_lr": LearningRateScale,
    "train_dataloader": DataLoader,
    "val_dataloader": DataLoader,
    "test_dataloader": DataLoader,
    "optim_wrapper": "OptimWrapper",
    "optim_wrapper.paramwise_cfg": ParameterGroups,
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "visualizer": "Visualizer",
    "log_processor": "LogProcessor",
}
