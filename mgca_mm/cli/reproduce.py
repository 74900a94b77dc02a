"""Run the paper's downstream tables, or the same on prepared folders of one's own.

Example: ``mgca-mm reproduce table1 classification=data/mine --data data --inits random mgca=vit:CHECKPOINT``.
``--data phantom`` makes small data sets and encoders of its own. ``--resume`` goes on where a call stopped.
"""

import argparse
import os
import shlex
import sys
from functools import partial
from itertools import chain
from pathlib import Path

from mgca_mm.checkpoints.selection import select_checkpoint
from mgca_mm.cli.arguments import positive_int
from mgca_mm.engine.config import RANDOM
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.reproduction.grid import RESULT, Cell, Profile, cells_of, command_of, run_cell
from mgca_mm.reproduction.jobs import run_side_by_side
from mgca_mm.reproduction.phantom import PRETRAINING, make_data, pretrain, profile_of
from mgca_mm.reproduction.report import write_report
from mgca_mm.reproduction.settings import RENUMBERED, RENUMBERING, SUBSET_SEED, TABLES, add_own_data, require_rows


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    titles = "; ".join(f"{name}: {table.title}" for name, table in TABLES.items())
    parser.add_argument(
        "tables",
        nargs="+",
        metavar="TABLE",
        help=f"tables of the paper, or all. {titles}. classification=DIR, detection=DIR or segmentation=DIR is one of "
        "a prepared folder of your own",
    )
    parser.add_argument("--data", default="data", help="folder of the prepared data sets, or phantom (default: data)")
    parser.add_argument(
        "--inits",
        nargs="+",
        metavar="NAME[=ENCODER:CHECKPOINT,…]",
        help="rows of the tables: random, or a name with what each encoder starts from, the folder of a run (its best "
        "checkpoint), a file or torchvision://resnet50, as mgca=vit:FILE,resnet50:FOLDER or "
        "imagenet=resnet50:torchvision://resnet50; ablations "
        f"are ita, ita_cta, ita_cpa. On the phantom these have no files: {RANDOM} {' '.join(PRETRAINING)} (default "
        "there: what the tables have)",
    )
    parser.add_argument("--fractions", nargs="+", type=int, choices=(1, 10, 100), default=[1, 10, 100], help="in %%")
    parser.add_argument("--seeds", type=int, default=3, choices=(1, 2, 3), help="seeds from 42 on (default: 3)")
    parser.add_argument(
        "--spread",
        choices=("training", "subsets"),
        default="training",
        help="what the seeds differ in: the training alone, on the subset of "
        f"seed {SUBSET_SEED} (default, the paper's), or each has a subset of its own, too",
    )
    parser.add_argument("--out", type=Path, default=Path("work_dirs/reproduce"), help="folder of runs and reports")
    parser.add_argument(
        "--jobs", type=positive_int, default=1, help="runs at a time, each with its share of the cores, or a GPU"
    )
    parser.add_argument("--resume", action="store_true", help="keep the cells in --out that have a score")
    parser.add_argument("--dry-run", action="store_true", help="print the commands instead of running them")
    return parser.parse_args()


def read_inits(words: list[str], phantom: bool) -> dict[str, dict[str, str]]:
    """Checkpoint by initialization and encoder.

    Raises:
        UserError: A word is malformed, names no file, or nothing that the phantom has.
    """
    inits: dict[str, dict[str, str]] = {}
    for word in words:
        name, _, files = word.partition("=")
        if phantom and (files or name not in (RANDOM, *PRETRAINING)):
            raise UserError(
                f"--inits {word}: on the phantom there are {RANDOM}, {', '.join(PRETRAINING)}, without files"
            )
        if not phantom and name != RANDOM and not files:
            raise UserError(f"--inits {word}: name what it starts from: {name}=vit:FILE,resnet50:FILE")
        inits[name] = {}
        for file in files.split(",") if files else ():
            encoder, separator, checkpoint = file.partition(":")
            if not separator or encoder not in ("vit", "resnet50"):
                raise UserError(f"--inits {word}: expected vit:FILE or resnet50:FILE, or both with a comma between")
            if "://" not in checkpoint and not Path(checkpoint).exists():
                raise UserError(f"--inits {word}: no such file: {checkpoint}")
            # Once, so that all cells start from the same file, whatever the run does meanwhile.
            inits[name][encoder] = select_checkpoint(checkpoint)
    return inits


def make_phantom_encoders(
    cells: list[Cell], names: list[str], folder: Path, jobs: int, dry_run: bool
) -> dict[str, dict[str, str]]:
    """Make the data sets and encoders that some cells need and that are not there yet.

    Returns:
        Checkpoint by initialization and encoder; ``?`` in a dry run, which makes nothing.
    """
    # Only what the cells need, for a pretraining takes minutes.
    names = [name for name in names if any(cell.init == name for cell in cells)]
    pretrained = [name for name in names if name != RANDOM]
    if dry_run:
        encoders = dict.fromkeys(pretrained, "?")
    else:
        data = {cell.setting.data for cell in cells} | ({"mimic_cxr"} if pretrained else set())
        make_data(folder, data, workers=len(os.sched_getaffinity(0)))
        encoders = dict(run_side_by_side(partial(pretrain, folder), pretrained, jobs))
    return {name: {"resnet18": encoders[name]} if name in encoders else {} for name in names}


def main() -> int:
    """Run the cells; 0 if all have a score, 1 if some failed."""
    args = parse_args()
    with exit_on_user_error():
        out = args.out.absolute()
        papers = list(TABLES)
        own = {word: add_own_data(word) for word in args.tables if word not in (*papers, "all")}
        named = [papers if word == "all" else [own.get(word, word)] for word in args.tables]
        tables = list(dict.fromkeys(chain.from_iterable(named)))
        if set(RENUMBERED) & set(args.tables):
            print(RENUMBERING, file=sys.stderr)
        phantom = args.data == "phantom"
        if own and phantom:
            raise UserError(f"{next(iter(own))}: the phantom has small encoders for its own data; give --data a folder")
        words = args.inits or ([RANDOM, *PRETRAINING] if phantom else [RANDOM])
        inits = read_inits(words, phantom)
        if args.inits or not phantom:
            require_rows(tables, inits)
        if not (args.resume or args.dry_run) and any(out.glob(f"runs/**/{RESULT}")):
            raise UserError(f"{out} has results already; go on with --resume, or choose another --out")
        profile = profile_of(out / "phantom") if phantom else Profile(Path(args.data).absolute())
        seeds = range(42, 42 + args.seeds)
        cells = cells_of(tables, list(inits), args.fractions, seeds, profile, own_subsets=args.spread == "subsets")
        if phantom:
            inits = make_phantom_encoders(cells, list(inits), out / "phantom", args.jobs, args.dry_run)
        cells = [cell for cell in cells if cell.init == RANDOM or cell.encoder in inits[cell.init]]
        starts = {cell: inits[cell.init].get(cell.encoder, RANDOM) for cell in cells}
        if args.dry_run:
            for cell in cells:
                print(shlex.join(command_of(cell, out / "runs", starts[cell], profile)))
            return 0

        def run(cell: Cell, environment: dict[str, str]) -> dict:
            return run_cell(cell, out / "runs", starts[cell], profile, environment)

        results = {}
        for cell, result in run_side_by_side(run, cells, args.jobs):
            results[cell] = result
            shown = "FAILED, see output.txt in its folder" if result["score"] is None else f"{result['score']:.1f}"
            print(f"[{len(results)}/{len(cells)}] {cell.name}: {shown} ({result['seconds']:.0f} s)", flush=True)
        heading = (
            "Phantom data, small models: these numbers say that the code works, and nothing of real radiographs."
            if phantom
            else "Protocol of the paper; in square brackets the paper's number."
        )
        spread = (
            "subsets and trainings" if args.spread == "subsets" else f"trainings on the subset of seed {SUBSET_SEED}"
        )
        heading += f" Mean ± sd over {spread}."
        print(write_report(out, tables, results, list(inits), profile, heading))
        return int(any(result["score"] is None for result in results.values()))
