"""Measure speed and memory.

Figures are of this machine at this moment; compare ratios taken in one run.
"""

import argparse
import json
import logging
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from mgca_mm.cli.arguments import add_cfg_options
from mgca_mm.errors import exit_on_user_error
from mgca_mm.files import write_output


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--out", type=Path, help="write the figures to this json file, too")
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    data = benchmarks.add_parser(
        "data", parents=[common], help="images a second on one core, raw files against the prepared store"
    )
    data.add_argument("--seconds", type=float, default=10, help="processor time for each of the three (default: 10)")
    data.add_argument("--rows", type=int, default=200_000, help="pairs of the data set whose memory is measured")
    data.set_defaults(run=run_data)
    configured = argparse.ArgumentParser(add_help=False, parents=[common])
    configured.add_argument("config", help="pretraining config; it needs neither its data nor its weights")
    add_cfg_options(configured, "change the config, such as model.image_encoder.activation_checkpointing=True")
    step = argparse.ArgumentParser(add_help=False, parents=[configured])
    step.add_argument("--precision", choices=("fp32", "bf16"), default="bf16")
    step.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda where there is one")
    pretrain = benchmarks.add_parser("pretrain", parents=[step], help="a training step of a config, on generated data")
    pretrain.add_argument("--batch-size", type=int, default=8)
    pretrain.add_argument("--compile", action="store_true", help="by torch.compile, which needs a C++ compiler on CPUs")
    pretrain.add_argument(
        "--against",
        choices=("naive", "open_clip"),
        help="measure other steps, too: the same in the plain way (fp32), or those of OpenCLIP's ViT-B-16",
    )
    pretrain.add_argument("--repeats", type=int, default=5, help="timed steps of each; the median counts (default: 5)")
    pretrain.add_argument("--profile", type=Path, help="write a table of the 20 kernels that take most time here")
    pretrain.set_defaults(run=run_pretrain)
    memory = benchmarks.add_parser("memory", parents=[step], help="peak memory of a step against the batch size")
    memory.add_argument("--batch-sizes", type=int, nargs="+", default=[2, 4, 8, 16])
    memory.set_defaults(run=run_memory)
    scale = benchmarks.add_parser(
        "scale", parents=[step], help="cost against batch, tokens, prototypes and ranks, with the exponents"
    )
    scale.add_argument("--batch-sizes", type=int, nargs="+", default=[2, 4, 8, 16], help="of the whole step")
    scale.add_argument("--tokens", type=int, nargs="+", default=[128, 256, 512, 1024], help="of the token alignment")
    scale.add_argument(
        "--prototypes", type=int, nargs="+", default=[1000, 2000, 4000, 8000], help="of the prototype alignment"
    )
    scale.add_argument(
        "--ranks", type=int, nargs="+", default=[1, 2, 4], help="of the gathering alignments, on the CPU"
    )
    scale.set_defaults(run=run_scale)
    store = benchmarks.add_parser("store", help="made-up data and a text model for a timed run of mgca-mm train")
    store.add_argument("folder", type=Path, help="becomes data_root; text_model in it that of the config")
    store.add_argument("--rows", type=int, default=8192, help="pairs of each split (default: 8192, 0.5 GB)")
    store.add_argument("--layers", type=int, default=12, help="of the text model (default: 12)")
    store.set_defaults(run=run_store, out=None)
    many = benchmarks.add_parser(
        "communication", parents=[configured], help="estimate of a step's communication on many GPUs; nothing is run"
    )
    many.add_argument("--batch-size", type=int, default=144, help="of one GPU (default: 144)")
    many.add_argument("--gpus", type=int, nargs="+", default=[8, 64, 512])
    many.add_argument("--tflops", type=float, default=350.0, help="that one GPU sustains (default: 350)")
    many.set_defaults(run=run_communication)
    args = parser.parse_args()
    figures = args.run(args)
    if args.out:
        stamp = {"date": str(date.today()), "machine": platform.processor() or platform.machine()}
        with exit_on_user_error():
            write_output(args.out, json.dumps(stamp | figures, indent=2) + "\n")


# The imports are in the functions: --help should not wait for torch.


def run_data(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks.data import FULL_SIZE, measure_memory, measure_rates

    rates = measure_rates(args.seconds)
    print(f"decode and resize a JPEG of {FULL_SIZE[1]} x {FULL_SIZE[0]}   {rates['raw']:8.1f} images/s per core")
    print(f"prepared: data set to batch            {rates['prepared']:8.1f} images/s per core")
    print(f"the same, tokenized at each visit      {rates['untokenized']:8.1f} images/s per core")
    print(f"prepared / decoded                     {rates['ratio']:8.1f}")
    memory = measure_memory(args.rows)
    print(f"data set of {args.rows:,} pairs           {memory['dataset']:8.0f} MB (peak {memory['peak']:.0f} MB)")
    print(f"a loader's worker adds                 {memory['worker']:8.0f} MB")
    print(f"tokenizing its reports once            {memory['tokenize_s']:8.0f} s")
    return {"rates": rates, "memory_mb": memory}


def run_pretrain(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks.pretraining import measure

    device, name = _device(args)
    names = ("config", "batch_size", "precision", "compile", "against", "repeats", "cfg_options", "profile")
    with _quiet():
        figures = measure(**{name: getattr(args, name) for name in names}, device=device)
    print(f"{args.config}, batch {args.batch_size}, {args.precision}, on {name}")
    print(f"arithmetic            {figures['gflop_per_image']:10.1f} GFLOP an image, forward and backward")
    print(f"matrix product        {figures['ceiling_tflops']:10.3f} TFLOP/s")
    for way, share in figures["share_of_ceiling"].items():
        step = figures[way]
        print(
            f"{way:<9} {step['ms']:10.1f} ms a step {step['images_per_s']:10.1f} images/s "
            f"{step['tflops']:8.3f} TFLOP/s ({share:.0%} of the product's) {step['peak_mb']:8.0f} MB at the peak"
        )
        if "host_ms" in step:
            print(f"{way:<9} {step['host_ms']:10.1f} ms of the host {step['reserved_mb']:33.0f} MB reserved")
    print(f"groups of parameters  {figures['groups']:10d}")
    if "operators" in figures:
        print(f"operators a step      {figures['operators']:10d}")
    if "waits" in figures:
        print(f"waits of the host     {figures['waits']:10d}")
    if "ratio" in figures:
        ratio = figures["ratio"]
        print(f"ours / {args.against:<14} {ratio['time']:10.2f} time {ratio['memory']:10.2f} memory")
    if "agreement" in figures:
        agreement = figures["agreement"]
        print(
            f"fp32 agreement        {agreement['loss']:10.1e} loss, cosine {agreement['gradient_cosine']:.6f} gradients"
        )
    return {"device": name, **figures}


def run_memory(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks.pretraining import measure_memory

    device, name = _device(args)
    with _quiet():
        figures = measure_memory(args.config, args.batch_sizes, args.precision, device, args.cfg_options)
    print(f"{args.config}, {args.precision}, on {name}")
    for batch_size, peak in figures["peak_mb"].items():
        print(f"batch {batch_size:<6} {peak:10.0f} MB at the peak")
    print(f"straight line: {figures['mb_fixed']:.0f} MB + {figures['mb_per_image']:.1f} MB an image")
    return {"device": name, **figures}


def run_scale(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks import scale
    from mgca_mm.engine.config import load_config

    device, name = _device(args)
    with _quiet():
        cfg = load_config(args.config, args.cfg_options)
        figures = {
            "batch": scale.scale_batch(cfg, args.batch_sizes, args.precision, device),
            "tokens": scale.scale_tokens(args.tokens, device),
            "prototypes": scale.scale_prototypes(args.prototypes, device),
        }
        ranks = scale.scale_ranks(args.ranks)
        for unit in ("ms", "peak_mb"):
            figures[f"ranks, {unit}"] = {world_size: found[unit] for world_size, found in ranks.items()}
    print(f"{args.config} (batch), its alignments (the rest), on {name}")
    exponents = {}
    for what, costs in figures.items():
        exponents[what] = scale.fit_exponent(list(costs), list(costs.values()))
        points = "  ".join(f"{size}: {cost:.1f}" for size, cost in costs.items())
        print(f"{what:<16} exponent {exponents[what]:5.2f}    {points}")
    return {"device": name, "exponents": exponents, **figures}


def run_store(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks.store import write_training_data

    write_training_data(args.folder, args.rows, args.layers)
    print(f"data_root={args.folder} text_model={args.folder / 'text_model'}")
    return {}


def run_communication(args: argparse.Namespace) -> dict:
    from mgca_mm.benchmarks.communication import Cluster, estimate
    from mgca_mm.engine.config import load_config

    cluster = Cluster(tflops=args.tflops)
    with _quiet():
        cfg = load_config(args.config, args.cfg_options)
        figures = {gpus: estimate(cfg, args.batch_size, gpus, cluster) for gpus in args.gpus}
    print(f"{args.config}, batch {args.batch_size} a GPU; assumed: {cluster}")
    names = next(iter(figures.values()))
    print(f"{'GPUs':>6} " + " ".join(f"{name:>14}" for name in names))
    for gpus, found in figures.items():
        print(f"{gpus:>6} " + " ".join(f"{value:14.2f}" for value in found.values()))
    return {"batch_size": args.batch_size, "cluster": vars(cluster), "gpus": figures}


def _device(args: argparse.Namespace) -> tuple[str, str]:
    import torch

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    return device, torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} CPU threads"


@contextmanager
def _quiet() -> Iterator[None]:
    logging.disable(logging.INFO)  # MMEngine lists every parameter's decay.
    with exit_on_user_error():
        yield
