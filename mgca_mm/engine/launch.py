"""Starting a run: command-line options into the config, and ranks without GPUs."""

import importlib.util
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed
from mmengine import visualization
from mmengine.config import Config

from mgca_mm.errors import UserError

from .batch import divide_batch, ranks_to_come
from .config import load_config, require_data
from .installation import install
from .validation import validate
from .work_dir import require_writable


def configure_run(
    config: str,
    cfg_options: dict | None = None,
    work_dir: str | None = None,
    launcher: str = "none",
    amp: bool = False,
    total_batch: int | None = None,
    auto_scale_lr: bool = False,
    splits: Sequence[str] = ("train", "val", "test"),
) -> Config:
    """Install what a run needs, and make its config, for ``Runner.from_cfg``, from options of ``train`` or ``test``.

    Args:
        config: Config file.
        cfg_options: Changes, dotted key → value.
        work_dir: Folder of logs and checkpoints. None: the config's, or ``work_dirs/<config's name>``.
        launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.
        amp: Train under bfloat16 autocast.
        total_batch: Samples a step of all ranks together, to be divided among them. None: the config's for each rank.
        auto_scale_lr: Scale the learning rate by the samples a step to those of the recipe.
        splits: Those that the run reads; the annotation files of others need not be there.

    Raises:
        UserError: If the config is faulty, if it or the data it asks for is missing, if an option cannot be combined
            with it, or if the work dir cannot be written.
    """
    install()
    cfg = load_config(config, cfg_options)
    if auto_scale_lr:
        if "base_batch_size" not in (cfg.get("auto_scale_lr") or {}):
            raise UserError(f"--auto-scale-lr: {config} has no auto_scale_lr=dict(base_batch_size=N) to scale from.")
        cfg.auto_scale_lr.enable = True
    validate(cfg)
    if total_batch is not None:
        divide_batch(cfg, total_batch, ranks_to_come(launcher))
    require_data(cfg, splits)
    _require_visualizer(cfg)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(config).stem)
    require_writable(cfg.work_dir)
    if amp:
        wrapper = cfg.optim_wrapper.get("type", "OptimWrapper")
        if wrapper.rpartition(".")[2] not in ("OptimWrapper", "BFloat16OptimWrapper"):
            raise UserError(f"--amp replaces OptimWrapper, but this config has its own optim_wrapper: {wrapper}.")
        cfg.optim_wrapper.type = "mgca_mm.BFloat16OptimWrapper"
    if launcher != "none":
        prepare_ranks(cfg)
    return cfg


def _require_visualizer(cfg: Config) -> None:
    """Check that the package of each visualization backend is there; MMEngine looks when the run has begun."""
    known = {name for name in dir(visualization) if name.endswith("VisBackend")}
    for backend in (cfg.get("visualizer") or {}).get("vis_backends") or []:
        name = backend.get("type", "").rpartition(".")[2]
        package = name.removesuffix("VisBackend").lower()  # so MMEngine names its own
        if name in known - {"BaseVisBackend", "LocalVisBackend"} and importlib.util.find_spec(package) is None:
            raise UserError(
                f"visualizer.vis_backends: {name} needs the package {package}, which is not installed.\n"
                f"Install it (pip install {package}), or take the backend out of the config."
            )


def prepare_ranks(cfg: Config) -> None:
    """Say how the model is wrapped for several ranks; without GPUs, let them meet over gloo, in place.

    Gradients are views of the buckets that travel between the ranks; MMEngine's default keeps them twice.
    ``static_graph`` is left alone: it saves nothing where nobody looks for unused parameters, and under it torch stops
    with a fault of its own where the first iteration only accumulates.
    """
    wrapper = dict(type="MMDistributedDataParallel", broadcast_buffers=False, gradient_as_bucket_view=True)
    wrapper["find_unused_parameters"] = cfg.get("find_unused_parameters", False)
    if torch.cuda.is_available():
        _require_gpu(cfg.launcher)
        cfg.setdefault("model_wrapper_cfg", wrapper)
        return
    cfg.setdefault("model_wrapper_cfg", dict(wrapper, device_ids=None))
    # MMEngine's own set-up asks for a CUDA device for each.
    if cfg.launcher == "slurm":
        _name_slurm_rank()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend="gloo")


def _require_gpu(launcher: str) -> None:
    """Check that this rank has a GPU of its own, where torch would say "invalid device ordinal".

    Raises:
        UserError: There are fewer GPUs than ranks on this machine.
    """
    number = int(os.environ.get("SLURM_LOCALID" if launcher == "slurm" else "LOCAL_RANK", 0))
    if number >= torch.cuda.device_count():
        raise UserError(
            f"Rank {number} of this machine has no GPU of its own: PyTorch sees {torch.cuda.device_count()}.\n"
            "Start as many ranks as there are GPUs, and let each rank see all of them."
        )


def _name_slurm_rank() -> None:
    """Tell torch what SLURM says of this rank."""
    for name, slurm in dict(RANK="SLURM_PROCID", WORLD_SIZE="SLURM_NTASKS", LOCAL_RANK="SLURM_LOCALID").items():
        os.environ[name] = os.environ.get(slurm, os.environ.get(name, "0"))
    if "MASTER_ADDR" not in os.environ and int(os.environ.get("SLURM_NNODES", 1)) > 1:
        raise UserError("Set MASTER_ADDR to the first node's name; without GPUs it is not asked for.")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")


def close_ranks() -> None:
    """Wait for the other ranks and end the process, the last thing that a command does; nothing with one process.

    Leaving the group first keeps a rank that exits early from aborting its neighbors. Then the process ends at once:
    threads of gloo that outlive the interpreter abort it now and then, and a finished run would seem to have failed;
    over NCCL one was seen to linger for half a minute.
    """
    if not torch.distributed.is_initialized():
        return
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
