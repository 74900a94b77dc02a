"""Reports that are hardly any: excluded with a reason when prepared, and finite losses where one is trained on."""

import csv
import json
import math
import time

import numpy as np
import pytest
import torch

from mgca_mm.datasets.transforms.report import TokenizeReport
from mgca_mm.preparation import Options, check, prepare
from mgca_mm.registry import MODELS
from mgca_mm.structures import ImageReportSample
from tests.conftest import SMALL_MODEL

from .conftest import cases

WORDS = ["lungs", "are", "clear", "no", "effusion", "12", "3.5", ".", ",", ":", "_", "/", "\n", "\r", "\0", "\x85"]
WORDS += ["é", "İ", "ſ", "中", "ع", "ב", "\u202e", "\u200b", "🙂", "🏥", "\ud800", "\udcff", "\ufeff"]
SPLITS = ("train", "val", "test")


def report(rng):
    """One report of a kind that occurs in dirty tables."""
    kind = rng.choice(
        ["empty", "space", "one", "two", "unknown", "surrogates", "right to left", "emoji", "NUL", "mixed"]
    )
    length = int(rng.integers(1, 40))
    return {
        "empty": "",
        "space": "".join(rng.choice(list(" \t\n\r\x0b\x85\u2028\u00a0"), length)),
        "one": str(rng.choice(["lungs", ".", "_", "1", "é", "\0"])),
        "two": "lungs clear",
        "unknown": "ÿ" * length,
        "surrogates": "".join(chr(rng.integers(0xD800, 0xE000)) for _ in range(length)) + " lungs are clear",
        "right to left": "\u202e" + "עברית العربية " * length,
        "emoji": "🙂🏥" * length,
        "NUL": "the lungs\0 are clear\0" * length,
        "mixed": " ".join(rng.choice(WORDS, length)),
    }[str(kind)]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    text_encoder = {
        **SMALL_MODEL["text_encoder"],
        "config": {**SMALL_MODEL["text_encoder"]["config"], "vocab_size": 1000},
    }
    return MODELS.build({**SMALL_MODEL, "text_encoder": text_encoder}).train()


def loss_of(model, tokenize, reports, data_root):
    rows = [tokenize.transform({"report": text, "data_root": str(data_root)}) for text in reports]
    inputs = {
        key: torch.from_numpy(np.stack([row[key] for row in rows]))
        for key in ("input_ids", "attention_mask", "is_continuation")
    }
    inputs["image"] = torch.rand(len(rows), 3, 32, 32)
    losses = model(inputs, [ImageReportSample() for _ in rows], mode="loss")
    return {key: value for key, value in losses.items() if "loss" in key}


def test_losses_are_finite(model, prepared):
    """And so are their gradients, whatever the reports of a batch are."""
    tokenize = TokenizeReport(max_length=16)
    rng = np.random.default_rng(0)
    for number in range(cases(200, 20_000) // 8):
        reports = [report(rng) for _ in range(8)]
        losses = loss_of(model, tokenize, reports, prepared / "data")
        assert all(math.isfinite(value) for value in losses.values()), (losses, reports)
        if number % 10 == 0:
            model.zero_grad()
            sum(losses.values()).backward()
            for name, parameter in model.named_parameters():
                assert parameter.grad is None or parameter.grad.isfinite().all(), (name, reports)


@pytest.mark.parametrize("text", ["", " \n", "lungs", "\ud800\udcff", "\0"])
def test_a_batch_of_nothing_else(model, prepared, text):
    """All padding: not one word in the whole batch."""
    losses = loss_of(model, TokenizeReport(max_length=16), [text] * 8, prepared / "data")
    assert all(math.isfinite(value) for value in losses.values()), losses


def test_ten_megabytes(model, prepared):
    tokenize = TokenizeReport(max_length=16)
    tokenize.transform({"report": "lungs", "data_root": str(prepared / "data")})
    start = time.process_time()
    text = "the lungs are clear. " * 500_000
    first = tokenize.transform({"report": text, "data_root": str(prepared / "data")})
    assert time.process_time() - start < 2
    short = tokenize.transform({"report": text[:2000], "data_root": str(prepared / "data")})
    assert first["input_ids"].tolist() == short["input_ids"].tolist()


def test_preparation_excludes_with_a_reason(tmp_path):
    """Every row of the table is a sample, is counted by a filter, or stands in the list of the rejected."""
    rng = np.random.default_rng(1)
    number = cases(200, 20_000)
    rows = [[f"{row}.png", report(rng), f"p{row}", SPLITS[row % 3]] for row in range(number)]
    rows += [
        [f"good{row}.png", f"no effusion is seen in view {row}", f"g{row}", split]
        for row, split in enumerate(("train", "val", "test"))
    ]
    with open(tmp_path / "pairs.csv", "w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file).writerows([["image", "report", "patient", "split"], *rows])
    out = tmp_path / "out"
    options = Options(image_size=16, vocab_size=500, annotations_only=True, max_rejected=1.0)
    prepare("image_report_csv", tmp_path, out, options)
    assert check("image_report_csv", out) == []
    entries = [
        e for split in ("train", "val", "test") for e in json.loads((out / f"{split}.json").read_text())["data_list"]
    ]
    with open(out / "rejected.csv", newline="", encoding="utf-8") as file:
        rejected = list(csv.DictReader(file))
    assert all(row["reason"] for row in rejected)
    counts = [stage["kept"] for stage in json.loads((out / "manifest.json").read_text())["filters"]]
    assert counts[0] == len(rows) and counts == sorted(counts, reverse=True) and counts[-1] == len(entries)
    assert len(entries) >= 3 and all(len(" ".join(entry["report"]).split()) >= 3 for entry in entries)
