"""Pretrain every method on the phantom and put probe, retrieval, grounding, time and memory of a step into one table.

Example: ``mgca-mm compare --data work_dirs/quickstart/data --phrases work_dirs/quickstart/raw/phantom-phrases.csv``.
Each pretraining is a process; what is done is not done again, and one that was stopped goes on.
"""

import argparse
import json
import subprocess
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import mean, stdev

from mgca_mm.engine.config import load_config
from mgca_mm.errors import UserError, exit_on_user_error
from mgca_mm.files import write_output
from mgca_mm.reproduction.jobs import command_line, run_side_by_side
from mgca_mm.reproduction.phantom import PRETRAINING

# MRM hides patches of a ViT; MGCA with the same one is beside it.
METHODS = PRETRAINING | {"mgca_vit": "quickstart/pretrain_mgca_vit", "mrm": "quickstart/pretrain_mrm_vit"}
PERCENTS = ("1", "10", "100")


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="prepared phantom, as tools/quickstart.sh makes it")
    parser.add_argument("--phrases", type=Path, help="the phantom's phantom-phrases.csv: where phrases are found, too")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/methods"), help="folder of runs and methods.md")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="METHOD")
    parser.add_argument("--seeds", nargs="+", type=int, default=[42, 43, 44], choices=(42, 43, 44))
    parser.add_argument("--jobs", type=int, default=1, help="pretrainings at a time; steps are measured one by one")
    return parser.parse_args()


def run(command: str, *words: object, environment: Mapping[str, str] | None = None) -> None:
    """Run one of our commands; what it says goes to its log files."""
    done = subprocess.run(command_line(command, *words), capture_output=True, text=True, env=environment)
    if done.returncode:
        raise UserError(f"{command} {words[0]} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")


def evaluate(
    data: Path, phrases: Path | None, out: Path, item: tuple[str, int], environment: Mapping[str, str]
) -> dict[str, dict]:
    """Linear probe, retrieval and grounding of a method pretrained with a seed; the last two of what embeds reports."""
    method, seed = item
    folder = out / f"{method}_seed{seed}"
    result = folder / "probe" / "probe.json"
    if not result.is_file():
        config = METHODS[method]
        if not (folder / "epoch_6.pth").is_file():
            options = (f"data_root={data}", f"randomness.seed={seed}")
            words = ("--work-dir", folder, "--resume", "--cfg-options", *options)
            run("train", config, *words, environment=environment)
        words = ("--out", result.parent, "--seed", seed, "--cfg-options", f"data_root={data}")
        run("probe", config, folder, *words, environment=environment)
    found = json.loads(result.read_text())
    grounding = folder / "grounding" / "grounding.json"  # not beside the config of the pretraining
    if phrases and found["retrieval"] and not grounding.is_file():
        cfg = load_config("quickstart/grounding", {"data_root": str(data), "phrases": str(phrases)})
        encoders = load_config(METHODS[method], {"data_root": str(data)}).model
        cfg.model = {**encoders, **{key: cfg.model[key] for key in ("type", "tokenize", "data_root")}}
        grounding.parent.mkdir(exist_ok=True)
        cfg.dump(grounding.with_suffix(".py"))
        words = ("--work-dir", grounding.parent, "--out", grounding)
        run("test", grounding.with_suffix(".py"), folder, *words, environment=environment)
    return {**found, "grounding": json.loads(grounding.read_text()) if grounding.is_file() else {}}


def step(method: str, out: Path) -> dict:
    """Time and peak memory of a training step."""
    result = out / f"{method}_step.json"
    if not result.is_file():
        run("benchmark", "pretrain", METHODS[method], "--batch-size", 64, "--out", result)
    return json.loads(result.read_text())["ours"]


def spread(values: list[float]) -> str:
    """Mean ± standard deviation."""
    if not values:
        return "–"
    return f"{mean(values):.1f}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def main() -> None:
    args = parse_args()
    with exit_on_user_error():
        out, data = args.out.absolute(), args.data.absolute()
        out.mkdir(parents=True, exist_ok=True)
        columns = [f"AUROC, {percent} %" for percent in PERCENTS]
        columns += ["image → report R@5", "pointing game", "ms a step", "MB at the peak"]
        lines = [f"| seeds {' '.join(map(str, args.seeds))} | " + " | ".join(columns) + " |"]
        lines.append("|---" * (len(columns) + 1) + "|")
        items = [(method, seed) for method in args.methods for seed in args.seeds]
        phrases = args.phrases and args.phrases.absolute()
        results = {}
        for item, found in run_side_by_side(partial(evaluate, data, phrases, out), items, args.jobs):
            results[item] = found
            scores = ", ".join(f"{found['probe']['pretrained'][percent]['macro']:.1f}" for percent in PERCENTS)
            print(f"[{len(results)}/{len(items)}] {item[0]}, seed {item[1]}: {scores}", flush=True)
        for method in args.methods:
            of_seeds = [results[method, seed] for seed in args.seeds]
            if method == args.methods[0]:
                row = [spread([found["probe"]["random"][p]["macro"] for found in of_seeds]) for p in PERCENTS]
                lines.append("| random | " + " | ".join([*row, "–", "–", "–", "–"]) + " |")
            row = [spread([found["probe"]["pretrained"][p]["macro"] for found in of_seeds]) for p in PERCENTS]
            row.append(spread([found["retrieval"]["i2t_R@5"] for found in of_seeds if found["retrieval"]]))
            row.append(spread([found["grounding"]["ground/pointing"] for found in of_seeds if found["grounding"]]))
            cost = step(method, out)
            lines.append(f"| {method} | " + " | ".join([*row, f"{cost['ms']:.0f}", f"{cost['peak_mb']:.0f}"]) + " |")
            print(lines[-1], flush=True)
        write_output(out / "methods.md", "\n".join(lines) + "\n")
        print(f"\n{(out / 'methods.md').read_text()}")
