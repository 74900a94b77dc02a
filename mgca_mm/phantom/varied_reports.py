"""Reports as varied as real ones: readers who differ in style, length, order and words.

Each report is one reader's: in full sentences or telegraphic, in a word or in detail, with an order of topics of their
own. Sentences name several findings at once, describe an appearance in place of a diagnosis, add what it may be due to,
and deny in lists. What they claim is kept beside the text as in :mod:`.reports`; a sentence that claims several things
consists of several statements, its clauses.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from . import varied_phrases as phrases
from . import varied_remarks as remarks
from .anatomy import SIDES, Anatomy
from .findings import ZONES, Finding
from .grammar import expand, pick
from .reports import HEDGE_ABSENT, HEDGE_PRESENT, Statement, merge_effusions, noun_phrases, with_article

_BLOCKS = {  # of the FINDINGS section: the kinds of findings in each
    "technique": (),
    "heart": ("cardiomegaly",),
    "lungs": phrases.LUNGS,
    "pleura": ("pleural_effusion", "pneumothorax"),
    "bones": (),
    "devices": ("foreign_object",),
}
_NEGATED = {"pneumothorax": 0.75, "pleural_effusion": 0.8, "consolidation": 0.6, "edema": 0.2}
_NEGATED |= {"pneumonia": 0.12, "nodule": 0.12, "atelectasis": 0.04}
_LOWERED = re.compile(r"^[A-Z](?=[a-z ])")  # a capital that only the start of the sentence asks for
_FIELD = re.compile(r"\{(\w+)\}")


def word_variedly(
    findings: tuple[Finding, ...],
    resolved: tuple[Finding, ...],
    anatomy: Anatomy,
    views: tuple[str, ...],
    follow_up: bool,
    rng: np.random.Generator,
) -> tuple[list[Statement], list[Statement]]:
    """Word the two sections of a report, FINDINGS and IMPRESSION; a ``Wording`` of :func:`.reports.write_report`."""
    reader = _Reader(findings, resolved, anatomy, views, follow_up, rng)
    return reader.finish(reader.describe()), reader.finish(reader.summarize(), section="impression")


class _Reader:
    """One reader's wording of one study."""

    def __init__(
        self,
        findings: tuple[Finding, ...],
        resolved: tuple[Finding, ...],
        anatomy: Anatomy,
        views: tuple[str, ...],
        follow_up: bool,
        rng: np.random.Generator,
    ):
        self.findings, self.resolved, self.anatomy, self.views, self.rng = findings, resolved, anatomy, views, rng
        self.kinds = {finding.kind for finding in findings}
        attributes = {name: getattr(anatomy, name) for name in remarks.ATTRIBUTES}
        self.abnormal = self.kinds | {name for name, value in attributes.items() if value}
        self.follow_up = follow_up
        self.is_unchanged = follow_up and not resolved and all(finding.trend == "same" for finding in findings)
        self.telegraphic = 0.85 if self.draw(0.6) else 0.15  # the share of such sentences
        self.detail = self.pick((0.1, 0.35, 0.75, 0.75, 1.3))
        self.merging = self.pick((0.0, 0.15, 0.4))
        self.labels, self.capitals, self.misspells = self.draw(0.04), self.draw(0.03), self.draw(0.06)

    def describe(self) -> list[Statement]:
        """The FINDINGS section."""
        said: set[str] = set()
        blocks = {name: self._block(name, said) for name in self._order()}
        negated = self._negations(clear=not said & set(phrases.LUNGS))
        lungs_only = negated and not set(negated[0].topics) & set(_BLOCKS["pleura"])
        blocks["lungs" if lungs_only else "pleura"] += negated + self._one_sided() + self._resolutions()
        if self.draw(HEDGE_ABSENT):
            blocks["lungs"] += self._hedged_absence()
        if self.labels:
            for name in remarks.LABELS:
                if blocks[name]:
                    label = self.choose(remarks.LABELS[name])
                    blocks[name][0] = replace(blocks[name][0], text=f"{label}: {blocks[name][0].text}")
        statements = self._merge([statement for block in blocks.values() for statement in block])
        if not statements or self.draw(0.15 * self.detail):
            statements.append(Statement(self.choose(self.pick(remarks.ADVICE))))
        return statements

    def summarize(self) -> list[Statement]:
        """The IMPRESSION section."""
        there = merge_effusions(self.findings)
        chosen = [f for f in there if self.draw(0.5 if f.kind == "foreign_object" else 0.9)]
        statements = self._present([chosen[i] for i in self.rng.permutation(len(chosen))], trend=0.5)
        if self.draw(0.2):
            statements += self._attributes(("lung_volume", "scoliosis", "tortuous_aorta"))
        acute = self.kinds - {"cardiomegaly", "foreign_object"}
        if not acute and (not statements or self.draw(0.6)):
            said = {topic for statement in statements for topic in statement.topics}
            is_complete = len(chosen) == len(there) and self.abnormal <= said
            others = remarks.OTHERWISE_NORMAL if statements else remarks.NORMAL_CHEST
            pattern = others if is_complete and self.draw(0.25) else remarks.NOT_ACUTE
            statements.append(Statement(_capitalize(self.choose(pattern))))
        elif not statements:
            statements.append(Statement(self.choose(remarks.AS_ABOVE)))
        if self.draw(0.1):
            statements += self._negations()[:1]
        if self.is_unchanged and self.draw(0.3):
            statements.append(Statement(self.choose(remarks.NO_CHANGE)))
        if self.draw(0.1):
            statements.append(Statement(self.choose(self.pick(remarks.ADVICE))))
        return statements

    def finish(self, statements: list[Statement], section: str = "findings") -> list[Statement]:
        """Misspell a word or write in capitals, as a few readers do."""
        slips = [self.pick(tuple(remarks.TYPOS)) for _ in range(3)] if self.misspells else ()
        finished = []
        for statement in statements:
            text = statement.text
            for word in slips:
                text = re.sub(rf"\b{word}\b", remarks.TYPOS[word], text)
            finished.append(replace(statement, text=text.upper() if self.capitals else text, section=section))
        return finished

    # Chance and patterns.

    def draw(self, probability: float) -> bool:
        return self.rng.random() < probability

    def pick(self, choices: Sequence):
        return pick(choices, self.rng)

    def choose(self, pattern: phrases.Pattern) -> str:
        return expand(pattern, self.rng)

    def word(self, pair: phrases.Pair) -> str:
        """A full or a telegraphic sentence."""
        return _capitalize(self.choose(pair[self.draw(self.telegraphic)]))

    # Parts of the FINDINGS section.

    def _order(self) -> list[str]:
        """The blocks of the section in an order of the reader's own."""
        draw = self.rng.random()
        middle = ["heart", "lungs", "pleura"] if draw < 0.7 else ["lungs", "pleura", "heart"]
        if draw > 0.9:
            middle = [str(name) for name in self.rng.permutation(middle)]
        order = [*middle, "bones", "technique"] if self.draw(0.6) else ["technique", *middle, "bones"]
        return ["devices", *order] if self.draw(0.3) else [*order, "devices"]

    def _block(self, name: str, said: set[str]) -> list[Statement]:
        """What is said of one topic; ``said`` gathers what has been said of by then."""
        there = [finding for finding in merge_effusions(self.findings) if finding.kind in _BLOCKS[name]]
        findings = [finding for finding in there if self.draw(0.96)]
        statements = self._present(findings, trend=0.6)
        if name == "lungs" and findings and findings == there and self.draw(0.25):
            statements.append(Statement(self.word(remarks.OTHERWISE), self._absent(phrases.LUNGS), "absent"))
        attributes = self._attributes([key for key, (block, _) in remarks.ATTRIBUTES.items() if block == name])
        normals = self._normals([normal for normal in remarks.NORMALS if normal.block == name], said)
        statements += attributes + normals if self.draw(0.3) else normals + attributes
        return statements + (self._technique() if name == "technique" else [])

    def _technique(self) -> list[Statement]:
        """The exam itself, which says nothing of the patient."""
        shares = {
            remarks.VIEWS[" ".join(self.views)]: 0.1,
            remarks.COMPARED: 0.1 * self.follow_up,
            remarks.NO_CHANGE: 0.15 * self.is_unchanged,
            remarks.LIMITED: 0.2 * (self.anatomy.fat > 0.22),
            remarks.AGED: 0.2 * (self.anatomy.age > 55),
        }
        return [Statement(_capitalize(self.choose(pattern))) for pattern, share in shares.items() if self.draw(share)]

    def _normals(self, normals: list[remarks.Normal], said: set[str]) -> list[Statement]:
        order = self.rng.permutation(len(normals)) if self.draw(0.3) else range(len(normals))
        statements = []
        for normal in (normals[i] for i in order):
            topics = set(normal.topics)
            is_news = not topics or not topics <= said
            if is_news and not self.abnormal & {*topics, *normal.unless} and self.draw(normal.share * self.detail):
                polarity = "absent" if topics else "neutral"
                statements.append(Statement(self.word(normal.words), normal.topics, polarity))
                said |= topics
        return statements

    def _attributes(self, names: Sequence[str]) -> list[Statement]:
        abnormal = [name for name in names if name in self.abnormal and self.draw(0.5 + 0.25 * self.detail)]
        worded = [self.word(remarks.ATTRIBUTES[name][1][getattr(self.anatomy, name)]) for name in abnormal]
        return [Statement(text, (name,), "present") for name, text in zip(abnormal, worded, strict=True)]

    def _absent(self, kinds: Sequence[str]) -> tuple[str, ...]:
        return tuple(kind for kind in kinds if kind not in self.kinds)

    def _negations(self, clear: bool = False) -> list[Statement]:
        """Sentences that list what is not there: in one or one each; if ``clear``, perhaps lungs are clear of it."""
        kinds = [
            kind for kind in self._absent(tuple(_NEGATED)) if self.draw(_NEGATED[kind] * (0.3 + 0.7 * self.detail))
        ]
        if self.draw(0.5):
            kinds = [kinds[i] for i in self.rng.permutation(len(kinds))]
        size = self.pick((1, 1, 1, 2, 3, 4))
        lists = [kinds[start : start + size] for start in range(0, len(kinds), size)]
        return [self._negation(kinds, clear and start == 0) for start, kinds in enumerate(lists)]

    def _negation(self, kinds: list[str], clear: bool) -> Statement:
        names = (
            phrases.ABSENT_NOUN
            if self.kinds & phrases.OPAQUE
            else phrases.ABSENT_NOUN | {"consolidation": phrases.OPACITY}
        )
        nouns = [self.choose(names[kind]) for kind in kinds]
        comma = "," if len(nouns) > 2 and self.draw(0.5) else ""
        listed = nouns[0] if len(nouns) == 1 else f"{', '.join(nouns[:-1])}{comma} or {nouns[-1]}"
        topics = tuple(kinds)
        frame = phrases.ABSENT
        if clear and not self.abnormal & set(phrases.LUNGS) and self.draw(0.4):
            frame, topics = phrases.CLEAR_OF, tuple(dict.fromkeys((*kinds, *phrases.LUNGS)))
        return Statement(self.word(frame).format(list=listed), topics, "absent")

    def _one_sided(self) -> list[Statement]:
        """Say that the other side has no effusion."""
        sides = [finding.side for finding in self.findings if finding.kind == "pleural_effusion"]
        if len(sides) != 1 or not self.draw(0.25):
            return []
        other = "left" if sides[0] == "right" else "right"
        text = self.word(phrases.ABSENT).format(list=f"{other} {self.choose('[pleural |]effusion')}")
        return [Statement(text, ("pleural_effusion",), "absent", other)]

    def _hedged_absence(self) -> list[Statement]:
        """Now and then a reader does not exclude what is not there."""
        kind = self.pick(tuple(phrases.ABSENT_NOUN))
        if kind in self.kinds:
            return []
        supposed = Finding(kind, "bilateral" if kind == "edema" else self.pick(SIDES), self.pick(ZONES), severity=1)
        return self._sentence([supposed], phrases.UNCERTAIN, "uncertain")

    def _resolutions(self) -> list[Statement]:
        statements = []
        for finding in self.resolved:
            if finding.kind not in self.kinds | {"foreign_object"} and self.draw(0.6):
                side = f"{finding.side} " if finding.side in SIDES else ""
                text = _capitalize(self.word(phrases.RESOLVED).format(noun=side + finding.kind.replace("_", " ")))
                statements.append(Statement(text, (finding.kind,), "resolved", finding.side))
        return statements

    # Findings.

    def _present(self, findings: Sequence[Finding], trend: float) -> list[Statement]:
        """State findings: plainly, in comparison with the previous study, or hedged, some of them in one sentence."""
        sentences: list[tuple[list[Finding], phrases.Pair, str]] = []
        for finding in findings:
            frames, polarity = phrases.PRESENT, "present"
            if finding.kind != "foreign_object" and self.draw(HEDGE_PRESENT):
                frames, polarity = phrases.UNCERTAIN, "uncertain"
            elif finding.trend is not None and self.draw(trend):
                frames = phrases.TREND[finding.trend]
            elif finding.kind == "cardiomegaly" and self.draw(0.5):
                frames = phrases.HEART
            if sentences and frames is sentences[-1][1] and len(sentences[-1][0]) < 3 and self.draw(0.4):
                sentences[-1][0].append(finding)
            else:
                sentences.append(([finding], frames, polarity))
        return [statement for sentence in sentences for statement in self._sentence(*sentence)]

    def _sentence(self, findings: list[Finding], frames: phrases.Pair, polarity: str) -> list[Statement]:
        """A sentence about findings, each the topic of a clause."""
        if frames is phrases.HEART:
            sentence, claims = self._expand(self.word(frames), findings[0])
            clauses, claimed = [sentence], [claims]
        else:
            names, claimed = zip(*map(self._name, findings), strict=True)
            clauses = _fill(self.word(frames), names).split("\n")
        statements = [
            Statement(clause, (finding.kind,), polarity, device=finding.device, **claims)
            for finding, clause, claims in zip(findings, clauses, claimed, strict=True)
        ]
        causes = phrases.CAUSES.get(findings[0].kind)
        if causes and len(findings) == 1 and polarity == "present" and self.draw(0.1):
            words, topics = self.pick(causes)
            statements[0] = replace(statements[0], text=statements[0].text.removesuffix(".") + ",")
            statements.append(Statement(f"{self.choose(words)}.", topics, "uncertain" if topics else "neutral"))
        return statements

    def _name(self, finding: Finding) -> tuple[tuple[str, str], dict[str, str | int | None]]:
        """A noun phrase for a finding, as (article, words), and what it says of side, zone and severity."""
        words, claims = self._expand(self.pick(noun_phrases(finding, phrases)), finding)
        article, _, rest = words.partition(" ")
        return ((article, rest) if article in ("a", "+") else ("", words)), claims

    def _expand(self, pattern: phrases.Pattern, finding: Finding) -> tuple[str, dict[str, str | int | None]]:
        """Fill a pattern with a finding's attributes; also which of its side, zone and severity it names."""
        fields = {"side": finding.side, "zone": finding.zone, "over": phrases.OVER}
        fields |= {name: words.get(finding.severity) for name, words in phrases.GRADES.items()}
        if finding.zone:
            fields |= {"at": phrases.AT[finding.zone], "where": phrases.WHERE[finding.zone]}
            fields |= {
                "middle": phrases.MIDDLE.get(finding.side),
                "lobe": phrases.LOBE.get((finding.side, finding.zone)),
            }
        words, used = self.choose(pattern), set()
        while names := _FIELD.findall(words):
            used |= set(names)
            words = self.choose(words.format_map(fields))
        return words, {
            "side": finding.side if used & {"side", "middle", "lobe"} or finding.side == "bilateral" else None,
            "zone": finding.zone if used & {"at", "where", "zone"} else None,
            "severity": finding.severity if used & set(phrases.GRADES) else None,
        }

    def _merge(self, statements: list[Statement]) -> list[Statement]:
        """Join some neighbours, short sentences both, into one."""
        merged: list[Statement] = []
        for statement in statements:
            before = merged[-1] if merged else None
            # Of "No effusion, heart enlarged" it could not be said what is denied.
            if (
                before
                and self.draw(self.merging)
                and before.polarity == statement.polarity
                and _is_short(before, statement)
            ):
                joint = self.choose("[,|,| and|;]")
                merged[-1] = replace(before, text=before.text.removesuffix(".") + joint)
                statement = replace(statement, text=_LOWERED.sub(lambda capital: capital[0].lower(), statement.text, 1))
            merged.append(statement)
        return merged


def _is_short(before: Statement, statement: Statement) -> bool:
    words = before.text.split() + statement.text.split()
    return (
        before.text.endswith(".") and len(words) < 12 and not {"and", "or"} & set(words) and "," not in " ".join(words)
    )


def _fill(frame: str, names: Sequence[tuple[str, str]]) -> str:
    """Put noun phrases into a sentence frame, with articles, agreement and a capital; a line for each clause."""
    is_plural = names[0][0] == "+" or (len(names) > 1 and not frame.startswith("There"))
    listed = {"{a}": [with_article(*name) for name in names], "{the}": [words for _, words in names]}
    # "{a new}": the adjective stands between the first article and its noun.
    for match in re.findall(r"\{a (\w+)\}", frame):
        (article, words), *others = names
        listed[f"{{a {match}}}"] = [
            with_article(article, f"{match} {words}"),
            *(with_article(*name) for name in others),
        ]
    for key, items in listed.items():
        frame = frame.replace(key, ",\n".join(items[:-1]) + " and\n" + items[-1] if len(items) > 1 else items[0])
    return _capitalize(
        frame.replace("{is}", "are" if is_plural else "is").replace("{has}", "have" if is_plural else "has")
    )


def _capitalize(text: str) -> str:
    return text[0].upper() + text[1:]
