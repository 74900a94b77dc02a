"""What a check says of a prepared folder beside its faults: numbers that were worked out by hand."""

import cv2
import numpy as np
import pytest

from mgca_mm.preparation import Options, prepare
from mgca_mm.preparation.statistics import REFERENCES, describe, table
from tests.command_line import call
from tests.test_preparation.raw_trees import raw_tree

OPTIONS = dict(image_size=16, vocab_size=200)


def write_pairs(folder, reports):
    """Pairs, the last of which is for validation; every image is half black and half white."""
    folder.mkdir(parents=True)
    halves = np.repeat(np.uint8([0, 255]), 8)[:, None].repeat(16, 1)
    lines = []
    for number, report in enumerate(reports, start=1):
        cv2.imwrite(str(folder / f"{number}.png"), halves)
        lines.append(f"{number}.png,{report},{'val' if number == len(reports) else 'train'}\n")
    (folder / "pairs.csv").write_text("image,report,split\n" + "".join(lines))
    return folder


def test_numbers(tmp_path):
    long = "lungs are clear. " * 38
    raw = write_pairs(tmp_path / "raw", ["lungs are clear. heart is normal.", long, "nothing of this counts here."])
    prepare("image_report_csv", raw, tmp_path / "out", Options(**OPTIONS))
    found = describe(tmp_path / "out")
    assert found["mean gray, 0 to 255"] == found["contrast (standard deviation)"] == 127.5
    assert found["black pixels, %"] == found["white pixels, %"] == 50
    assert found["words a report"] == (6 + 114) / 2
    assert found["pieces a word"] == (6 + 114 + 4) / 120  # each word is a piece, beside the two marks of a report
    assert found["vocabulary known, %"] == found["vocabulary in one piece, %"] == 100
    assert found["reports over 112 pieces, %"] == 50
    assert list(found) == list(REFERENCES["phantom"]) == list(REFERENCES["public"])


def test_strange_words_and_arrows(tmp_path):
    raw = write_pairs(tmp_path / "raw", ["lungs are clear.", "heart is normal.", "no effusion."])
    prepare("image_report_csv", raw, tmp_path / "known", Options(**OPTIONS))
    raw = write_pairs(tmp_path / "strange", ["lungs are xyzzy.", "no effusion."])
    prepare("image_report_csv", raw, tmp_path / "out", Options(16, str(tmp_path / "known" / "tokenizer")))
    found = describe(tmp_path / "out")
    assert found["vocabulary known, %"] == pytest.approx(200 / 3)  # no report of the tokenizer's has a z
    lines = {line[:32].strip(): line for line in table(found)}
    assert lines["words a report"].endswith("<-- look at it")
    assert lines["vocabulary known, %"].endswith("<-- look at it")
    assert not lines["mean gray, 0 to 255"].endswith("it")


@pytest.mark.parametrize("name", ["chexpert", "siim_pneumothorax"])
def test_sets_without_reports(name, tmp_path):
    prepare(name, raw_tree(name).write(tmp_path / "raw"), tmp_path / "out", Options(**OPTIONS))
    assert list(describe(tmp_path / "out")) == list(REFERENCES["phantom"])[:4]


def test_check_prints_them(tmp_path):
    raw = raw_tree("object_cxr").write(tmp_path / "raw")
    for name, options, lines in (("images", (), 8), ("tables", ("--annotations-only",), 2)):
        assert call("prepare", "object_cxr", "--raw", raw, "--out", tmp_path / name, *options).returncode == 0
        done = call("prepare", "object_cxr", "--out", tmp_path / name, "--check")
        assert done.returncode == 0 and len(done.stdout.splitlines()) == lines, done.stdout
