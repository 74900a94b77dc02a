"""Reports in the text form of MIMIC-CXR, composed of statements that remember what they say.

Sections, negations, hedges, comparison with earlier studies, normal statements and sentences that say nothing are all
there; a few reports are broken the way real ones are. The statements kept beside the text let tests (and models'
evaluations) compare words with truth without parsing English.
"""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np

from . import phrases
from .anatomy import Anatomy
from .findings import Finding

HEDGE_PRESENT, HEDGE_ABSENT = 0.07, 0.06
_NEGATED = {
    "pleural_effusion": 0.75,
    "pneumothorax": 0.75,
    "consolidation": 0.65,
    "edema": 0.40,
    "pneumonia": 0.20,
    "nodule": 0.15,
    "atelectasis": 0.06,
}
_MENTIONED = {"rotated": 0.8, "calcified_aorta": 0.8, "elevated_diaphragm": 0.85}  # abnormal attributes; 0.9 otherwise
_NORMAL_MENTIONED = 0.35
_FORMS = {"full": 0.84, "impression": 0.05, "findings": 0.05, "paragraph": 0.04}  # of a report
_FORMS |= {"no_body": 0.007, "two_words": 0.007, "empty": 0.006}


@dataclass(frozen=True)
class Statement:
    """One sentence of a report, or a clause of one, and what it claims."""

    text: str  # ends in a full stop, or goes on in the next statement's
    topics: tuple[str, ...] = ()  # finding kinds or ``Anatomy`` attributes it speaks of; empty if it claims nothing
    polarity: str = "neutral"  # or 'present', 'absent', 'uncertain', 'resolved'
    # What it names, if any:
    side: str | None = None
    zone: str | None = None
    severity: int | None = None
    device: str | None = None
    section: str = "findings"  # or 'impression'


@dataclass(frozen=True)
class Report:
    """A report's text, its statements, and its form.

    ``form`` is ``'full'``, ``'impression'`` or ``'findings'`` (only that section), ``'paragraph'`` (no section
    headers), ``'no_body'`` (neither section), ``'two_words'`` or ``'empty'``.
    """

    text: str
    statements: tuple[Statement, ...]
    form: str

    def sentences(self, *sections: str) -> list[str]:
        """The sentences of some sections, or of all."""
        return _join_clauses(s for s in self.statements if not sections or s.section in sections)


# The statements of FINDINGS and IMPRESSION from the arguments of ``write_report``.
Wording = Callable[..., tuple[list[Statement], list[Statement]]]


def word_plainly(
    findings: tuple[Finding, ...],
    resolved: tuple[Finding, ...],
    anatomy: Anatomy,
    views: tuple[str, ...],
    follow_up: bool,
    rng: np.random.Generator,
) -> tuple[list[Statement], list[Statement]]:
    """The ``Wording`` in a small grammar: one order of topics, one claim a sentence."""
    return _describe(findings, resolved, anatomy, rng), _summarize(findings, anatomy, rng)


def write_report(
    findings: tuple[Finding, ...],
    resolved: tuple[Finding, ...],
    anatomy: Anatomy,
    views: tuple[str, ...],
    follow_up: bool,
    rng: np.random.Generator,
    wording: Wording = word_plainly,
) -> Report:
    """Compose the report of a study, by draws that decide every word; ``follow_up``: there is an earlier study."""
    form = str(rng.choice(list(_FORMS), p=list(_FORMS.values())))
    body, summary = wording(findings, resolved, anatomy, views, follow_up, rng)
    if form == "empty":
        return Report("", (), form)
    head = _head(anatomy, views, follow_up, rng)
    if form == "two_words":
        return Report(f"{head[0]}\n \n {_pick(rng, phrases.TWO_WORDS)}\n", (), form)
    if form == "no_body":
        return Report("\n \n".join(head) + "\n", (), form)
    if form == "paragraph":
        return Report("\n \n".join([head[0], *head[2:3], _wrap(body)]) + "\n", tuple(body), form)
    parts, statements = list(head), []
    if form != "impression":
        parts += [f" {_header('FINDINGS', rng)}: ", _wrap(body)]
        statements += body
    if form != "findings":
        parts += [f" {_header('IMPRESSION', rng)}: ", _enumerate(summary, rng)]
        statements += summary
    return Report("\n \n".join(parts) + "\n", tuple(statements), form)


def _describe(
    findings: tuple[Finding, ...], resolved: tuple[Finding, ...], anatomy: Anatomy, rng: np.random.Generator
) -> list[Statement]:
    """The FINDINGS section: posture, lungs and pleura, heart and mediastinum, bones, devices."""
    kinds = {finding.kind for finding in findings}
    statements = _attributes(anatomy, ("lung_volume", "rotated"), rng)
    statements += [
        _positive(finding, rng, trend=rng.random() < 0.7)
        for finding in merge_effusions(findings)
        if finding.kind not in ("cardiomegaly", "foreign_object") and rng.random() < 0.96
    ]
    if not kinds - {"cardiomegaly", "foreign_object"} and rng.random() < 0.5:
        topics = ("consolidation", "atelectasis", "edema", "nodule", "pneumonia")
        statements.append(Statement(_pick(rng, phrases.NORMAL_LUNGS), topics, "absent"))
    statements += _negations(kinds, rng)
    statements += _one_sided(findings, rng)
    statements += _hedged_absence(kinds, rng)
    statements += _resolutions(kinds, resolved, rng)
    heart = next((finding for finding in findings if finding.kind == "cardiomegaly"), None)
    if heart is not None and rng.random() < 0.96:
        statements.append(_positive(heart, rng, trend=rng.random() < 0.3))
    elif heart is None and rng.random() < 0.85:
        statements.append(Statement(_pick(rng, phrases.HEART_NORMAL), ("cardiomegaly",), "absent"))
    statements += _attributes(anatomy, ("tortuous_aorta", "calcified_aorta", "prominent_hila"), rng)
    statements += _attributes(anatomy, ("elevated_diaphragm", "scoliosis", "gastric_gas"), rng)
    devices = [finding for finding in findings if finding.kind == "foreign_object" and rng.random() < 0.95]
    devices = [_positive(finding, rng, trend=rng.random() < 0.3) for finding in devices]
    # Some readers begin with the devices.
    statements = devices + statements if rng.random() < 0.4 else statements + devices
    if rng.random() < 0.35:
        where = int(rng.integers(len(statements) + 1))
        statements.insert(where, Statement(_pick(rng, phrases.DISTRACTORS)))
    return statements


def _summarize(findings: tuple[Finding, ...], anatomy: Anatomy, rng: np.random.Generator) -> list[Statement]:
    """The IMPRESSION section: the findings again, most of them, in other words."""
    statements = [
        _positive(finding, rng, trend=rng.random() < 0.5)
        for finding in merge_effusions(findings)
        if rng.random() < (0.6 if finding.kind == "foreign_object" else 0.9)
    ]
    if not statements and not {finding.kind for finding in findings} - {"foreign_object"}:
        statements.append(Statement(_pick(rng, phrases.NORMAL_IMPRESSION)))
    elif not statements:
        statements.append(Statement("Findings as described above."))
    if rng.random() < 0.25:
        statements += _attributes(anatomy, ("lung_volume", "scoliosis", "tortuous_aorta"), rng, normal=0.0)
    if rng.random() < 0.15:
        statements.append(Statement(_pick(rng, phrases.DISTRACTORS)))
    return [replace(statement, section="impression") for statement in statements]


def merge_effusions(findings: tuple[Finding, ...]) -> list[Finding]:
    """Two effusions of one size become one bilateral finding, as a reader would say it."""
    effusions = [finding for finding in findings if finding.kind == "pleural_effusion"]
    if len(effusions) == 2 and len({(finding.severity, finding.trend) for finding in effusions}) == 1:
        return [
            replace(finding, side="bilateral") if finding is effusions[0] else finding
            for finding in findings
            if finding is not effusions[1]
        ]
    return list(findings)


def noun_phrases(finding: Finding, words: ModuleType) -> Sequence:
    """What a finding may be called in the words of a module, :mod:`phrases` or :mod:`varied_phrases`."""
    if finding.kind == "foreign_object":
        return words.DEVICE_PHRASES[finding.device]
    if finding.kind == "pleural_effusion" and finding.side == "bilateral":
        return words.BOTH_EFFUSIONS
    if finding.kind == "nodule" and finding.severity == 3:
        return (*words.NOUNS["nodule"], words.MASS_NOUN)
    return words.NOUNS[finding.kind]


def name_finding(finding: Finding, rng: np.random.Generator) -> tuple[str, str]:
    """A noun phrase for a finding, as (article, words); see :mod:`phrases`."""
    article, words = _pick(rng, noun_phrases(finding, phrases))
    fields = {"side": finding.side}
    if finding.severity:
        tables = {"size": "SIZE", "grade": "GRADE", "diameter": "DIAMETER", "density": "DENSITY"}
        fields |= {name: _pick(rng, getattr(phrases, table)[finding.severity]) for name, table in tables.items()}
    if finding.zone:
        fields["location"] = _pick(rng, phrases.LOCATION[finding.zone]).format(side=finding.side)
    return article, words.format(**fields)


def _positive(finding: Finding, rng: np.random.Generator, trend: bool) -> Statement:
    """State a finding: plainly, in comparison with the previous study, or hedged."""
    frames, polarity = phrases.PRESENT, "present"
    if finding.kind != "foreign_object" and rng.random() < HEDGE_PRESENT:
        frames, polarity = phrases.UNCERTAIN, "uncertain"
    elif finding.trend is not None and trend:
        frames = phrases.TREND[finding.trend]
    elif finding.kind == "cardiomegaly" and rng.random() < 0.6:
        frames = phrases.HEART
    text = _frame(_pick(rng, frames), *name_finding(finding, rng))
    if frames is phrases.HEART:
        text = text.format(adverb=_pick(rng, phrases.ADVERB[finding.severity]))
    severity = finding.severity or None
    return Statement(text, (finding.kind,), polarity, finding.side, finding.zone, severity, finding.device)


def _frame(frame: str, article: str, words: str) -> str:
    """Put a noun phrase into a sentence frame, with articles, agreement and a capital."""
    plural = article == "+"
    phrase = with_article(article, words)
    if "new {the}" in frame and article == "a":
        frame = frame.replace("new {the}", "a new {the}")
    filled = {"{a}": phrase, "{the}": words, "{is}": "are" if plural else "is", "{has}": "have" if plural else "has"}
    for key, value in filled.items():
        frame = frame.replace(key, value)
    return frame if frame.startswith("{") else frame[0].upper() + frame[1:]


def with_article(article: str, words: str) -> str:
    """A noun phrase with its indefinite article, if it takes one."""
    return f"{'an' if words[0] in 'aeiouE8' or words.startswith('NG ') else 'a'} {words}" if article == "a" else words


def _attributes(
    anatomy: Anatomy, names: tuple[str, ...], rng: np.random.Generator, normal: float = _NORMAL_MENTIONED
) -> list[Statement]:
    statements = []
    for name in names:
        value = getattr(anatomy, name)
        abnormal = bool(value)
        if rng.random() < (_MENTIONED.get(name, 0.9) if abnormal else normal) and value in phrases.ATTRIBUTES[name]:
            polarity = "present" if abnormal else "absent"
            statements.append(Statement(_pick(rng, phrases.ATTRIBUTES[name][value]), (name,), polarity))
    return statements


def _negations(kinds: set[str], rng: np.random.Generator) -> list[Statement]:
    """One or two sentences that list what is not there."""
    absent = [kind for kind, p in _NEGATED.items() if kind not in kinds and rng.random() < p]
    absent = [absent[i] for i in rng.permutation(len(absent))]
    cut = 3 if len(absent) > 3 or rng.random() < 0.7 else 1
    statements = []
    for group in (absent[:cut], absent[cut:]):
        if group:
            nouns = [_pick(rng, phrases.ABSENT_NOUN[kind]) for kind in group]
            listed = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])} or {nouns[-1]}"
            text = _pick(rng, phrases.ABSENT).format(list=listed)
            statements.append(Statement(text, tuple(group), "absent"))
    return statements


def _one_sided(findings: tuple[Finding, ...], rng: np.random.Generator) -> list[Statement]:
    """Say that the other side has no effusion."""
    sides = [finding.side for finding in findings if finding.kind == "pleural_effusion"]
    if len(sides) != 1 or rng.random() > 0.3:
        return []
    other = "left" if sides[0] == "right" else "right"
    return [Statement(f"No {other} pleural effusion.", ("pleural_effusion",), "absent", other)]


def _hedged_absence(kinds: set[str], rng: np.random.Generator) -> list[Statement]:
    """Now and then a reader does not exclude what is not there."""
    if rng.random() > HEDGE_ABSENT:
        return []
    kind = _pick(rng, tuple(phrases.ABSENT_NOUN))
    if kind in kinds:
        return []
    nouns = {"pleural_effusion": "trace pleural effusion", "pneumothorax": "tiny pneumothorax", "nodule": "nodule"}
    article = "a" if kind in nouns else ""
    text = _frame(_pick(rng, phrases.UNCERTAIN), article, nouns.get(kind, kind))
    return [Statement(text, (kind,), "uncertain")]


def _resolutions(kinds: set[str], resolved: tuple[Finding, ...], rng: np.random.Generator) -> list[Statement]:
    statements = []
    for finding in resolved:
        if finding.kind in kinds or finding.kind == "foreign_object" or rng.random() > 0.6:
            continue
        side = f"{finding.side} " if finding.side in ("left", "right") else ""
        text = _pick(rng, phrases.RESOLVED).format(noun=side + finding.kind.replace("_", " "))
        statements.append(Statement(text, (finding.kind,), "resolved", finding.side))
    return statements


def _head(anatomy: Anatomy, views: tuple[str, ...], follow_up: bool, rng: np.random.Generator) -> list[str]:
    bedside = "AP" in views
    exam = "CHEST (PORTABLE AP)" if bedside else "CHEST (PA AND LAT)" if "LATERAL" in views else "CHEST (SINGLE VIEW)"
    technique = "Portable AP view" if bedside else "PA and lateral views" if "LATERAL" in views else "Single PA view"
    people = ("woman", "man") if anatomy.age >= 18 else ("girl", "boy")
    indications = [text for text in phrases.INDICATIONS if anatomy.age >= 18 or "smoking" not in text]
    who = f"___-year-old {people[anatomy.sex == 'M']}" if rng.random() < 0.6 else f"___{anatomy.sex}"
    head = [
        " " * 33 + "FINAL REPORT",
        f" EXAMINATION:  {exam}",
        f" INDICATION:  {who} {_pick(rng, indications)}",
        f" TECHNIQUE:  {technique} of the chest.",
        f" COMPARISON:  {'Chest radiograph from ___.' if follow_up else 'None.'}",
    ]
    kept = [line for line in head[1:] if rng.random() < 0.85]
    return [head[0], *kept]


def _header(name: str, rng: np.random.Generator) -> str:
    return _pick(rng, phrases.MISSPELLED[name]) if rng.random() < 0.03 else name


def _join_clauses(statements: Iterable[Statement]) -> list[str]:
    """The sentences that statements make up."""
    whole: list[str] = []
    for statement in statements:
        if whole and not whole[-1].endswith("."):
            whole[-1] += f" {statement.text}"
        else:
            whole.append(statement.text)
    return whole


def _wrap(statements: list[Statement]) -> str:
    return _fill("  ".join(_join_clauses(statements)))


def _fill(text: str) -> str:
    """Lines of 78 characters, each indented by a space."""
    return textwrap.fill(text, 78, initial_indent=" ", subsequent_indent=" ", break_on_hyphens=False)


def _enumerate(statements: list[Statement], rng: np.random.Generator) -> str:
    """Number a summary of several statements, on lines of their own or in one paragraph."""
    if len(whole := _join_clauses(statements)) < 2 or rng.random() < 0.35:
        return _wrap(statements)
    items = [f"{number}.  {sentence}" for number, sentence in enumerate(whole, 1)]
    if rng.random() < 0.5:
        return _fill("  ".join(items))
    return "\n".join(map(_fill, items))


def _pick(rng: np.random.Generator, choices):
    return choices[int(rng.integers(len(choices)))]
