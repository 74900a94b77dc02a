"""The sections of a radiology report: from its raw text to the parts that describe the image. Pure functions.

Everything is linear in the length of the text: lines are looked at one by one, names only in a few characters before
each mark that could end one. :mod:`.section_names` has what the names mean, :mod:`.markup` what is done with ``<br>``
and its like.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .letters import fold_in_place
from .markup import plain_text
from .section_names import (
    ANATOMY,
    CLOSING,
    FINDINGS,
    IMPRESSION,
    OTHER,
    TITLE,
    UNKNOWN,
    is_standard,
    kind_of_capitals,
    kind_of_known,
    names_anatomy,
    normalize_name,
)

NO_HEADER = "(no header)"

_HEADER_LENGTH = 80  # The longest headers of MIMIC-CXR have some 60 characters.
_NAME_LENGTH = 32  # The longest names of the table have 30.
_KEPT = (IMPRESSION, FINDINGS)
# A name of the table in brackets, or as a tag: "[Findings]", "<FINDINGS> … </FINDINGS>".
_BRACKETED = re.compile(r"[\[<{](/?)([A-Za-z][\w ()&/]{2,40})[\]>}]:?")
# Bullets, quotes, marks of Markdown and a number before a name, and what stands behind it.
_DECORATION = re.compile(
    r"[\s#*>•_=\[({<\"'“‘«‹-]*(?:\(?(?:\d{1,2}|[A-Za-z]|[IVX]{2,4})[.)](?=\s*[A-Za-z*_])\s*)?[*_]*"
)
_BEHIND = " \t*_]}>\"'”’»›"
_CAPITALS = re.compile(r"[A-Z][A-Z ()/,&'-]*")
_CAPITALS_OF_KNOWN = re.compile(r"[A-Z][A-Z0-9 ()/,.:&'+-]*")
_COLON = re.compile(r"(?<!\d):|:(?!\d\d)")  # No colon of a time.
# What a name inside a line could end at; each name has four letters or more.
_MARK = re.compile(
    rf"(?<=[^:]{{3}})(?:{_COLON.pattern})|"
    r"(?<=[^=\t]{3}[\w)*\]])(?:[ \t]{0,3}=|\t|\s{1,3}[-\u2013\u2014]{1,2}\s)"
)
# A name without a colon, and what sets it off from the text: a mark, two spaces, or the end of the line.
_BARE_NAME = re.compile(r"([A-Za-z()&/]+(?: [A-Za-z()&/]+){0,3})[*_\]]*(\s*[;.]|\s*[-\u2013\u2014]|\s*=|\t|\s{2}|\s*$)")
_CLEAR_MARK = re.compile(r"\s+[-\u2013\u2014]|[\u2013\u2014]|\s*=|\t")
# Where a sentence, or a section, starts in a line.
_START = re.compile(r"[.;!?][\s)\"'*_]+|[.;!?](?=[A-Z])|[|•]\s*|\s(?:/|[-\u2013\u2014]{1,2})\s|\s[\"“‘]|\s{2,}|\t")
# Up to four words before a colon, the first with a capital.
_FINAL_WORDS = re.compile(r"(?<![A-Za-z0-9.-])[A-Z][A-Za-z()&/]*(?:\s+[A-Za-z()&/]+){0,3}$")
# What a name goes on from, in a sentence that has one: "with the prior Impression: …".
_LEADS_ON = re.compile(
    r"\b(?:and|any|as|at|by|for|from|in|last|no|acute|of|on|or|previous|prior|recent|since|to|with|"
    r"(?:an?|her|his|its|my|our|that|the|their|these|this|those)(?:\s+(?:clinical|final|overall|previous|prior|same))?)"
    r"\s+[\[({<\"'“‘]*$",
    re.IGNORECASE,
)
_TITLE_WORD = re.compile(r"\s*[A-Z][a-z]+\s+")
_SENTENCE_END = re.compile(r"[.;!?](?=\s)")


class Part(NamedTuple):
    """A part of a report.

    Attributes:
        kind: Of :mod:`.section_names`; empty for text before the first header.
        name: Normalized name of its header, or :data:`NO_HEADER`.
        lines: Its text; the first line is what stands behind the header.
    """

    kind: str
    name: str
    lines: list[str]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def find_sections(text: str) -> dict[str, str]:
    """Find the findings and the impression of a report.

    A header stands at the start of a line, however far indented, numbered or marked (``## Findings``), and is one of

    * any upper-case ``NAME:``;
    * a name of the table with a colon in any case (``Findings:``), and misspellings of the findings and the impression;
    * a name of the table without a colon, alone on its line or set off from the text by a spaced dash, an equals sign
      or a tab; findings and impression in capitals also by two spaces, a full stop, a semicolon or any dash.

    Inside a line, it is a name of the table or a title in capitals that starts a sentence, with its colon, a dash or an
    equals sign; or a name of the table with a capital and a colon anywhere, unless the sentence goes on from the words
    before (``the prior Impression:``). A name in quotes or brackets is one, too.

    A section runs to the next header; a comparison inside a line of findings or impression, with no third section in
    it, to the end of its sentence. A title that describes the study (``CHEST, TWO VIEWS:``) starts findings. Inside the
    findings, titles start none, for the text before them would be lost, nor do names such as ``OTHER FINDINGS``. Names
    of organs in capitals are part of the text, there and in the impression; in a report that has any, so are unknown
    names in the findings. Where a section comes twice, one of the final report wins over one above it (a preliminary
    reading), a name of the table over another (``INCIDENTAL FINDINGS``, a title), and then the last, always one that
    has any words. Lines of organs beside an impression are the findings, if there are no others. ``FINDINGS AND
    IMPRESSION`` counts as impression.

    Args:
        text: The report, with any kind of line ends.

    Returns:
        Raw text by section name, ``findings`` and ``impression``, those that are there and have words.
    """
    return {kind: part.text for kind, part in _find_kept(_parts(text)).items()}


def split_report(text: str, all_of_it: bool = False) -> tuple[list[Part], list[Part]]:
    """Split a report into what describes the image, impression first, and what does not.

    The paper names "impression and findings" and the released code feeds them in that order, which decides what is cut
    from a report longer than the text encoder's input: the end of the findings, never the impression.

    A report with neither falls back to the text after the first blank line of its last section, or else of the one
    before: the paragraph that stands behind a header belongs to it, and is taken only if its name is unknown and there
    is nothing else. Nothing comes from sections that close a report
    (``RECOMMENDATION``, ``NOTIFICATION``, ``ADDENDUM``); lines with names of organs are taken whole, and so is the text
    before the first header if it is one paragraph.

    Args:
        text: The report.
        all_of_it: For what was not written as MIMIC's reports are, where there may be no headers, others, and any
            number of paragraphs: without findings and impression, take all such texts and not only the last one;
            without findings, what has no name or an unknown one; without an impression, such names below the findings.

    Returns:
        The parts to keep, and the others in their order.
    """
    parts = _parts(text)
    found = _find_kept(parts)
    if found:
        kept = [found[kind] for kind in _KEPT if kind in found]
        if all_of_it and len(kept) == 1:
            # Above findings stands whose they are: "JANE DOE: …".
            first = parts.index(kept[0]) if FINDINGS in found else 0
            others = (part for part in parts[first:] if part.kind in ("", UNKNOWN) and "," not in part.name)
            kept += [part for part in others if _has_words(part.lines)]
        kept_ids = set(map(id, kept))
        return kept, [part for part in parts if id(part) not in kept_ids]
    for takes_unknown in (False, True):
        kept, outside = [], []
        for part in reversed(parts):
            rest = _description(part, takes_unknown or all_of_it)
            if _has_words(part.lines[rest:]) and (all_of_it or not kept):
                kept.append(Part(part.kind, part.name, part.lines[rest:]))
                part = Part(part.kind, part.name, part.lines[:rest])
            outside.append(part)
        if kept:
            break
    return kept[::-1], outside[::-1]


def drop_section_names(text: str) -> str:
    """A text without the names of sections that its lines start with: of sections without text, nothing is left.

    Only the names of the table are dropped, for a text in capitals would lose half a line with any other.
    """
    parts = [_split_line(line) for line in _lines(text)]
    return "\n".join(rest if kind_of_known(name) else whole for line in parts for _, name, rest, whole in line)


def _lines(text: str) -> list[str]:
    """Lines of a text in plain form, names in brackets at the starts of their own."""
    return _BRACKETED.sub(_free_name, plain_text(text)).splitlines()


def _free_name(match: re.Match) -> str:
    kind = kind_of_known(normalize_name(match[2]))
    before = match.string[max(match.start() - 3, 0) : match.start()].rstrip()[-1:]
    # Inside a sentence, "[date]" and "[history]" stand for what was taken out.
    if kind is None or (kind not in _KEPT and before and before not in ".;!?|>"):
        return match[0]
    return "\n" if match[1] else f"\n{match[2]}: "


def _parts(text: str) -> list[Part]:
    """The parts of a text, each from a header to the next one."""
    lines = [list(_split_line(line)) for line in _lines(text)]
    names_organs = any(kind == ANATOMY for line in lines for kind, *_ in line)
    parts = [Part("", NO_HEADER, [])]
    titles: set[str] = set()  # names of the title, or titles, of the current part
    is_list = False  # whether the current part has lines with unknown names
    for line in lines:
        for place, (kind, name, rest, whole) in enumerate(line):
            current = parts[-1]
            if kind == UNKNOWN and current.kind in (FINDINGS, ANATOMY):
                is_list = is_list or names_organs or not _has_words(current.lines)
            if kind == "" or (kind == UNKNOWN and is_list) or _is_line(kind, name, current, place):
                current.lines.append(whole)
            elif kind == TITLE and current.kind == FINDINGS and name not in titles:
                titles.add(name)
                current.lines.append(rest)
            elif place == 1 and len(line) == 2 and name == "COMPARISON" and (after := _text_after(rest, current)):
                # One sentence of something else, in a line with no third section.
                parts.insert(-1, Part(kind, name, [rest[: -len(after)]]))
                current.lines.append(after)
            else:
                titles, is_list = {name}, False
                text = whole if kind in (ANATOMY, UNKNOWN) else rest
                parts.append(Part(FINDINGS if kind == TITLE else kind, name, [text]))
    return parts


def _is_line(kind: str, name: str, current: Part, place: int) -> bool:
    """Whether a name belongs to the text of the current part: of an organ, or of the same kind and not in the table."""
    if kind in (ANATOMY, TITLE):
        return current.kind in (*_KEPT, ANATOMY) and names_anatomy(name)
    is_more = kind_of_known(name) is None and not name.startswith("FINDINGS")
    if kind == FINDINGS and current.kind == ANATOMY:
        return is_more
    return kind == current.kind in _KEPT and (place > 0 or is_more)


def _text_after(rest: str, current: Part) -> str:
    """What follows the first sentence of a text inside a line of findings or impression; empty if nothing does."""
    end = _SENTENCE_END.search(rest) if current.kind in _KEPT else None
    return rest[end.end() :] if end and _has_words([rest[end.end() :]]) else ""


def _find_kept(parts: list[Part]) -> dict[str, Part]:
    """The findings and the impression; of several, the last of the best: of the final report, with a known name.

    Lines of organs are the findings where an impression has no others beside it.
    """
    final = max((index for index, part in enumerate(parts) if part.name == "FINAL REPORT"), default=0)
    ranked = sorted(
        (index > final, is_standard(part.name), index)
        for index, part in enumerate(parts)
        if part.kind in (*_KEPT, ANATOMY) and _has_words(part.lines)
    )
    found = {parts[index].kind: parts[index] for *_, index in ranked}
    organs = found.pop(ANATOMY, None)
    return {FINDINGS: organs} | found if found and organs else found


def _description(part: Part, takes_unknown: bool) -> int:
    """Index of the line where a part that is neither findings nor impression starts to describe the image.

    Args:
        part: The part.
        takes_unknown: Whether that is the first line of a part that has no name, or an unknown one.
    """
    if part.kind == CLOSING:
        return len(part.lines)
    if part.kind == ANATOMY or (takes_unknown and part.kind in ("", UNKNOWN)):
        return 0
    # The text of a header may stand below it, blank lines between them; this one has none, but what is next is text.
    is_title = part.name == "FINAL REPORT"
    # Underscores, the mark of de-identification, are text of a header.
    first = 1 if is_title else next((index for index, line in enumerate(part.lines) if re.search(r"\w", line)), 0)
    blank = next((index for index in range(first, len(part.lines)) if not part.lines[index].strip()), None)
    if blank is None or not _has_words(part.lines[blank:]):
        return len(part.lines) if part.kind else 0
    return blank


def _split_line(line: str) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, text and text with the name of each section in a line; kind and name are empty before the first."""
    if not line.strip():
        yield "", "", line, line
        return
    plain = fold_in_place(line)
    start = _DECORATION.match(plain).end()
    kind, name, end = _parse_start(plain, start) or ("", "", 0)
    begin, is_upper = 0, plain.isupper()
    for mark in _MARK.finditer(plain, max(end, start)):
        if found := _parse_inside(plain, end, mark, kind, is_upper):
            if kind or line[begin : found[2]].strip():
                yield kind, name, line[end : found[2]], line[begin : found[2]]
            kind, name, begin = found
            end = mark.end()
    yield kind, name, line[end:], line[begin:]


def _name_in(text: str) -> str:
    """A text without what may stand behind a name: signs, and a bracket that was opened before it."""
    text = text.rstrip(_BEHIND)
    return text if "(" in text else text.rstrip(_BEHIND + ")")


def _parse_start(line: str, start: int) -> tuple[str, str, int] | None:
    """Kind and name of the header that a line starts with, and where its text begins, else None."""
    is_plain = not line[:start].strip()
    colon = _COLON.search(line, start, start + _HEADER_LENGTH + 2)
    if colon:
        raw = _name_in(line[start : colon.start()])
        name = normalize_name(raw)
        kind = kind_of_known(name)
        if kind is None and _CAPITALS_OF_KNOWN.fullmatch(raw):
            kind = kind_of_capitals(name)
            if kind == UNKNOWN and not (is_plain and _CAPITALS.fullmatch(raw)):
                kind = None
        if kind is not None:
            return kind, name, colon.end()
    bare = _BARE_NAME.match(line, start, start + _HEADER_LENGTH)
    if bare is None or (bare.end() == start + _HEADER_LENGTH and len(line) > bare.end()):
        return None
    name, mark = normalize_name(bare[1]), bare[2].strip()
    kind = kind_of_known(name)
    if kind is None:
        return None
    is_alone, has_mark = bare.end() == len(line) and not mark, _CLEAR_MARK.match(bare[2])
    if bare[1].isupper():
        is_header = kind in _KEPT or is_alone or has_mark
    else:
        is_decorated = any(sign in line[:start] for sign in "#*[") and bare.end() == len(line)
        is_header = is_decorated or (bare[1][0].isupper() and (is_alone or has_mark))
    return (kind, name, bare.end()) if is_header else None


def _parse_inside(line: str, start: int, mark: re.Match, current: str, is_upper: bool) -> tuple[str, str, int] | None:
    """Kind, name and place of the header inside a line that a mark could end, else None.

    Args:
        line: The line.
        start: Where the text of the header before begins.
        mark: Match of the mark.
        current: Kind of the header before; empty if the line has none.
        is_upper: Whether the line has capitals only, so that those of a name do not stand out.
    """
    has_colon = mark[0] == ":"
    first = max(start, mark.start() - (_HEADER_LENGTH if has_colon else _NAME_LENGTH))
    before = line[first : mark.start()]
    if not (before[-1:].isalpha() or before[-1:] in tuple(_BEHIND + ")")):
        return None  # No name ends so.
    lead = len(before) - len(before.lstrip())
    starts = [match.end() for match in _START.finditer(before, lead)]
    sentence = starts[-1] if starts else lead
    at = _DECORATION.match(before, sentence).end()
    raw = _name_in(before[at:])
    name = normalize_name(raw)
    known = kind_of_known(name) if (starts or first == start) and (has_colon or raw[:1].isupper()) else None
    if known or not has_colon:
        return (known, name, first + at) if known else None
    # Right behind a header, a title is its text: "EXAMINATION: CHEST RADIOGRAPH".
    kind = kind_of_capitals(name) if starts and _CAPITALS_OF_KNOWN.fullmatch(raw) else UNKNOWN
    is_name = kind not in (ANATOMY, UNKNOWN)
    if (is_upper or not is_name) and (found := _known_end(before, sentence, bool(starts), current)):
        return *found[:2], first + found[2]
    return (kind, name, first + at) if is_name else None


def _known_end(before: str, sentence: int, is_after_stop: bool, current: str) -> tuple[str, str, int] | None:
    """Kind, name and place of the name of the table that a text ends with, else None.

    Args:
        before: The text.
        sentence: Where its last sentence starts.
        is_after_stop: Whether that is behind another sentence.
        current: Kind of the section that it belongs to; if that may be a description, a name that a sentence goes on to
            is none.
    """
    final = _FINAL_WORDS.search(_name_in(before), before.rfind(":") + 1)
    for word in re.finditer(r"(?<![^\s(/])[A-Za-z]\S*", final[0]) if final else ():
        at, name = final.start() + word.start(), normalize_name(final[0][word.start() :])
        kind = kind_of_known(name) if word[0][0].isupper() else None
        if kind is None:
            continue
        if current not in (OTHER, CLOSING):
            # Of one word more: "Stable History:", and behind a full stop "Incidental Findings:".
            can_be_longer = kind != IMPRESSION and (is_after_stop or kind != FINDINGS)
            if _LEADS_ON.search(before[:at]) or (can_be_longer and _TITLE_WORD.fullmatch(before, sentence, at)):
                return None
        return kind, name, at
    return None


def _has_words(lines: list[str]) -> bool:
    """Whether any line has a letter or a digit."""
    return any(any(map(str.isalnum, line)) for line in lines)
