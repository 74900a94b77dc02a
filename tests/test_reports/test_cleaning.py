"""The cleaning, on hand-written cases, random hostile text, and 3,955 real reports."""

import re
import tarfile
import time
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from mgca_mm.reports.cleaning import (
    MIN_TOKENS,
    clean_text,
    count_tokens,
    decode_report,
    report_sentences,
)
from mgca_mm.reports.markup import plain_text
from mgca_mm.reports.sections import find_sections, split_report
from tests.conftest import SHARED, needs_shared

REAL_REPORTS = SHARED / "real_reports" / "NLMCXR_reports.tgz"
HOSTILE = [
    *"abzABZ019._-:;!?()/\\\"'\n\r\t\0 \x0b\x1c\x85\u2028",
    *"éßİıſK٣²½Ⅷ中אب😀",
    *("\u202e", "\u0301", "\ufeff", "\ud800", "\udfff", "___", ". ", "1. ", "12%.", "FINDINGS:", "\nIMPRESSION: "),
]


def random_texts(count: int):
    rng = np.random.default_rng(0)
    for _ in range(count):
        if rng.random() < 0.5:
            yield "".join(rng.choice(HOSTILE, rng.integers(0, 60)))
        else:  # Any code point, surrogates included.
            yield "".join(map(chr, rng.integers(0, 0x110000, rng.integers(0, 60))))


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("The lungs are clear. No effusion.", ["the lungs are clear", "no effusion"]),
        ("1. No acute process. 2. Normal heart.", ["no acute process", "normal heart"]),
        ("No effusion 2. Normal heart", ["no effusion", "normal heart"]),
        ("Two\nlines of\r\ntext", ["two lines of text"]),
        ("Normal. Lungs clear.", ["lungs clear"]),  # one word is no sentence
        ("Nodule of 3.5 cm.", ["nodule of", "5 cm"]),  # the protocol's split knows no decimals
        ("Opacity in 50%. Stable since 2 days.", ["opacity in", "stable since 2 days"]),
        ("Compared to 12", ["compared to 12"]),
        ("Dr. ___ saw ___ at ___.", ["saw at"]),
        ("café naïve — 中文 ok", ["cafe naive ok"]),
        ("snake_case word", ["snake_case word"]),
        ("", []),
        (" \n\t\0 ", []),
        ("...", []),
    ],
)
def test_clean_text(text, sentences):
    assert clean_text(text) == sentences


def test_random_texts_give_clean_sentences_that_stay_as_they_are():
    num_sentences = 0
    for text in random_texts(2000):
        find_sections(text)
        sentences = clean_text(text)
        in_unicode = clean_text(text, "unicode")
        assert clean_text(". ".join(in_unicode), "unicode") == in_unicode
        assert not text.isascii() or in_unicode == sentences
        for sentence in sentences + report_sentences(text):
            assert len(sentence.split(" ")) >= 2
            assert all(re.fullmatch(r"[a-z0-9_]*[a-z0-9][a-z0-9_]*", word) for word in sentence.split(" "))
        assert clean_text(". ".join(sentences)) == sentences
        num_sentences += len(sentences)
    assert num_sentences > 1000  # the random texts do reach the assertions


@pytest.mark.parametrize(
    "unit",
    [
        "9",
        " ",
        "_",
        "A",
        "A ",
        "FINDINGS: ",
        "FINDINGS  ",
        "\nIMPRESSION:",
        "1.",
        "\n",
        "é",
        ":",
        "A:",
        ". CHEST: ",
        "\\",
        "HISTORY: \n",
        *(
            "Findings: ",
            "A\t",
            "A =",
            "[",
            "<style>",
            "<!--",
            "{\\info{}",
            "\\n",
            "FINDINGS:\n___\nX:\n",
            "A (",
            '"',
        ),
    ],
)
def test_time_is_linear(unit):
    start = time.process_time()
    report_sentences(unit * (2_000_000 // len(unit)))
    assert time.process_time() - start < 60  # quadratic time would take hours; a slow machine needs ten seconds


def test_decode_report():
    assert decode_report("café".encode()) == "café"
    assert decode_report(b"caf\xe9 \xff") == "café ÿ"
    assert decode_report(b"\xef\xbb\xbfFINDINGS: x") == "FINDINGS: x"
    assert decode_report(b"") == ""


@pytest.mark.parametrize(
    "header",
    [
        *("FINDINGS:", "  FINDINGS :", "FINDINGS", "FINDINGS.", "FINDINGS -", "Findings:", "findings:", "FINDNGS:"),
    ],
)
def test_findings_headers(header):
    text = f" HISTORY: cough\n {header}\n Lungs are clear.\n\n COMPARISON: none\n"
    assert clean_text(find_sections(text)["findings"]) == ["lungs are clear"]


@pytest.mark.parametrize(
    "header",
    [
        "IMPRESSION:",
        "IMPRESSON:",
        "IMPRESION:",
        "IMPRESSSION:",
        "IMPRESSIONS:",
        "Impression:",
        "CONCLUSION:",
        "CONCLUSION(S):",
        *("FINDINGS AND IMPRESSION:", "FINDINGS/IMPRESSION:", "FINDINGS & IMPRESSION:", "IMPRESSION AND FINDINGS:"),
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_impression_headers(header, line_end):
    text = f"TECHNIQUE: PA{line_end} {header}  No pneumonia{line_end} today.{line_end}RECOMMENDATION(S): CT."
    assert clean_text(find_sections(text)["impression"]) == ["no pneumonia today"]


def test_words_that_are_no_headers():
    text = "IMPRESSION: The impression\nis: stable. Findings\nare at 4:30 and\nFINDINGS are listed.\n"
    assert report_sentences(text) == ["the impression is stable", "findings are at 4 30 and findings are listed"]


def test_the_last_section_of_a_name_wins():
    text = "FINDINGS: Early reading.\nFINAL REPORT\nFINDINGS: Late reading.\nIMPRESSION: Same.\nFINDINGS:\n ___ \n"
    assert clean_text(find_sections(text)["findings"]) == ["late reading"]  # an empty one does not count


def test_impression_comes_first_and_is_cleaned_apart():
    assert report_sentences("FINDINGS: lungs clear\nIMPRESSION: no change") == ["no change", "lungs clear"]


def test_last_paragraph():
    text = "EXAM: chest\n\nFirst paragraph here.\n \t\nLungs are\nclear.\n\n ____ \n\n"
    assert report_sentences(text) == ["first paragraph here", "lungs are clear"]
    assert [part.text for part in split_report("one line only")[0]] == ["one line only"]
    assert split_report("IMPRESSION:\n\n")[0] == []
    assert split_report(" \n\n\0")[0] == []


def test_a_short_section_does_not_fall_back():
    assert report_sentences("A long paragraph of text.\n\nIMPRESSION: Normal.\n") == []


def _open_i_sections():
    """FINDINGS and IMPRESSION of the real reports."""
    with tarfile.open(REAL_REPORTS) as archive:
        for member in archive:
            if member.name.endswith(".xml"):
                root = ElementTree.parse(archive.extractfile(member)).getroot()
                yield {text.get("Label"): text.text or "" for text in root.iter("AbstractText")}


@needs_shared("real_reports/NLMCXR_reports.tgz")
def test_real_reports():
    counts = dict.fromkeys(("reports", "text", "tokens"), 0)
    num_rewritten = 0
    for sections in _open_i_sections():
        parts = [plain_text(sections[name]) for name in ("IMPRESSION", "FINDINGS")]
        sentences = [sentence for part in parts for sentence in clean_text(part)]
        counts["reports"] += 1
        counts["text"] += any(part.strip() for part in parts)
        counts["tokens"] += count_tokens(sentences) >= MIN_TOKENS
        assert all(re.fullmatch(r"[a-z0-9_]+( [a-z0-9_]+)+", sentence) for sentence in sentences)
        assert clean_text(". ".join(sentences)) == sentences
        assert count_tokens(sentences) <= len(re.findall(r"\w+", " ".join(parts)))
        # The same report as MIMIC-CXR would have written it.
        if any(re.search(r"\w", part) for part in parts):
            text = (
                f" FINAL REPORT\n INDICATION:  {sections['INDICATION']}\n \n COMPARISON:  {sections['COMPARISON']}\n \n"
                f" FINDINGS:  {_wrap(sections['FINDINGS'])}\n \n IMPRESSION:  {_wrap(sections['IMPRESSION'])}\n"
            )
            num_rewritten += report_sentences(text) == sentences
    assert counts == {"reports": 3955, "text": 3927, "tokens": 3927}
    # One impression holds a whole report in one line, with other sections.
    assert num_rewritten == counts["text"] - 1


def _wrap(text: str) -> str:
    """Break a text into the short indented lines of MIMIC-CXR."""
    words = text.split()
    return "\n ".join(" ".join(words[start : start + 12]) for start in range(0, len(words), 12))
