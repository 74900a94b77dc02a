import random

import pytest
import torch
from torchmetrics.functional.text.rouge import _rouge_l_score
from transformers import AutoTokenizer

from mgca_mm.errors import UserError
from mgca_mm.evaluation import ReportGeneration
from mgca_mm.evaluation.report_generation import rouge_l


def test_rouge_l_equals_that_of_torchmetrics():
    generator = random.Random(0)
    for _ in range(300):
        texts = [generator.choices(["a", "b", "c", "d", "e", "f"], k=generator.randint(1, 80)) for _ in range(2)]
        expected = _rouge_l_score(*texts)["fmeasure"].item()
        assert rouge_l(*(" ".join(text) for text in texts)) == pytest.approx(expected, abs=1e-6)
    assert rouge_l("", "") == rouge_l("", "a") == rouge_l("a", "") == rouge_l("a", "b") == 0


def sample(tokenizer, written, true):
    written, true = (torch.tensor(tokenizer(text)["input_ids"]) for text in (written, true))
    # Filled up by the end and by padding, as the model has them.
    return dict(
        generated_ids=torch.cat([written, written[-1:].repeat(3)]),
        report_ids=torch.cat([true, torch.full((4,), tokenizer.pad_token_id)]),
    )


def evaluate(prepared, pairs):
    tokenizer = AutoTokenizer.from_pretrained(prepared / "data" / "tokenizer")
    metric = ReportGeneration(data_root=str(prepared / "data"))
    metric.process({}, [sample(tokenizer, *pair) for pair in pairs])
    return metric.compute_metrics(metric.results)


def test_equal_reports_score_100(prepared):
    report = "the heart is normal in size and the lungs are clear"
    metrics = evaluate(prepared, [(report, report)] * 2)
    assert metrics == pytest.approx({"BLEU-1": 100, "BLEU-2": 100, "BLEU-3": 100, "BLEU-4": 100, "ROUGE-L": 100})


def test_by_hand(prepared):
    """Four of the five written words occur, in order, in a true report of six."""
    metrics = evaluate(prepared, [("the lungs are clear heart", "the lungs are clear in size")])
    brevity = 2.718281828459045 ** (1 - 6 / 5)
    assert metrics["BLEU-1"] == pytest.approx(100 * brevity * 4 / 5, rel=1e-5)
    assert metrics["BLEU-2"] == pytest.approx(100 * brevity * (4 / 5 * 3 / 4) ** 0.5, rel=1e-5)
    assert metrics["ROUGE-L"] == pytest.approx(100 * 2 * 4 / (5 + 6), rel=1e-5)


def test_bad_tokenizer(tmp_path):
    with pytest.raises(ValueError, match="either"):
        ReportGeneration()
    with pytest.raises(UserError):
        ReportGeneration(data_root=str(tmp_path)).process({}, [])
