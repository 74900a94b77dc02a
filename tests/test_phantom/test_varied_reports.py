"""Reports as varied as real ones: what they claim is as exact as in the plain ones, and how they differ."""

import re
import tarfile
from collections import Counter

import numpy as np
import pytest

from mgca_mm.phantom import KINDS, sample_patient
from mgca_mm.phantom.grammar import expand
from mgca_mm.phantom.study import LABELS_OF
from mgca_mm.phantom.varied_phrases import LUNGS
from mgca_mm.phantom.varied_remarks import ATTRIBUTES, TYPOS
from mgca_mm.reports.cleaning import clean_text, report_sentences
from mgca_mm.reports.finding_words import find_mentions
from mgca_mm.reports.sections import split_report
from tests.conftest import SHARED, needs_shared

ZONE_WORDS = {
    "upper": r"upper|ape?x|apical|[rl]ul",
    "mid": r"mid|middle|lingula",
    "lower": r"lower|base|basal|basilar|[rl]ll",
}
SIDE_WORDS = {"left": r"left|l[ul]l|lingula", "right": r"right|r[ul]l", "bilateral": r"bilateral|both"}
SPELLED = {wrong: right for right, wrong in TYPOS.items()}


@pytest.fixture(scope="module")
def patients():
    return [sample_patient(3, index, varied=True) for index in range(600)]


@pytest.fixture(scope="module")
def studies(patients):
    return [study for patient in patients for study in patient]


@pytest.fixture(scope="module")
def statements(studies):
    return [(study, statement) for study in studies for statement in study.report.statements]


def test_the_words_change_and_the_findings_stay(patients):
    for index, patient in enumerate(patients[:50]):
        for plain, varied in zip(sample_patient(3, index), patient, strict=True):
            assert (plain.findings, plain.resolved, plain.views) == (varied.findings, varied.resolved, varied.views)
            assert plain.report.form == varied.report.form
            assert plain.report != varied.report or not plain.report.text
    assert sample_patient(3, 17, varied=True) == patients[17]


def test_plain_statements_are_true(statements):
    """An unhedged mention is the truth: what it names of side, zone, severity and device, and absence likewise."""
    checked = Counter()
    for study, statement in statements:
        for topic in statement.topics if statement.polarity in ("present", "absent") else ():
            checked[statement.polarity] += 1
            if topic not in KINDS:
                assert bool(getattr(study.anatomy, topic)) == (statement.polarity == "present"), statement
                continue
            found = [finding for finding in study.findings if finding.kind == topic]
            if statement.polarity == "absent":
                assert not [finding for finding in found if statement.side in (None, finding.side)], statement
                continue
            sides = ["left", "right"] if statement.side == "bilateral" and topic != "edema" else [statement.side]
            for side in sides:
                named = {"side": side, "zone": statement.zone, "severity": statement.severity}
                named = {name: value for name, value in named.items() if value is not None}
                assert any(
                    all(getattr(finding, name) == value for name, value in named.items())
                    and finding.device == statement.device
                    for finding in found
                ), statement
    assert min(checked["present"], checked["absent"]) > 2000


def _spelled(text):
    words = text.lower()
    for wrong, right in SPELLED.items():
        words = re.sub(rf"\b{wrong}\b", right, words)
    return words


def test_words_are_not_denied_that_name_what_is_there():
    """An infiltrate may be a consolidation, a pneumonia or an edema."""
    denied = 0
    for study in (study for index in range(500) for study in sample_patient(31, index, varied=True)):
        for statement in study.report.statements:
            words = re.search(r"infiltrate|air ?space (disease|opacit)", _spelled(statement.text))
            if statement.polarity == "absent" and words:
                denied += 1
                assert not {f.kind for f in study.findings} & {"consolidation", "pneumonia", "edema"}, statement
    assert denied > 50


def test_normal_remarks_are_true_of_what_they_do_not_claim(studies):
    counts = Counter()
    for study in studies:
        kinds = {finding.kind for finding in study.findings}
        attributes = {name for name in ATTRIBUTES if getattr(study.anatomy, name)}
        for statement in study.report.statements:
            words = _spelled(statement.text)
            told = {
                topic
                for other in study.report.statements
                if other.section == statement.section and other.polarity in ("present", "uncertain")
                for topic in other.topics
            }
            if statement.polarity != "present" and re.search(r"(expanded|inflated|aerat)", words):
                counts["expanded"] += 1
                assert not study.anatomy.lung_volume and "pneumothorax" not in kinds, statement
            if "trachea" in words and "endo" not in words:
                counts["trachea"] += 1
                assert not study.anatomy.rotated, statement
            if re.search(r"otherwise clear|remain\w+", words) and statement.polarity == "absent":
                counts["remaining"] += 1
                assert kinds & set(LUNGS) <= told, statement
            if re.search(r"otherwise (unremarkable|negative)|superimposed", words):
                counts["otherwise"] += 1
                assert kinds | attributes <= told, statement
            assert "thoracic aorta is normal" not in words and "thoracic aorta is unremarkable" not in words
    assert len(counts) == 4 and min(counts.values()) > 2, counts


def test_a_pattern_may_be_alternatives_itself():
    assert {expand("a [b|c]|d", np.random.default_rng(seed)) for seed in range(40)} == {"a b", "a c", "d"}


def test_statements_name_what_they_claim(statements):
    """Also the reverse: a side in the words of a finding's statement is claimed."""
    for study, statement in statements:
        words = statement.text.lower()
        assert words and not re.search(r"[\[\]{}|]|  |\s[.,]|[.,]{2}", words), statement
        assert "".join(words.split()) in "".join(study.report.text.lower().split())
        if statement.side and statement.topics != ("edema",):  # an edema is of both lungs
            assert re.search(SIDE_WORDS[statement.side], words), statement
        if statement.zone:
            assert re.search(ZONE_WORDS[statement.zone], words), statement
        if statement.topics and statement.topics[0] in KINDS and statement.device is None:
            named = re.findall(r"\b(left|right)\b", words)
            assert set(named) <= {statement.side}, statement


def test_findings_are_mentioned_and_hedges_are_rare(studies):
    said, hedged, total = 0, 0, 0
    for study in studies:
        for finding in study.findings if study.report.form == "full" else ():
            mentions = [s for s in study.report.statements if finding.kind in s.topics]
            polarities = {s.polarity for s in mentions if s.polarity in ("present", "uncertain")}
            total += 1
            said += bool(polarities)
            hedged += polarities == {"uncertain"}
    assert said / total > 0.95
    assert 0.0 < hedged / total < 0.08


def test_sentences_are_whole(studies):
    """Clauses of one sentence follow one another, in every section."""
    for study in studies:
        for section in ("findings", "impression"):
            for sentence in study.report.sentences(section):
                assert (
                    sentence.endswith(".")
                    and sentence.count(".") - len(re.findall(r"\d\.\d|dr\.", sentence.lower())) == 1
                )
                assert not sentence[0].islower(), sentence


def test_texts_keep_the_layout_of_reports(studies):
    for study in studies:
        text = study.report.text
        assert text.isascii() and max(map(len, text.splitlines()), default=0) <= 80


def test_preparation_finds_what_was_written(studies):
    """The cleaned report has the words of the statements, impression first, and none of the head."""
    for study in studies:
        written = {
            section: " ".join(" ".join(clean_text(sentence)) for sentence in study.report.sentences(section)).split()
            for section in ("impression", "findings")
        }
        if study.report.form in ("full", "impression", "findings"):
            kinds = {part.kind for part in split_report(study.report.text)[0]}
            assert kinds == {name for name in written if study.report.sentences(name)}, study.report.text
            assert " ".join(report_sentences(study.report.text)).split() == written["impression"] + written["findings"]


def test_finding_words_are_found(statements):
    missed, wrong, total = Counter(), 0, 0
    for _, statement in statements:
        text = statement.text.lower()
        for misspelled, word in SPELLED.items():
            text = re.sub(rf"\b{misspelled}\b", word, text)
        mentions = find_mentions(clean_text(text + " ."))
        for topic in (topic for topic in statement.topics if topic in LABELS_OF):
            denied = [mention.is_negated for mention in mentions if mention.finding in LABELS_OF[topic]]
            total += 1
            if statement.polarity in ("absent", "resolved"):
                wrong += not all(denied)
            elif False not in denied and len(text.split()) > 1:  # cleaning drops sentences of one word
                missed[topic, statement.text] += 1
    assert wrong == 0
    assert missed.total() / total < 0.01, missed.most_common(20)


def test_reports_are_varied(studies):
    reports = [study.report for study in studies if study.report.form == "full"]
    lengths = sorted(sum(len(sentence.split()) for sentence in report.sentences()) for report in reports)
    assert lengths[len(lengths) // 20] < 20 and lengths[-len(lengths) // 20] > 80
    sentences = [sentence for report in reports for sentence in report.sentences()]
    assert len(set(sentences)) > 0.4 * len(sentences)
    words = Counter(word for sentence in sentences for word in re.findall("[a-z]+", sentence.lower()))
    assert len(words) > 550
    orders = {
        tuple(dict.fromkeys(s.topics[:1] for s in report.statements if s.section == "findings")) for report in reports
    }
    assert len(orders) > 0.6 * len(reports)
    shares = {
        "capitals": sum(" ".join(report.sentences()).isupper() for report in reports),
        "misspelled": sum(any(word in SPELLED for word in " ".join(r.sentences()).lower().split()) for r in reports),
        "several claims": sum(len(report.sentences()) < len(report.statements) for report in reports),
    }
    assert all(count > 0.01 * len(reports) for count in shares.values()), shares
    assert shares["capitals"] + shares["misspelled"] < 0.12 * len(reports)


@needs_shared("real_reports/NLMCXR_reports.tgz")
def test_words_are_those_of_real_reports(studies):
    """What ``docs/phantom.md`` says of the vocabulary."""
    with tarfile.open(SHARED / "real_reports" / "NLMCXR_reports.tgz") as archive:
        files = [archive.extractfile(member).read().decode() for member in archive if member.name.endswith(".xml")]
    texts = re.findall(r'Label="(?:FINDINGS|IMPRESSION)">([^<]*)<', " ".join(files))
    real = Counter(word for text in texts for word in re.findall("[a-z]+", text.lower()) if set(word) != {"x"})
    made = {word for study in studies for word in re.findall("[a-z]+", " ".join(study.report.sentences()).lower())}
    assert sum(word in made for word, _ in real.most_common(500)) > 400
    assert sum(count for word, count in real.items() if word in made) > 0.93 * real.total()
