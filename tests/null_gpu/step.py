"""Training steps of pretraining configs on the null GPU, one line of JSON a config; see README.md."""

import argparse
import ctypes
import json
import logging
import os
import warnings
from pathlib import Path

import torch

from mgca_mm.benchmarks.machine import host_time, release_memory
from mgca_mm.benchmarks.pretraining import step_of
from mgca_mm.engine.config import load_config

GB = 1e9
COUNTED = ("launches", "matrix_products", "cudnn_calls", "copies_to_host", "waits")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configs", nargs="+", type=Path)
    parser.add_argument("--batch-size", type=int, default=144)
    parser.add_argument("--compile", action="store_true", help="minutes a config")
    args = parser.parse_args()
    logging.disable(logging.INFO)
    warnings.filterwarnings("ignore")
    replace_what_is_missing()
    for config in args.configs:
        release_memory("cuda")
        print(json.dumps({"config": str(config), **figures(config, args.batch_size, args.compile)}), flush=True)


def replace_what_is_missing() -> None:
    """By what asks the device for about the same."""
    torch.special.entr = lambda x: -x * x.log()  # its kernel is compiled at run time, by the driver
    # cuDNN describes the weights of recurrent layers: run those without it.
    torch.nn.LSTM.flatten_parameters = lambda self: None
    torch.nn.LSTM.forward = torch.backends.cudnn.flags(enabled=False)(torch.nn.LSTM.forward)


def figures(config: Path, batch_size: int, compile: bool) -> dict[str, float]:
    """What a step asks of the device, in bfloat16.

    Raises:
        RuntimeError: At any wait of the host for the device.
    """
    step = step_of(load_config(config), batch_size, "bf16", "cuda", compile)
    for _ in range(2):  # compilation, the optimizer's state
        step()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_sync_debug_mode("error")
    before = counts()
    step()
    after = counts()
    torch.cuda.set_sync_debug_mode("default")
    return dict(
        groups=len(step.wrapper.optimizer.param_groups),
        host_ms=round(1e3 * min(host_time(step) for _ in range(5)), 1),  # the machine may have more to do
        allocated_gb=round(torch.cuda.max_memory_allocated() / GB, 2),
        reserved_gb=round(torch.cuda.max_memory_reserved() / GB, 2),
        **{name: after[name] - before[name] for name in COUNTED},
    )


def counts() -> dict[str, int]:
    library = ctypes.CDLL(os.environ["NULL_GPU"])
    return {name: ctypes.c_long.in_dll(library, f"null_{name}").value for name in COUNTED}


if __name__ == "__main__":
    main()
