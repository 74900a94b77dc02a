"""The finding words of the phantom's reports, whose statements say what they claim, and of phrases as radiologists
write them."""

import time

import pytest

from mgca_mm.phantom.study import CHEXPERT_LABELS, LABELS_OF, sample_patient
from mgca_mm.reports.cleaning import clean_phrase, clean_text
from mgca_mm.reports.finding_words import find_mentions


def shown(*sentences):
    """Phrase, finding and whether it is denied."""
    words = " ".join(sentences).split()
    return [(" ".join(words[m.start : m.stop]), m.finding, m.is_negated) for m in find_mentions(sentences)]


def test_statements_of_the_phantom():
    found = set()
    statements = [
        statement
        for number in range(60)
        for study in sample_patient(5, number)
        for statement in study.report.statements
    ]
    for statement in statements:
        mentions = find_mentions(clean_text(statement.text))
        topics = [topic for topic in statement.topics if topic in LABELS_OF]
        assert topics or not mentions, statement
        for topic in topics:
            denied = [mention.is_negated for mention in mentions if mention.finding in LABELS_OF[topic]]
            if statement.polarity in ("absent", "resolved"):
                assert all(denied), statement
            else:
                assert False in denied, statement
                found.add(topic)
    assert found == set(LABELS_OF)
    assert {m.finding for s in statements for m in find_mentions(clean_text(s.text))} <= set(CHEXPERT_LABELS)


@pytest.mark.parametrize(
    ("text", "mentions"),
    [
        ("small left pleural effusion", [("small left pleural effusion", "Pleural Effusion", False)]),
        ("there is a hazy right lower lobe opacity", [("hazy right lower lobe opacity", "Lung Opacity", False)]),
        ("opacity in the right lower lobe", [("opacity in the right lower lobe", "Lung Opacity", False)]),
        ("the heart is moderately enlarged", [("heart is moderately enlarged", "Cardiomegaly", False)]),
        ("the heart is not enlarged", []),
        ("heart size is normal", []),
        ("no pleural effusion or pneumothorax", [
            ("pleural effusion", "Pleural Effusion", True), ("pneumothorax", "Pneumothorax", True)]),
        ("no effusion but a small nodule is seen", [
            ("effusion", "Pleural Effusion", True), ("small nodule", "Lung Lesion", False)]),
        ("no pneumothorax there is mild edema", [
            ("pneumothorax", "Pneumothorax", True), ("mild edema", "Edema", False)]),
        ("no change in the right effusion", [("right effusion", "Pleural Effusion", False)]),
        ("pneumonia cannot be excluded", [("pneumonia", "Pneumonia", False)]),
        ("the pneumothorax has resolved", [("pneumothorax", "Pneumothorax", True)]),
        ("the effusion is no longer seen", [("effusion", "Pleural Effusion", True)]),
        ("the lungs are free of consolidation", [("consolidation", "Consolidation", True)]),
        ("nothing to suggest an effusion", [("effusion", "Pleural Effusion", True)]),
        ("blunting of both costophrenic angles", [
            ("blunting of both costophrenic angles", "Pleural Effusion", False)]),
        ("a small left nodular opacity", [("small left nodular opacity", "Lung Lesion", False)]),
        ("nodular infiltrate", [("nodular infiltrate", "Lung Opacity", False)]),
        ("mild pulmonary venous congestion", [("mild pulmonary venous congestion", "Edema", False)]),
        ("coin lesion", [("coin lesion", "Lung Lesion", False)]),
        ("kerley b lines", [("kerley b lines", "Edema", False)]),
        ("pericardial effusion", []),
        ("osseous lesion with mass effect", []),
        ("massive portable film midline trachea", []),
        ("right ij central venous catheter terminating in the svc", [
            ("central venous catheter terminating in the svc", "Support Devices", False)]),
        ("", []),
    ],
)  # fmt: skip
def test_phrases(text, mentions):
    assert shown(text) == mentions


def test_a_denial_ends_with_its_sentence():
    assert shown("no pneumothorax", "small left effusion") == [
        ("pneumothorax", "Pneumothorax", True),
        ("small left effusion", "Pleural Effusion", False),
    ]


def test_words_are_those_of_a_cleaned_phrase():
    """Also numbers, which cleaning keeps within a sentence."""
    text = clean_phrase("A 3 cm LEFT lower-lobe nodule; trace bilateral pleural effusions.")
    assert [phrase for phrase, *_ in shown(text)] == [
        "3 cm left lower lobe nodule",
        "trace bilateral pleural effusions",
    ]


def test_time_is_linear():
    started = time.perf_counter()
    for word in ("left", "no", "pleural", "small to"):
        assert find_mentions(" ".join([word] * 20_000)) == []
    assert time.perf_counter() - started < 5
