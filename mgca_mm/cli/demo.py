"""Do the whole job on made data: phantom, preparation, pretraining, linear probe, and one HTML file of what came of it.

Example: ``mgca-mm demo``. Each step is a command that is shown before it runs. What is done is not done again, and a
pretraining that was stopped goes on.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from mgca_mm.errors import exit_on_user_error
from mgca_mm.files import write_output
from mgca_mm.reproduction.jobs import command_line
from mgca_mm.visualization.html_report import read_steps
from mgca_mm.visualization.style import require_place

CONFIG = "quickstart/pretrain_resnet18"
PATIENTS = 2000
EPOCHS = 6
STEPS = "steps.json"


class Step(NamedTuple):
    """One of our commands.

    Attributes:
        title: What it does.
        words: Its command line, after ``mgca-mm``.
        product: File that it writes last. It is done where this is there and newer than that of the step before.
    """

    title: str
    words: tuple
    product: Path

    @property
    def command(self) -> str:
        """As one would type it."""
        return shlex.join(map(str, ("mgca-mm", *self.words)))


def steps_in(out: Path) -> list[Step]:
    """The job, in a folder."""
    raw, data, run, probe, report = (out / name for name in ("raw", "data", "run", "probe", "report.html"))
    patients = ("--patients", PATIENTS, "--seed", 1, "--workers", len(os.sched_getaffinity(0)))
    options = ("--cfg-options", f"data_root={data}")
    shown = ("--probe", probe, "--phrases", raw / "phantom-phrases.csv", "--phantom", "--steps", out / STEPS)
    return [
        Step(
            f"phantom: {PATIENTS:,} procedural patients in MIMIC-CXR's layout",
            ("phantom", "--layout", "mimic_cxr", "--out", raw, *patients),
            raw / "phantom.json",
        ),
        Step(
            "preparation: images, reports, splits, tokenizer",
            ("prepare", "mimic_cxr", "--raw", raw, "--out", data, "--image-size", 128, "--vocab-size", 2000),
            data / "manifest.json",
        ),
        Step(
            f"pretraining: MGCA, ResNet-18, {EPOCHS} epochs",
            ("train", CONFIG, "--work-dir", run, "--resume", *options, f"max_epochs={EPOCHS}"),
            run / f"epoch_{EPOCHS}.pth",
        ),
        Step(
            "linear probe of the frozen encoder, best in validation, and retrieval",
            ("probe", CONFIG, run, "--out", probe, *options),
            probe / "probe.json",
        ),
        Step(
            "report: tables, curves and maps in one file",
            ("visualize", "report", CONFIG, run, "--out", report, *shown, *options),
            report,
        ),
    ]


def main() -> int:
    """Exit code: 0 all is done, 130 interrupted, else that of the step that failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("work_dirs/quickstart"), help="folder (default: %(default)s)")
    out = parser.parse_args().out
    end_by_signals()
    with exit_on_user_error():
        try:
            return take_steps(out)
        except KeyboardInterrupt:
            print("interrupted; run the same command again", file=sys.stderr)
            return 130


def end_by_signals() -> None:
    """End by an error, which ends the step, too."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def run_to_end(command: list[str]) -> int:
    """Exit code of a command, which an end of this process ends, too."""
    child = subprocess.Popen(command)
    try:
        return child.wait()
    except BaseException:
        child.terminate()
        child.wait()
        raise


def take_steps(out: Path) -> int:
    """Take the steps that are not done, and note in ``steps.json`` what each took; returns the exit code."""
    require_place(out / "report.html", (".html",))
    notes = out / STEPS
    took = {note["title"]: note for note in read_steps(notes)} if notes.is_file() else {}
    steps = steps_in(out)
    named = steps_in(Path(out.absolute().name))  # as they stand in the report, which is to be sent
    before, ran = 0.0, []
    for number, (step, shown) in enumerate(zip(steps, named, strict=True), start=1):
        note = {"title": step.title, "command": shown.command, "seconds": None}
        print(f"\n== {number}/{len(steps)} {step.title} ({time.strftime('%H:%M:%S')})", flush=True)
        if step.product.is_file() and step.product.stat().st_mtime >= before:
            print(f"{step.product} is there already, nothing to do.")
            took.setdefault(step.title, note)  # made by other means
        else:
            print(f"$ {step.command}", flush=True)
            ran.append(step)
            start = time.monotonic()
            if code := run_to_end(command_line(*step.words)):
                return code
            took[step.title] = note | {"seconds": time.monotonic() - start}
        write_output(notes, json.dumps([took[s.title] for s in steps if s.title in took], indent=2) + "\n")
        before = step.product.stat().st_mtime
    if not ran and (out / "probe/probe.md").is_file():
        print(f"\n{(out / 'probe/probe.md').read_text()}")
    print(f"\nOpen it in a browser, or send it to a colleague: {steps[-1].product}")
    return 0
