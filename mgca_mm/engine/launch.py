"""Starting a run: command-line options into the config, and ranks without GPUs."""

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.distributed
from mmengine.config import Config

from mgca_mm.errors import UserError

from .config import load_config, require_data
from .validation import validate

# Of every run, also of another library's config.
_TRUSTWORTHY_HOOKS = dict(
    step_seed=dict(type="mgca_mm.StepSeedHook"),
    non_finite=dict(type="mgca_mm.NonFiniteGuardHook"),
    broken_samples=dict(type="mgca_mm.BrokenSamplesHook"),
    plain_checkpoint=dict(type="mgca_mm.PlainCheckpointHook"),
    termination=dict(type="mgca_mm.TerminationHook"),
)


def configure_run(
    config: str,
    cfg_options: dict | None = None,
    work_dir: str | None = None,
    launcher: str = "none",
    amp: bool = False,
    splits: Sequence[str] = ("train", "val", "test"),
) -> Config:
    """Config of a run from the options of ``tools/train.py`` and ``tools/test.py``.

    Args:
        config: Config file.
        cfg_options: Changes, dotted key → value.
        work_dir: Folder of logs and checkpoints. None: the config's, or ``work_dirs/<config's name>``.
        launcher: ``'none'``, ``'pytorch'`` or ``'slurm'``.
        amp: Train under bfloat16 autocast.
        splits: Those that the run reads; the annotation files of others need not be there.

    Returns:
        Config ready for :meth:`mmengine.runner.Runner.from_cfg`.

    Raises:
        UserError: If the config is faulty, if it or the data it asks for is missing, or if ``amp`` cannot be combined
            with its optimiser.
    """
    cfg = load_config(config, cfg_options)
    validate(cfg)
    require_data(cfg, splits)
    cfg.launcher = launcher
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get("work_dir") is None:
        cfg.work_dir = str(Path("work_dirs") / Path(config).stem)
    hooks = dict(cfg.get("default_hooks") or {})
    cfg.default_hooks = hooks | {name: hook for name, hook in _TRUSTWORTHY_HOOKS.items() if name not in hooks}
    if amp:
        wrapper = cfg.optim_wrapper.get("type", "OptimWrapper")
        if wrapper not in ("OptimWrapper", "BFloat16OptimWrapper"):
            raise UserError(f"--amp replaces OptimWrapper, but this config has its own optim_wrapper: {wrapper}.")
        cfg.optim_wrapper.type = "BFloat16OptimWrapper"
    if launcher != "none" and not torch.cuda.is_available():
        _use_cpu_ranks(cfg)
    return cfg


def _use_cpu_ranks(cfg: Config) -> None:
    """Let ranks meet over gloo; MMEngine's own set-up asks for a CUDA device for each."""
    wrapper = dict(type="MMDistributedDataParallel", device_ids=None, broadcast_buffers=False)
    wrapper["find_unused_parameters"] = cfg.get("find_unused_parameters", False)
    cfg.setdefault("model_wrapper_cfg", wrapper)
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group(backend="gloo")


def close_ranks() -> None:
    """Wait for the other ranks and end the process, the last thing that a command does; nothing with one process.

    Leaving the group first keeps a rank that exits early from aborting its neighbours. Over gloo the process is ended
    at once: threads of gloo that outlive the interpreter abort it now and then, and a finished run would seem to have
    failed.
    """
    if not torch.distributed.is_initialized():
        return
    over_gloo = torch.distributed.get_backend() == "gloo"
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    if over_gloo:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
