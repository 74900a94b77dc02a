"""Who the patients are and what their reports say."""

import itertools

import pytest

from mgca_mm.phantom import CHEXPERT_LABELS, KINDS, sample_patient


@pytest.fixture(scope="module")
def patients():
    return [sample_patient(3, index) for index in range(1500)]


@pytest.fixture(scope="module")
def studies(patients):
    return [study for patient in patients for study in patient]


def share(studies, predicate):
    return sum(map(predicate, studies)) / len(studies)


def test_a_patient_depends_on_seed_and_index_only(patients):
    assert sample_patient(3, 17) == patients[17]
    assert sample_patient(4, 17) != patients[17]


def test_one_to_four_studies_in_order_of_time(patients):
    counts = {len(patient) for patient in patients}
    assert counts == {1, 2, 3, 4}
    for patient in patients:
        assert len({study.subject_id for study in patient}) == 1
        assert all(a.date < b.date for a, b in itertools.pairwise(patient))


def test_identifiers_are_unique(patients, studies):
    assert len({patient[0].subject_id for patient in patients}) == len(patients)
    assert len({study.study_id for study in studies}) == len(studies)
    assert all(10_000_000 <= s.subject_id < 20_000_000 <= 50_000_000 <= s.study_id < 60_000_000 for s in studies)


@pytest.mark.parametrize("kind", KINDS)
def test_prevalence(studies, kind):
    assert 0.09 <= share(studies, lambda study: any(f.kind == kind for f in study.findings)) <= 0.26


def test_normal_studies(studies):
    normal = share(studies, lambda study: not study.findings)
    assert 0.25 <= normal <= 0.36
    assert normal == share(studies, lambda study: study.labels["No Finding"])


def test_findings_co_occur(studies):
    def having(*kinds):
        return share(studies, lambda study: set(kinds) <= {f.kind for f in study.findings})

    for pair in (("edema", "cardiomegaly"), ("edema", "pleural_effusion"), ("pneumonia", "consolidation")):
        assert having(*pair) > 1.5 * having(pair[0]) * having(pair[1])


def test_labels_are_the_findings(studies):
    own = {"nodule": "Lung Lesion", "foreign_object": "Support Devices"}
    for study in studies:
        labels = study.labels
        assert tuple(labels) == CHEXPERT_LABELS
        kinds = {finding.kind for finding in study.findings}
        for kind in KINDS:
            assert labels[own.get(kind, kind.replace("_", " ").title())] == (kind in kinds)
        opacities = {"consolidation", "pneumonia", "atelectasis", "edema"}
        assert labels["Lung Opacity"] == bool(kinds & opacities)
        assert not labels["Fracture"] and not labels["Pleural Other"] and not labels["Enlarged Cardiomediastinum"]


def test_both_sides_all_zones_all_severities(studies):
    seen = {(f.kind, f.side, f.zone, f.severity) for study in studies for f in study.findings}
    for kind in ("consolidation", "nodule", "pneumonia"):
        for case in itertools.product(("left", "right"), ("upper", "mid", "lower"), (1, 2, 3)):
            assert (kind, *case) in seen


def test_plain_statements_are_true(studies):
    """An unhedged mention is the truth: kind, side, zone, severity and device, and absence likewise."""
    checked = {"present": 0, "absent": 0}
    for study in studies:
        for statement in study.report.statements:
            for topic in statement.topics if statement.polarity in checked else ():
                checked[statement.polarity] += 1
                if topic not in KINDS:
                    assert bool(getattr(study.anatomy, topic)) == (statement.polarity == "present")
                    continue
                found = [f for f in study.findings if f.kind == topic]
                if statement.polarity == "absent":
                    assert not [f for f in found if statement.side in (None, f.side)], statement
                    continue
                sides = {"left", "right"} if statement.side == "bilateral" and topic != "edema" else {statement.side}
                for side in sides:
                    claim = (side, statement.zone, statement.severity or 0, statement.device)
                    assert claim in [(f.side, f.zone, f.severity, f.device) for f in found], statement
    assert min(checked.values()) > 2000


def test_findings_are_mentioned_and_hedges_are_rare(studies):
    full = [study for study in studies if study.report.form == "full" and study.findings]
    said, hedged, total = 0, 0, 0
    for study in full:
        for finding in study.findings:
            mentions = [s for s in study.report.statements if finding.kind in s.topics]
            polarities = {s.polarity for s in mentions if s.polarity in ("present", "uncertain")}
            total += 1
            said += bool(polarities)
            hedged += polarities == {"uncertain"}
    assert said / total > 0.95
    assert 0.0 < hedged / total < 0.08


def test_hedges_about_absent_findings(studies):
    hedged = [
        topic in {finding.kind for finding in study.findings}
        for study in studies
        for statement in study.report.statements
        if statement.polarity == "uncertain"
        for topic in statement.topics
    ]
    assert any(hedged) and not all(hedged)


def test_statements_stand_in_the_text_and_name_what_they_claim(studies):
    words = {"mid": "mid", "upper": "upper"}
    for study in studies:
        text = " ".join(study.report.text.split())  # undo the wrapping
        for statement in study.report.statements:
            assert statement.text in text
            assert "{" not in statement.text and statement.text[0].isupper() | statement.text[0].isdigit()
            if statement.zone in words and statement.topics != ("foreign_object",):
                assert words[statement.zone] in statement.text.lower()
            if statement.side:
                assert statement.side in statement.text.lower() or statement.topics == ("edema",), statement


def test_trends_follow_the_previous_study(patients):
    compared = 0
    for patient in patients:
        assert all(finding.trend is None for finding in patient[0].findings)
        for before, after in itertools.pairwise(patient):
            old = {(f.kind, f.side, f.device, f.texture): f.severity for f in before.findings}
            for finding in after.findings:
                severity = old.get((finding.kind, finding.side, finding.device, finding.texture))
                expected = "new" if severity is None else None
                if severity is not None:
                    sign = (finding.severity > severity) - (finding.severity < severity)
                    expected = {1: "worse", -1: "better", 0: "same"}[sign]
                assert finding.trend == expected
                compared += 1
            gone = {(f.kind, f.texture) for f in before.findings} - {(f.kind, f.texture) for f in after.findings}
            assert gone == {(f.kind, f.texture) for f in after.resolved}
    assert compared > 500


def test_forms_of_reports(studies):
    forms = {
        form: share(studies, lambda s, form=form: s.report.form == form) for form in {s.report.form for s in studies}
    }
    assert set(forms) == {"full", "impression", "findings", "paragraph", "no_body", "two_words", "empty"}
    assert 0.005 < forms["no_body"] + forms["two_words"] + forms["empty"] < 0.04
    for study in studies:
        text = study.report.text
        assert text.isascii() and max(map(len, text.splitlines()), default=0) <= 80
        if study.report.form == "empty":
            assert text == ""
        elif study.report.form == "paragraph":
            assert "IMPRESSION" not in text and "FINDINGS" not in text
    misspelled = share(studies, lambda s: s.report.form == "full" and "FINDINGS:" not in s.report.text)
    assert 0.005 < misspelled < 0.08


def test_reports_are_diverse(studies):
    sentences = {statement.text for study in studies for statement in study.report.statements}
    bodies = [" ".join(s.text for s in study.report.statements) for study in studies if study.report.form == "full"]
    assert len(sentences) > 2000
    assert len(set(bodies)) > 0.97 * len(bodies)
