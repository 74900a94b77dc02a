"""Sections of a config that name no type: what MMEngine takes in them. It passes over what it does not know."""

from typing import Any, Literal

import torch.distributed
from torch.utils.data import DataLoader

from .signatures import parameters_of

# Place → names and type hints of what may stand there, or the type that the runner takes where none is named.
UNTYPED = {
    "randomness": {"seed": int | None, "diff_rank_seed": bool, "deterministic": bool},
    "env_cfg": {
        "cudnn_benchmark": bool,
        "mp_cfg": dict | None,
        "dist_cfg": dict,
        "resource_limit": int | None,
        "float32_matmul_precision": Literal["highest", "high", "medium"],  # PrivateRunner's
    },
    "env_cfg.mp_cfg": {"mp_start_method": str, "opencv_num_threads": int},
    "env_cfg.dist_cfg": {
        **dict.fromkeys(parameters_of(torch.distributed.init_process_group)[0], Any),
        "backend": Literal[tuple(torch.distributed.Backend.backend_list)],  # of which one process would say nothing
        "init_backend": str,
        "init_method": str,
        "timeout": float,
        "port": int,
    },
    "auto_scale_lr": {"enable": bool, "base_batch_size": int},
    "train_dataloader": DataLoader,
    "val_dataloader": DataLoader,
    "test_dataloader": DataLoader,
    "optim_wrapper": "OptimWrapper",
    "optim_wrapper.clip_grad": torch.nn.utils.clip_grad_norm_,
    "optim_wrapper.paramwise_cfg": {
        "custom_keys": dict,
        "bias_lr_mult": float,
        "bias_decay_mult": float,
        "norm_decay_mult": float,
        "flat_decay_mult": float,
        "dwconv_decay_mult": float,
        "dcn_offset_lr_mult": float,
        "bypass_duplicate": bool,
    },
    "train_cfg": "EpochBasedTrainLoop",
    "val_cfg": "ValLoop",
    "test_cfg": "TestLoop",
    "visualizer": "Visualizer",
    "log_processor": "LogProcessor",
}
