"""``mgca-mm demo``: each step once; that they are the right ones is tested by ``tests/test_wheel.py``."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mgca_mm.cli import demo
from tests.command_line import call
from tests.conftest import ROOT


class Commands(list):
    """In the place of the processes: what was to run, by name; each only writes its product, but for one that fails."""

    failing = None

    def run(self, command):
        name, words = command[2], command[3:]
        self.append(name)
        (product,) = (step.product for step in demo.steps_in(self.out) if [*map(str, step.words[1:])] == words)
        product.parent.mkdir(parents=True, exist_ok=True)
        if name != self.failing:
            product.write_text("")
            product.with_name("probe.md").write_text("the table")
        return 3 if name == self.failing else 0


@pytest.fixture
def ran(monkeypatch, tmp_path):
    commands = Commands()
    commands.out = tmp_path / "a demo"
    monkeypatch.setattr(demo, "run_to_end", commands.run)
    return commands


def test_each_step_once(ran, tmp_path):
    out = ran.out
    done = call("demo", "--out", out)
    assert done.returncode == 0 and ran == ["phantom", "prepare", "train", "probe", "visualize"]
    assert re.findall(r"^== (\d/\d) .+ \(\d\d:\d\d:\d\d\)$", done.stdout, re.MULTILINE) == [
        f"{n}/5" for n in range(1, 6)
    ]
    assert f"$ mgca-mm prepare mimic_cxr --raw '{out}/raw'" in done.stdout
    assert done.stdout.splitlines()[-1].endswith(str(out / "report.html"))
    notes = json.loads((out / "steps.json").read_text())
    assert [note["command"].split()[1] for note in notes] == ran and str(tmp_path) not in str(notes)
    ran.clear()
    again = call("demo", "--out", out)
    assert again.returncode == 0 and ran == [] and again.stdout.count("nothing to do") == 5
    assert "the table" in again.stdout and "the table" not in done.stdout
    assert json.loads((out / "steps.json").read_text()) == notes
    (out / "steps.json").write_text(json.dumps(notes[2:]))  # the first two were made by other means
    assert call("demo", "--out", out).returncode == 0
    seconds = {note["command"].split()[1]: note["seconds"] for note in json.loads((out / "steps.json").read_text())}
    assert list(seconds) == ["phantom", "prepare", "train", "probe", "visualize"]
    assert seconds["phantom"] is None and seconds["train"] == notes[2]["seconds"]
    newer = (out / "report.html").stat().st_mtime + 1
    os.utime(out / f"run/epoch_{demo.EPOCHS}.pth", (newer, newer))
    assert call("demo", "--out", out).returncode == 0 and ran == ["probe", "visualize"]


def test_a_step_that_fails_ends_it_and_is_taken_again(ran):
    ran.failing = "train"
    assert call("demo", "--out", ran.out).returncode == 3 and ran[-1] == "train"
    ran.failing = None
    assert call("demo", "--out", ran.out).returncode == 0
    assert ran == ["phantom", "prepare", "train", "train", "probe", "visualize"]


def test_an_interrupt_is_a_line(monkeypatch, tmp_path):
    def interrupt(command):
        raise KeyboardInterrupt

    monkeypatch.setattr(demo, "run_to_end", interrupt)
    done = call("demo", "--out", tmp_path)
    assert (done.returncode, done.stderr) == (130, "interrupted; run the same command again\n")


def test_the_step_ends_with_the_demo(tmp_path):
    """Or it would write on, into what the next call makes."""
    code = "import sys, time; open(sys.argv[1], 'w').close(); time.sleep(60)"
    step = [sys.executable, "-c", code, str(tmp_path / "begun")]
    code = f"from mgca_mm.cli import demo; demo.end_by_signals(); demo.run_to_end({step!r})"
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None
        time.sleep(0.05)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.terminate()
    assert process.wait(20) == 128 + signal.SIGTERM and not Path(f"/proc/{child}").exists()


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    done = call("demo", "--out", tmp_path / "file" / "x")
    assert done.returncode == 2 and "its folder cannot be made" in done.stderr


def test_notes_of_something_else(tmp_path):
    (tmp_path / "steps.json").write_text('{"a": 1}')
    done = call("demo", "--out", tmp_path)
    assert done.returncode == 2 and "no list of steps" in done.stderr


def test_a_second_call_takes_a_second():
    """Nothing of torch is imported to find that all is done."""
    code = "import sys, mgca_mm.cli.demo; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr
