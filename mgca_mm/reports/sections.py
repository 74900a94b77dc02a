"""The sections of a radiology report: where they start, and which of them describe the image. Pure functions.

Everything is linear in the length of the text: lines are looked at one by one, headers only in a few characters before
each colon. :mod:`.section_names` has what the names mean, :mod:`.markup` what is done with ``<br>`` and its like.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from .letters import fold
from .markup import plain_text
from .section_names import (
    ANATOMY,
    CLOSING,
    FINDINGS,
    IMPRESSION,
    OTHER,
    TITLE,
    UNKNOWN,
    kind_of_capitals,
    kind_of_known,
    names_anatomy,
    normalize_name,
)

NO_HEADER = "(no header)"
_FINAL = "FINAL REPORT"
_KEPT = (IMPRESSION, FINDINGS)

_HEADER_LENGTH = 80  # The longest headers of MIMIC-CXR have some 60 characters.
_LETTERS = "A-Za-zÀ-ÖØ-öø-ɏ"
_WORD = re.compile(r"[^\W_]")  # Part of one: ___ is the mark of de-identification.
# Bullets, marks of Markdown, quotation marks, and a number before a name.
_DECORATION = re.compile(
    r"[\s#*>•_\[{\"'“‘«(<-]*(?:\(?(?:\d{1,2}|[A-Za-z]|[IVX]{1,4})[.)](?=\s*[A-Za-z*_])\s*)?[*_\"'“‘]*"
)
_ENDS = " \t*_]\"'”’»>"  # What a name may have before its colon.
_CAPITALS = re.compile(r"[A-Z][A-Z ()/,&'-]*")
_CAPITALS_OF_KNOWN = re.compile(r"[A-Z][A-Z0-9 ()/,.:&'+-]*")
_COLON = re.compile(r"(?<!\d):|:(?!\d\d)")  # No colon of a time.
# A name without a colon, and what sets it off from the text: a mark, two spaces, or the end of the line.
_BARE_NAME = re.compile(
    rf"([{_LETTERS}()&/]+(?: [{_LETTERS}()&/]+){{0,3}})[*_\]\"'”’»>]*(\s*[;.=]|\s*[-\u2013\u2014]|\s{{2}}|\s*\t|\s*$)"
)
_SPACED_DASH = re.compile(r"\s+[-\u2013\u2014]|[\u2013\u2014=\t]")
# Names in brackets, or in tags named after them: "[FINDINGS] clear", "<findings>clear</findings>".
_BRACKETED = re.compile(r"[\[<{](/?) ?([A-Za-z][A-Za-z ()&/_]{2,40})[\]>}][ \t]?:?")
# A name behind the end of a sentence, with a dash or a sign for its colon.
_DASHED = re.compile(rf"(?<=[.;!?|])(\s*)([{_LETTERS}]{{4,20}})(?:\s*=|\s*->|\s+[-\u2013\u2014])\s")
# Where a sentence starts in a line.
_START = re.compile(r"[.;!?|•][\s)\"'*_]+|[,{]\s?[\"'“]|[.;!?|](?=[A-Z])|\s[/\u2013\u2014-]+\s|\s{2,}|\t")
_SENTENCE_END = re.compile(r"[.;!?|](?=\s|$)")
# Up to four words with capitals before a colon.
_FINAL_CAPITALS = re.compile(rf"(?<!\w)(?:[A-ZÀ-ÖØ-Þ][{_LETTERS}()&/]*\s+){{0,3}}[A-ZÀ-ÖØ-Þ][{_LETTERS}()&/]*$")


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
    * a name of the table without a colon, alone on its line, in brackets, or set off from the text by a spaced dash, an
      equals sign or a tab; findings and impression in capitals also by two spaces, a full stop, a semicolon or a dash.

    Inside a line, it is a name of the table or a title in capitals that starts a sentence, with its colon, or a name of
    the table whose words all start with a capital; in a line all in capitals, where the section before has a name, too,
    and it is of another kind.

    A section runs to the next header, but a comparison inside a line of the findings or the impression to the end of
    its sentence. A title that describes the study (``CHEST, TWO VIEWS:``) starts findings. Inside the findings, titles
    and other findings (``INCIDENTAL FINDINGS:``) start none, for the text before them would be lost; names of organs in
    capitals are part of the text, there and in the impression, and so is any name that is not known in findings that
    have such names. Where a section comes twice, the last one that has any words wins: one below ``FINAL REPORT``
    before one above it, and one by a name of the table before a title. ``FINDINGS AND IMPRESSION`` counts as
    impression. Names of organs without findings above them are the findings.

    Args:
        text: The report, with any kind of line ends.

    Returns:
        Raw text by section name, ``findings`` and ``impression``, those that are there and have words.
    """
    return {kind: part.text for kind, part in _find_kept(_parts(_with_headers(text))).items()}


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
        all_of_it: For what was not written as MIMIC's reports are, where there may be no headers and any number of
            paragraphs: take all such texts and not only the last one; without findings also those above the impression,
            without impression those below the findings.

    Returns:
        The parts to keep, and the others in their order.
    """
    parts = _parts(_with_headers(text))
    found = _find_kept(parts)
    named = [found[kind] for kind in _KEPT if kind in found]
    searched = parts
    if named:
        place = next(index for index, part in enumerate(parts) if part is named[0])
        is_whole = len(named) == 2 or not all_of_it
        searched = [] if is_whole else parts[:place] if IMPRESSION in found else parts[place + 1 :]
    searched_ids = set(map(id, searched))
    for takes_unknown in (False, True):
        kept, outside = [], []
        for part in reversed(parts):
            if any(part is other for other in named):
                continue
            rest = len(part.lines)
            if id(part) in searched_ids and (all_of_it or not kept):
                rest = _description(part, takes_unknown or all_of_it)
            if _has_words(part.lines[rest:]):
                kept.append(Part(part.kind, part.name, part.lines[rest:]))
                part = Part(part.kind, part.name, part.lines[:rest])
            outside.append(part)
        if kept or named:
            break
    # What stands behind findings without an impression is taken for one.
    is_behind = bool(named) and IMPRESSION not in found
    return (kept[::-1] + named if is_behind else named + kept[::-1]), outside[::-1]


def drop_section_names(text: str) -> str:
    """A text without the names of sections that its lines start with: of sections without text, nothing is left.

    Only the names of the table are dropped, for a text in capitals would lose half a line with any other.
    """
    parts = [_split_line(line) for line in _with_headers(text).splitlines()]
    return "\n".join(rest if kind_of_known(name) else whole for line in parts for _, name, rest, whole in line)


def _with_headers(text: str) -> str:
    """A text in plain form, with colons for the brackets and dashes of names."""
    return _DASHED.sub(_undashed, _BRACKETED.sub(_unbracketed, plain_text(text)))


def _unbracketed(match: re.Match) -> str:
    name = match[2].replace("_", " ").strip()
    if normalize_name(name) == "DATE" or not kind_of_known(normalize_name(name)):  # [DATE] stands for a date.
        return match[0]
    return "\n" if match[1] else f"\n{name}: "


def _undashed(match: re.Match) -> str:
    return f"{match[1]}{match[2]}: " if kind_of_known(normalize_name(match[2])) else match[0]


def _parts(text: str) -> list[Part]:
    """The parts of a text in plain form, each from a header to the next one."""
    sections = [(place, *section) for line in text.splitlines() for place, section in enumerate(_split_line(line))]
    has_organs = any(kind == ANATOMY for _, kind, *_ in sections)
    parts = [Part("", NO_HEADER, [])]
    titles: set[str] = set()  # names of the title, or titles, of the current part
    for place, kind, name, rest, whole in sections:
        current = parts[-1]
        in_text = current.kind in (*_KEPT, ANATOMY)
        in_findings = current.kind in (FINDINGS, ANATOMY)
        is_organ = in_text and kind in (ANATOMY, TITLE) and names_anatomy(name)
        is_one_of_many = in_findings and kind == UNKNOWN and has_organs
        # More of the same: ADDITIONAL FINDINGS.
        is_more = not kind_of_known(name) and (kind == current.kind == IMPRESSION or (in_findings and kind == FINDINGS))
        if kind == "" or is_organ or is_one_of_many or is_more:
            current.lines.append(whole)
        elif kind == TITLE and current.kind == FINDINGS and name not in titles:
            titles.add(name)
            current.lines.append(rest)
        elif place and current.kind in _KEPT and name.startswith("COMPARISON"):
            end = _SENTENCE_END.search(rest)
            parts.insert(-1, Part(OTHER, name, [rest[: end.end()] if end else rest]))
            current.lines.append(rest[end.end() :] if end else "")
        else:
            titles = {name}
            parts.append(
                Part(FINDINGS if kind == TITLE else kind, name, [whole if kind in (ANATOMY, UNKNOWN) else rest])
            )
    return parts


def _find_kept(parts: list[Part]) -> dict[str, Part]:
    """The findings and the impression among the parts of a report, those that have words."""
    final = max((index for index, part in enumerate(parts) if part.name == _FINAL), default=0)
    ranked = sorted(enumerate(parts), key=lambda item: (item[0] > final, kind_of_known(item[1].name) is not None))
    with_words = [part for _, part in ranked if _has_words(part.lines)]
    found = {part.kind: part for part in with_words if part.kind in (*_KEPT, ANATOMY)}
    organs = found.pop(ANATOMY, None)
    return {FINDINGS: organs} | found if found and organs else found


def _description(part: Part, takes_unknown: bool) -> int:
    """Index of the line where a part that is neither findings nor impression starts to describe the image.

    Args:
        part: The part.
        takes_unknown: Whether that is the first line of a part that has no name, or an unknown one.
    """
    if part.kind in (CLOSING, *_KEPT):
        return len(part.lines)
    if part.kind == ANATOMY or (takes_unknown and part.kind in ("", UNKNOWN)):
        return 0
    # The text of a header may stand below it, blank lines between them; this one has none, but what is next is text.
    is_title = part.name == _FINAL
    first = 1 if is_title else next((index for index, line in enumerate(part.lines) if _has_words([line])), 0)
    blank = next((index for index in range(first, len(part.lines)) if not part.lines[index].strip()), None)
    if blank is None or not _has_words(part.lines[blank:]):
        return len(part.lines) if part.kind else 0
    return blank


def _split_line(line: str) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, text and text with the name of each section in a line; kind and name are empty before the first."""
    start = _DECORATION.match(line).end()
    header = _parse_start(line, start)
    if header is None:
        kind, name, begin, end = "", "", 0, 0
    else:
        kind, name, begin, end = header[0], header[1], 0, header[2]
    in_both_cases = line != line.upper()
    for colon in _COLON.finditer(line, max(end, start)):
        if found := _parse_inside(line, end, colon.start(), None if in_both_cases else kind):
            at = found[2]
            if kind or line[begin:at].strip():
                yield kind, name, line[end:at], line[begin:at]
            kind, name, begin, end = found[0], found[1], at, colon.end()
    yield kind, name, line[end:], line[begin:]


def _parse_start(line: str, start: int) -> tuple[str, str, int] | None:
    """Kind and name of the header that a line starts with, and where its text begins, else None."""
    is_plain = not line[:start].strip()
    colon = _COLON.search(line, start, start + _HEADER_LENGTH + 2)
    if colon:
        raw = _bare(line[start : colon.start()])
        name = normalize_name(raw)
        kind = kind_of_known(name)
        if kind is None and _CAPITALS_OF_KNOWN.fullmatch(fold(raw)):
            kind = kind_of_capitals(name)
            if kind == UNKNOWN and not (is_plain and _CAPITALS.fullmatch(fold(raw))):
                kind = None
        if kind is not None:
            return kind, name, colon.end()
    bare = _BARE_NAME.match(line, start, start + _HEADER_LENGTH)
    if bare is None or (bare.end() == start + _HEADER_LENGTH and len(line) > bare.end()):
        return None
    raw, mark = _bare(bare[1]), bare[2].strip()
    name = normalize_name(raw)
    kind = kind_of_known(name)
    if kind is None:
        return None
    is_alone, has_dash = bare.end() == len(line) and not mark, _SPACED_DASH.match(bare[2])
    is_marked = any(sign in line[:start] for sign in "#*[") and bare.end() == len(line)
    is_header = is_marked or (raw[0].isupper() and (is_alone or has_dash)) or (raw.isupper() and kind in _KEPT)
    return (kind, name, bare.end()) if is_header else None


def _parse_inside(line: str, start: int, colon: int, current: str | None) -> tuple[str, str, int] | None:
    """Kind, name and place of the header inside a line whose colon is at a place, else None.

    Args:
        line: The line.
        start: Where the text of the header before begins.
        colon: Place of the colon.
        current: Kind of the section before in a line all in capitals, where names do not stand out; None in others.
    """
    first = max(start, colon - _HEADER_LENGTH)
    before = line[first:colon]
    if not (before[-1:].isalpha() or before[-1:] in tuple(_ENDS + ")")):
        return None  # No name ends so.
    lead = len(before) - len(before.lstrip())
    starts = [match.end() for match in _START.finditer(before, lead)]
    if starts or first == start:
        at = _DECORATION.match(before, starts[-1] if starts else lead).end()
        raw = _bare(before[at:])
        name = normalize_name(raw)
        kind = kind_of_known(name)
        # Right behind a header, a title is its text: "EXAMINATION: CHEST RADIOGRAPH".
        if kind is None and starts and _CAPITALS_OF_KNOWN.fullmatch(fold(raw)):
            kind = kind_of_capitals(name)
        if kind not in (None, ANATOMY, UNKNOWN):
            return kind, name, first + at
    capitals = _FINAL_CAPITALS.search(before.rstrip(_ENDS))
    for word in re.finditer(r"\S+", capitals[0]) if capitals and current != "" else ():
        name = normalize_name(_bare(capitals[0][word.start() :]))
        kind = kind_of_known(name)
        if kind and kind != current:
            return kind, name, first + capitals.start() + word.start()
    return None


def _bare(name: str) -> str:
    """A name without marks around it; brackets inside are its own."""
    name = name.strip(_ENDS)
    return name[:-1].rstrip(_ENDS) if name.endswith(")") and "(" not in name else name


def _has_words(lines: list[str]) -> bool:
    """Whether any line has a word."""
    return any(map(_WORD.search, lines))
