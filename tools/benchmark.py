"""Measure speed and memory: ``python tools/benchmark.py data``.

Figures are of this machine at this moment; compare ratios taken in one run.
"""

import argparse
import json
import platform
import sys
from datetime import date
from pathlib import Path


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    benchmarks = parser.add_subparsers(dest="benchmark", required=True)
    data = benchmarks.add_parser("data", help="images a second on one core, raw files against the prepared store")
    data.add_argument("--seconds", type=float, default=10, help="time for each of the two (default: 10)")
    data.add_argument("--rows", type=int, default=400_000, help="pairs of the data set whose memory is measured")
    data.add_argument("--out", type=Path, help="write the figures to this json file, too")
    args = parser.parse_args()

    # Imported late: --help should not wait for torch.
    from mgca_mm.benchmarks.data import FULL_SIZE, measure_memory, measure_rates

    rates = measure_rates(args.seconds)
    print(f"decode and resize a JPEG of {FULL_SIZE[1]} x {FULL_SIZE[0]}   {rates['raw']:8.1f} images/s per core")
    print(f"prepared: data set to batch            {rates['prepared']:8.1f} images/s per core")
    print(f"ratio                                  {rates['ratio']:8.1f}")
    memory = measure_memory(args.rows)
    print(f"data set of {args.rows:,} pairs           {memory['dataset']:8.0f} MB (peak {memory['peak']:.0f} MB)")
    print(f"a loader's worker adds                 {memory['worker']:8.0f} MB")
    if args.out:
        figures = {"date": str(date.today()), "machine": platform.processor() or platform.machine()}
        args.out.write_text(json.dumps(figures | {"rates": rates, "memory_mb": memory}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
