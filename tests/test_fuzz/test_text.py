"""Run lengths and reports of any text: what they stand for, or a ``ValueError``."""

import math

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from mgca_mm.phantom.layouts.siim_pneumothorax import encode_rle
from mgca_mm.reports.cleaning import clean_text, decode_report, report_sentences
from mgca_mm.reports.sections import find_sections, split_report
from tests.test_fuzz.cases import cases, in_time
from tests.test_preparation.test_siim_masks import decode_rle


@given(
    st.text(alphabet="0123456789 -\t\n.x٣", max_size=60)
    | st.text()
    | st.lists(st.integers(0, 40) | st.sampled_from((-1, 10**6, 2**63, 10**30)), max_size=12).map(
        lambda numbers: " ".join(map(str, numbers))
    ),
    st.integers(1, 20),
    st.integers(1, 20),
)
@cases(60, 1500)
def test_run_lengths(text, height, width):
    try:
        with in_time():
            mask = decode_rle(text, height, width)
    except ValueError as error:
        assert "run-length mask" in str(error)
        return
    assert mask.shape == (height, width) and mask.sum() == sum(map(int, text.split()[1::2]))
    if mask.any():
        np.testing.assert_array_equal(decode_rle(encode_rle(mask), height, width), mask)


@given(st.binary(min_size=1, max_size=60), st.integers(1, 24), st.sampled_from(("bits", "bytes")))
@cases(40, 1000)
def test_masks_in_run_lengths(content, height, unit):
    pixels = np.frombuffer(content, np.uint8)
    pixels = np.unpackbits(pixels) if unit == "bits" else np.repeat(pixels > 127, 5)
    mask = np.resize(pixels, (height, math.ceil(len(pixels) / height))).astype(bool)
    text = encode_rle(mask)
    assert (text == "") is not mask.any()
    if text:
        np.testing.assert_array_equal(decode_rle(text, *mask.shape), mask)


_FRAGMENTS = [
    *(
        "FINDINGS:",
        "IMPRESSION",
        "IMPRESSION:",
        "Findings and impression:",
        "COMPARISON: ",
        "CHEST:",
        "FINDNGS.",
        "___",
        "LUNGS:",
        "<br>",
        "\\n",
        "&lt;",
        "。",
        "\u0301",
    ),
    *(
        " lungs ",
        "Clear.",
        "1.",
        " 3.5 cm",
        "50%.",
        ". ",
        "\n",
        "\r\n",
        "\n\n",
        "\r",
        "\t",
        "\x0b",
        "\x85",
        "\u2028",
        "é",
    ),
    *("\x00", "İ", "ſ", "²", "Ⅷ", "中", "\ufeff", "\udcff", "\ud800", "_", "-", "/", "&", "x" * 90),
]
texts = st.lists(st.sampled_from(_FRAGMENTS) | st.text(max_size=6), max_size=40).map("".join) | st.text()


@given(texts)
@cases(80, 2000)
def test_reports(text):
    with in_time():
        sections = find_sections(text)
        sentences = clean_text(text)
        of_report = report_sentences(text)
    assert set(sections) <= {"findings", "impression"}
    for sentence in (*sentences, *of_report):
        found = sentence.split(" ")
        assert len(found) >= 2 and all(word.isascii() and word == word.lower() and word.strip("_") for word in found)
        assert all(character.isalnum() or character == "_" for word in found for character in word)
    assert clean_text(". ".join(sentences)) == sentences
    in_unicode = report_sentences(text, "unicode")
    assert clean_text(". ".join(in_unicode), "unicode") == in_unicode
    assert of_report == [sentence for part in split_report(text)[0] for sentence in clean_text(part.text)]


@given(st.binary(max_size=200) | texts.map(lambda text: text.encode("utf-8", "surrogatepass")))
@example("café".encode("utf-16"))
@cases(30, 600)
def test_bytes_of_reports(content):
    try:
        text = decode_report(content)
    except ValueError as error:
        assert "not a text in UTF-8 or Latin-1" in str(error)
        return
    assert not set(text) & {chr(code) for code in (*range(9), *range(14, 32), 127)}
    assert decode_report(text.encode()) == text.removeprefix("\ufeff")
    report_sentences(text)
