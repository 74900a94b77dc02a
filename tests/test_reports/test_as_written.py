"""Each cleaned word is found where the report has it."""

import time

import pytest

from mgca_mm.reports.as_written import locate_words
from mgca_mm.reports.cleaning import clean_phrase, report_sentences


def found(text, words="ascii"):
    sentences = report_sentences(text, words) or [clean_phrase(text, words)]
    spans = locate_words(text, sentences, words)
    assert len(spans) == len(" ".join(sentences).split())
    return [span and text[slice(*span)] for span in spans]


def test_impression_comes_first():
    text = (
        "EXAM: Chest.\nFINDINGS: Heart is ENLARGED. No effusion.\nIMPRESSION:\n1. Cardiomegaly, mild. 2. No effusion."
    )
    assert found(text) == ["Cardiomegaly", "mild", "No", "effusion", "Heart", "is", "ENLARGED", "No", "effusion"]
    spans = locate_words(text, report_sentences(text))
    assert len(set(spans)) == len(spans)  # also of the sentence that stands there twice
    assert spans[0] > spans[4] > (text.index("FINDINGS"), 0)


@pytest.mark.parametrize(
    ("text", "words", "expected"),
    [
        (
            "Fracture of rib 5 and of T12. ___ was told.",
            "ascii",
            ["Fracture", "of", "rib", "5", "and", "of", "T12", "was", "told"],
        ),
        ("Ángulo costofrénico\nderecho: libre.", "ascii", ["Ángulo", "costofrénico", "derecho", "libre"]),
        ("The lungs<br>are&nbsp;clear.", "ascii", ["The", "lungs", "are", "clear"]),
        ("Nodule of 3.5 cm.", "ascii", ["Nodule", "of", "5", "cm"]),
        ("EFFUSION", "ascii", ["EFFUSION"]),
        ("胸水 あり 。心拡大 なし 。", "unicode", ["胸水", "あり", "心拡大", "なし"]),
    ],
)
def test_what_cleaning_changes(text, words, expected):
    assert found(text, words) == expected


@pytest.mark.parametrize("text", ["a a b. " * 14_000, "a " * 50_000, ("a " * 200 + "b. ") * 200])
def test_time_is_linear(text):
    start = time.perf_counter()
    found(text)
    assert time.perf_counter() - start < 10


def test_no_place_is_two_words():
    """Sentences of the same words, cut out of one another."""
    text = (
        "pneumonia heart, left, \nIMPRESSION:  lungs. 1, clear  cm 2.5 1 lungs, T12.\n lungs: effusion  qé. the  1. "
        "no, the left  clear. no"
    )
    found = [span for span in locate_words(text, report_sentences(text)) if span is not None]
    assert len(found) > 5 and len(set(found)) == len(found)
