"""What a run says on the screen, and that its log file has everything."""

import logging
import re

import pytest
from mmengine.logging import MMLogger, print_log

from mgca_mm.engine.screen import WIDTH, fitted, line, prints_in_log, show_little

NAME = "a logger of the tests"


@pytest.fixture
def make_logger(tmp_path, monkeypatch):
    """Makes a logger as a run has it, whose stream is the one of the moment."""

    def make():
        made = MMLogger(NAME, log_file=str(tmp_path / "run.log"))
        monkeypatch.setitem(MMLogger._instance_dict, NAME, made)
        show_little(made)
        return made

    return make


def speak(module, logger, text, level="info"):
    """Log a message as code of some module does."""
    exec("getattr(logger, level)(text)", {"__name__": module, "logger": logger, "level": level, "text": text})


def test_mmengine_fills_the_log_file_alone(make_logger, tmp_path, capsys):
    logger = make_logger()
    speak("mmengine.runner.runner", logger, "Config: hundreds of lines")
    speak("somebody.hooks", logger, "a hook of somebody")
    speak("mmengine.optim.optimizer", logger, "an optimizer's warning", "warning")
    speak("mmengine.fileio.file_client", logger, "FileClient will be deprecated", "warning")
    speak("mmengine.runner.runner", logger, "an error", "error")
    shown = [re.sub(r"^\d\d:\d\d:\d\d  ", "", text) for text in capsys.readouterr().out.splitlines()]
    assert shown == ["a hook of somebody", "warning: an optimizer's warning", "error: an error"]
    log = (tmp_path / "run.log").read_text()
    assert all(word in log for word in ("Config:", "a hook", "optimizer's", "FileClient", "an error"))


def test_print_log_is_not_who_speaks(make_logger, capsys):
    """Neither by MMEngine's function itself nor by the shim around it."""
    make_logger()
    for module in ("mmengine.optim.builder", "mmseg.datasets.basesegdataset"):
        exec(
            "print_log(__name__, logger=name)",
            {"__name__": module, "print_log": print_log, "name": NAME},
        )
    assert capsys.readouterr().out.split()[1:] == ["mmseg.datasets.basesegdataset"]


def test_a_line_has_two_texts(make_logger, tmp_path, capsys):
    logger = make_logger()
    speak("mmengine.hooks.logger_hook", logger, line("Epoch(train) [1][10/43]  lr: 1e-3", "epoch 1/6  10/43"))
    speak("mmengine.hooks.logger_hook", logger, line("Epoch(val) [1][5/7]"))
    assert re.fullmatch(r"\d\d:\d\d:\d\d  epoch 1/6  10/43\n", capsys.readouterr().out)
    log = (tmp_path / "run.log").read_text()
    assert "lr: 1e-3" in log and "Epoch(val)" in log and "epoch 1/6" not in log


def test_later_filters_do_not_lose_the_text(make_logger, capsys):
    logger = make_logger()

    class Rewrites(logging.Filter):
        def filter(self, record):
            record.msg, record.args = record.getMessage().replace("SECRET", "…"), ()
            return True

    logger.addFilter(Rewrites())
    speak("mmengine.hooks.logger_hook", logger, line("long SECRET", "short"))
    assert capsys.readouterr().out.endswith("  short\n")


def test_what_is_printed_goes_to_the_log_file(make_logger, tmp_path, capsys):
    make_logger()
    with prints_in_log():
        print("loading annotations into memory...")
    assert capsys.readouterr().out == "" and "loading annotations" in (tmp_path / "run.log").read_text()


def test_lines_are_broken_between_their_parts():
    parts = [f"metric_{number} {number:.3f}" for number in range(20)]
    lines = fitted(parts).splitlines()
    assert 1 < len(lines) < 5 and max(map(len, lines)) <= WIDTH + 10
    assert re.split(r"\s\s+", " ".join(f"{text}  " for text in lines).strip()) == parts
