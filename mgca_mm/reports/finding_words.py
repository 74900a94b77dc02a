"""Which words of a cleaned report name a finding, and whether it is said to be absent.

A lexicon and two patterns of negation in the manner of NegEx (Chapman et al. 2001), enough to mark words for a reader
and to choose what is drawn. It is no labeler: what is uncertain is not told from what is there, and labels of a data
set come from its own tables.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

# Name of CheXpert, with _ for spaces → terms.
_TERMS = {
    "Enlarged_Cardiomediastinum": r"""mediastinal (?:widening|enlargement)|widening of the mediastinum
        |(?:widened|wide|enlarged|prominent) (?:superior )?(?:cardio)?mediastin(?:um|al (?:silhouette|contours?))
        |(?:cardio)?mediastin(?:um|al (?:silhouette|contours?)) (?:is|are|appears?) (?:ADVERB ){0,2}(?:widened|enlarged)
        """,
    "Cardiomegaly": r"""cardiomegaly|(?:cardiac|heart) enlargement
        |enlarge(?:ment of the|d) (?:heart|(?:cardiac|heart) (?:silhouette|size))
        |(?:heart|cardiac silhouette)(?: size)?(?: is| remains| appears)?(?: ADVERB){0,3} enlarged""",
    "Edema": r"""edema|(?:pulmonary )?(?:vascular|venous) (?:congestion|engorgement|redistribution)(?: and edema)?
        |(?:congestive )?heart failure|kerley (?:[abc] )?lines?|septal lines?|fluid overload""",
    "Consolidation": r"consolidations?|consolidative opacit(?:y|ies)",
    "Pneumonia": r"(?:broncho)?pneumonias?|infectious process|infection",
    "Atelectasis": r"atelectas[ie]s|atelectatic changes?|(?<!vertebral )(?<!body )collapse|collapsed lung",
    "Pneumothorax": r"(?:hydro)?pneumothora(?:x|ces|xes)|ptx",
    "Pleural_Effusion": r"""(?<!pericardial )(?<!joint )effusions?|pleural fluid|hemothorax
        |fluid (?:in|along) the (?:(?:left|right) )?(?:pleural spaces?|costophrenic (?:angle|sulcus))
        |blunting of (?:both|the(?: left| right| bilateral)?) costophrenic (?:angles?|sulc(?:us|i))
        |costophrenic (?:angle )?blunting""",
    "Pleural_Other": r"pleural (?:thickening|plaques?|scarring|calcifications?)|fibrothorax",
    "Fracture": r"fractures?|fractured ribs?|compression deformit(?:y|ies)",
    "Lung_Lesion": r"""nodules?|nodular (?:densit|opacit)(?:y|ies)|(?<!soft tissue )mass(?:es)?(?! effect)|coin lesions?
        |(?<!osseous )(?<!bony )(?<!bone )(?<!lytic )lesions?|tumou?rs?|metasta(?:sis|ses)|granulomas?""",
    "Support_Devices": r"""pacemakers?|pacers?|i?aicd|icd|defibrillators?|generators?|port(?: a caths?)?|portacaths?
        |mediports?|catheters?|picc(?: lines?)?|(?:central|venous|arterial|jugular|subclavian) lines?
        |lines and tubes|tubes?|drains?|(?:sternal|sternotomy|cerclage)(?: wires)?|leads|hardware|stents?|clips
        |(?:support )?devices?|prosthes[ie]s|valve replacement|prosthetic valves?|balloon pump|swan ganz
        |foreign bod(?:y|ies)|coins?|buttons?|necklaces?|metallic chain""",
    # The last, for a consolidation is an opacity as well.
    "Lung_Opacity": r"""opacit(?:y|ies)|opacifications?|infiltrates?|haziness|air ?space disease
        |(?:prominent|increased|prominence of(?: the)?|increase in(?: the)?) interstitial markings""",
}
_ADVERB = "mildly|slightly|borderline|moderately|severely|markedly|massively|top normal|minimally|again|still"
_SIDES = "left|right|bilateral|bilaterally|both|unilateral|midline"
_PLACES = f"""{_SIDES}|upper|mid|middle|midlung|lower|lobes?|lobar|lungs?|zones?|fields?|bases?|basal|basilar|bibasilar
    |ap(?:ex|ices|ical)|hil(?:ar|um|a)|perihilar|retrocardiac|lingular?|hemithorax|hemidiaphragms?|costophrenic|angles?
    |chest|wall|pectoral|ribs?|clavicles?|clavicular|vertebral|svc|atrium|atrial|ventricle|ventricular|cavoatrial
    |junction|carina|stomach|neck|diaphragm|heart|side"""
# What may stand before a term as part of its phrase.
_BEFORE = rf"""{_PLACES}|pleural|pulmonary|air ?space|parenchymal|interstitial|alveolar|vascular|{_ADVERB}
    |(?:small|tiny|trace|mild|minimal|slight|moderate|faint|subtle) to|small|tiny|trace|moderate|sized|medium|large
    |sizable|mild|minimal|slight|severe|marked|extensive|massive|subtle|faint|dense|subcentimeter|\d+ [cm]m|sided
    |focal|multifocal|diffuse|patchy|streaky|scattered|confluent|linear|band ?like|plate ?like|discoid|round(?:ed)?
    |nodular(?! opacit)|reticular|hazy|(?:ill|well) defined|spiculated|cavitary|calcified|suspicious|loculated|layering
    |(?:sub)?segmental|compressive
    |acute|chronic|healed|old|displaced|tension|radiopaque|metallic|clothing|intact|median|overlying|external|monitoring
    |ecg|dual|single|lead|endotracheal|nasogastric|orogastric|nasoenteric|enteric|feeding|tracheostomy|et|ng|og
    |central|venous|arterial|jugular|subclavian|internal|dialysis|sternotomy|sternal"""
_PREPOSITION = (
    "in|of|at|on|over|within|along|near|above|projecting over|projects over|overlying|involving|of both|"
    "terminating in|with tip (?:in|above|at)|with leads in|coursing below"
)


def _spaced(pattern: str) -> str:
    """A pattern that was written over several lines."""
    return re.sub(r"\n\s*", "", pattern)


_FINDINGS = "|".join(f"(?P<{name}>{terms})" for name, terms in _TERMS.items()).replace("ADVERB", f"(?:{_ADVERB})")
# A phrase is the longest around a term; the counts are limited so that the time is linear in the length of the text.
_PHRASE = re.compile(
    _spaced(
        rf"(?<!\S)(?:(?:{_BEFORE}) ){{0,9}}(?:{_FINDINGS})(?: bilaterally)?"
        rf"(?: (?:{_PREPOSITION})(?: the| both)?(?: (?:{_PLACES})){{1,6}})?(?!\S)"
    )
)
_NO = re.compile(
    r"(?<!\S)(?:no(?! longer)|nothing to suggest|not|without|negative for|free of|clear of|denies|absence of"
    r"|resolution of|rather than)(?!\S)(?! (?:\S+ ){0,2}(?:change|increase|decrease|excluded|exclude)(?!\S))"
)
# Where what is denied ends: at a conjunction that contrasts, or at another verb.
_TURN = re.compile(
    r"(?<!\S)(?:but|however|although|though|except|aside from|other than|which|while|there|is|are|was|were|has|have"
    r"|may|could|can|identified|shows?|demonstrates?|remains?|appears?|with|following|after|status post|stable)(?!\S)"
)
_AFTERWARDS = re.compile(
    r"(?: (?:is|are|was|were|has|have|been|now|completely|since)){0,3}"
    r" (?:not (?:seen|present|identified|evident|visualized|appreciated|demonstrated|enlarged)|no longer|resolved"
    r"|ruled out|absent|excluded)(?!\S)"
)


class Mention(NamedTuple):
    """A phrase of a report that names a finding.

    Attributes:
        start: Position of its first word.
        stop: Position after its last word.
        finding: Name of the finding, one of CheXpert's 13 (Irvin et al. 2019, Table 1, without "No Finding").
        is_negated: The sentence says that it is not there, or no longer.
    """

    start: int
    stop: int
    finding: str
    is_negated: bool


def find_mentions(sentences: Iterable[str] | str) -> list[Mention]:
    """The findings that a report names.

    Args:
        sentences: Cleaned sentences (:func:`.cleaning.report_sentences`), for a negation ends with its sentence; or one
            text, where that is not known.

    Returns:
        Mentions in order, none within another; positions count the words of all sentences one after the other, as
        ``" ".join(sentences).split()`` has them.
    """
    mentions, start = [], 0
    for sentence in [sentences] if isinstance(sentences, str) else sentences:
        words = sentence.split()
        mentions += _of_sentence(" ".join(words), start)
        start += len(words)
    return mentions


def _of_sentence(text: str, offset: int) -> Iterator[Mention]:
    """Mentions of a sentence whose first word has the position ``offset``."""
    word_at, counted = offset, 0  # both move with the matches, so that no word is counted twice
    for match in _PHRASE.finditer(text):
        word_at += text.count(" ", counted, match.start())
        counted = match.start()
        stop = word_at + 1 + match[0].count(" ")
        yield Mention(word_at, stop, match.lastgroup.replace("_", " "), _is_negated(text, match))


def _is_negated(text: str, match: re.Match) -> bool:
    before = text[max(0, match.start() - 200) : match.start()]
    denials = list(_NO.finditer(before))
    if denials and not _TURN.search(before, denials[-1].end()):
        return True
    return bool(_AFTERWARDS.match(text, match.end()))
