#!/usr/bin/env python
"""Measure speed and memory: ``python tools/benchmark.py {data,pretrain} …``.

Figures are of this machine at this moment; compare ratios taken in one run.
"""

import argparse
import json
import logging
import platform
import sys
from datetime import date
from pathlib import Path


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, help="write the figures to this json file, too")
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    data = benchmarks.add_parser(
        "data", parents=[common], help="images a second on one core, raw files against the prepared store"
    )
    data.add_argument("--seconds", type=float, default=10, help="time for each of the two (default: 10)")
    data.add_argument("--rows", type=int, default=400_000, help="pairs of the data set whose memory is measured")
    data.set_defaults(run=run_data)
    pretrain = benchmarks.add_parser(
        "pretrain", parents=[common], help="a training step of a config, on generated data"
    )
    pretrain.add_argument("config", type=Path, help="pretraining config; it needs neither its data nor its weights")
    pretrain.add_argument("--batch-size", type=int, default=8)
    pretrain.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    pretrain.add_argument("--compile", action="store_true", help="by torch.compile, which needs a C++ compiler on CPUs")
    pretrain.add_argument("--against", choices=("naive",), help="take the same steps in the naive way, too (fp32)")
    pretrain.add_argument("--repeats", type=int, default=5, help="timed steps of each; the median counts (default: 5)")
    pretrain.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    pretrain.set_defaults(run=run_pretrain)
    args = parser.parse_args()
    figures = args.run(args)
    if args.out:
        stamp = {"date": str(date.today()), "machine": platform.processor() or platform.machine()}
        args.out.write_text(json.dumps(stamp | figures, indent=2) + "\n")
    return 0


# The imports are in the functions: --help should not wait for torch.


def run_data(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks.data import FULL_SIZE, measure_memory, measure_rates

    rates = measure_rates(args.seconds)
    print(f"decode and resize a JPEG of {FULL_SIZE[1]} x {FULL_SIZE[0]}   {rates['raw']:8.1f} images/s per core")
    print(f"prepared: data set to batch            {rates['prepared']:8.1f} images/s per core")
    print(f"ratio                                  {rates['ratio']:8.1f}")
    memory = measure_memory(args.rows)
    print(f"data set of {args.rows:,} pairs           {memory['dataset']:8.0f} MB (peak {memory['peak']:.0f} MB)")
    print(f"a loader's worker adds                 {memory['worker']:8.0f} MB")
    return {"rates": rates, "memory_mb": memory}


def run_pretrain(args: argparse.Namespace) -> dict:
    import torch

    from mgca_mm.benchmarks.pretraining import measure
    from mgca_mm.errors import exit_on_user_error

    logging.disable(logging.INFO)  # MMEngine lists every parameter's decay.
    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    with exit_on_user_error():
        figures = measure(
            args.config, args.batch_size, args.precision, args.compile, bool(args.against), args.repeats, device
        )
    name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{args.config}, batch {args.batch_size}, {args.precision}, on {name}")
    print(f"arithmetic            {figures['gflop_per_image']:10.1f} GFLOP an image, forward and backward")
    print(f"matrix product        {figures['ceiling_tflops']:10.3f} TFLOP/s")
    for way in ("ours", "naive"):
        if way in figures:
            step = figures[way]
            print(
                f"{way:<9} {step['ms']:10.1f} ms a step {step['images_per_s']:10.1f} images/s "
                f"{step['tflops']:8.3f} TFLOP/s {step['peak_mb']:10.0f} MB at the peak"
            )
    print(f"share of the ceiling  {figures['share_of_ceiling']:10.2f}")
    if "operators" in figures:
        print(f"operators a step      {figures['operators']:10d}, of which the host waits for {figures['waits']}")
    if "ratio" in figures:
        print(f"ours / naive          {figures['ratio']['time']:10.2f} time {figures['ratio']['memory']:10.2f} memory")
        agreement = figures["agreement"]
        print(
            f"fp32 agreement        {agreement['loss']:10.1e} loss, cosine {agreement['gradient_cosine']:.6f} gradients"
        )
    return {"device": name, **figures}


if __name__ == "__main__":
    sys.exit(main())
