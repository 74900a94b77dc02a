"""From the raw text of a radiology report to the sentences a text encoder reads. Pure functions.

1. :func:`decode_report`: bytes to text; UTF-8, or Windows-1252 where the bytes are not UTF-8; no binary data.
2. :func:`split_report`: the sections *findings* and *impression* of a report, or the text that stands for them.
3. :func:`clean_text`: a text to sentences of lower-case words, ASCII or Unicode.

Everything is linear in the length of the text: lines are looked at one by one, headers only in a few characters before
each colon. :mod:`.section_names` has what the names mean, :mod:`.markup` what is done with ``<br>`` and its like.
"""

import contextlib
import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from .markup import plain_text
from .section_names import (
    ANATOMY,
    CLOSING,
    FINDINGS,
    IMPRESSION,
    TITLE,
    UNKNOWN,
    kind_of_capitals,
    kind_of_known,
    names_anatomy,
    normalize_name,
)

WORDS = ("ascii", "unicode")
MIN_TOKENS = 3
TOO_SHORT = f"the report has fewer than {MIN_TOKENS} words after cleaning"
NOT_LATIN = "the report is not in Latin letters, and --words ascii keeps no others"
NO_HEADER = "(no header)"

_HEADER_LENGTH = 80  # The longest headers of MIMIC-CXR have some 60 characters.
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_WORD = re.compile(r"\w+")

# Bullets, marks of Markdown and a number before a name.
_DECORATION = re.compile(r"[\s#*>•_\[-]*(?:\(?(?:\d{1,2}|[A-Za-z])[.)](?=\s*[A-Za-z*_])\s*)?[*_]*")
_CAPITALS = re.compile(r"[A-Z][A-Z ()/,&'-]*")
_CAPITALS_OF_KNOWN = re.compile(r"[A-Z][A-Z0-9 ()/,.:&'+-]*")
_COLON = re.compile(r"(?<!\d):|:(?!\d\d)")  # No colon of a time.
# A name without a colon, and what sets it off from the text: a mark, two spaces, or the end of the line.
_BARE_NAME = re.compile(r"([A-Za-z()&/]+(?: [A-Za-z()&/]+){0,3})[*_\]]*(\s*[;.]|\s*[-\u2013\u2014]|\s{2}|\s*$)")
_SPACED_DASH = re.compile(r"\s+[-\u2013\u2014]|[\u2013\u2014]")
# Where a sentence starts in a line.
_START = re.compile(r"[.;!?][\s)\"'*_]+|[.;!?](?=[A-Z])|\s{2,}|\t")
# Up to four words in capitals before a colon.
_FINAL_CAPITALS = re.compile(r"(?<!\S)(?:[A-Z][A-Z()&/]*\s+){0,3}[A-Z][A-Z()&/]*$")

# Letters that have no normal form with an accent; full stops of other scripts.
_FOLDED = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i"}
)
_FULL_STOPS = str.maketrans(dict.fromkeys("。｡．۔।॥။།።։។", "."))
_DIGITS = "0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९"
# Thai to Burmese, Khmer, kana and ideographs are written without spaces: a letter counts as a word there, which is what
# BERT's tokenizers make of ideographs, and for others more than there are; the count only tells reports from none.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNIT = re.compile(f"[{_UNSPACED}]|[^ {_UNSPACED}]+")


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


def decode_report(data: bytes) -> str:
    """Decode a report; bytes that are not UTF-8 are taken for Windows-1252, Latin-1 with quotation marks and dashes.

    Where it has no character for a byte, Latin-1 itself has.

    Raises:
        ValueError: It has control characters, as UTF-16 and binary files read this way do: it is no text.
    """
    for encoding in ("utf-8-sig", "cp1252", "latin-1"):
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode(encoding)
            break
    if _CONTROL.search(text):
        raise ValueError("the report is not a text in UTF-8 or Latin-1; convert it")
    return text


def find_sections(text: str) -> dict[str, str]:
    """Find the findings and the impression of a report.

    A header stands at the start of a line, however far indented, numbered or marked (``## Findings``), and is one of

    * any upper-case ``NAME:``;
    * a name of the table with a colon in any case (``Findings:``), and misspellings of the findings and the impression;
    * a name of the table without a colon, alone on its line or, of findings and impression, set off from the text by
      two spaces, a full stop, a semicolon or a dash.

    Inside a line, it is a name of the table or a title in capitals that starts a sentence, with its colon, or a name of
    the table in capitals in a line that has small letters, too.

    A section runs to the next header. A title that describes the study (``CHEST, TWO VIEWS:``) starts findings. Inside
    the findings, titles start none, for the text before them would be lost, and names of organs in capitals are part
    of the text, there and in the impression. Where a section comes twice (a preliminary reading above the final
    report), the last one that has any words wins. ``FINDINGS AND IMPRESSION`` counts as impression.

    Args:
        text: The report, with any kind of line ends.

    Returns:
        Raw text by section name, ``findings`` and ``impression``, those that are there and have words.
    """
    return {kind: part.text for kind, part in _find_kept(_parts(plain_text(text))).items()}


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
        all_of_it: Without findings and impression, take all such texts and not only the last one: for what was not
            written as MIMIC's reports are, where there may be no headers and any number of paragraphs.

    Returns:
        The parts to keep, and the others in their order.
    """
    parts = _parts(plain_text(text))
    found = _find_kept(parts)
    if found:
        kept = [found[kind] for kind in (IMPRESSION, FINDINGS) if kind in found]
        return kept, [part for part in parts if not any(part is other for other in kept)]
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


def report_texts(text: str) -> list[str]:
    """The parts of a report that describe the image: impression, then findings, or else the last paragraphs.

    Args:
        text: The report.

    Returns:
        One or two raw texts; empty where the report has no words in them (see :func:`split_report`).
    """
    return [part.text for part in split_report(text)[0]]


def drop_section_names(text: str) -> str:
    """A text without the names of sections that its lines start with: of sections without text, nothing is left.

    Only the names of the table are dropped, for a text in capitals would lose half a line with any other.
    """
    parts = [_split_line(line) for line in plain_text(text).splitlines()]
    return "\n".join(rest if kind_of_known(name) else whole for line in parts for _, name, rest, whole in line)


def clean_text(text: str, words: str = "ascii") -> list[str]:
    r"""Clean a text into sentences of lower-case words.

    Sentences end at a full stop, and a number right before it goes with it, for it is nearly always an enumeration
    (``1. No effusion.``): the split on ``[0-9]+\.`` and ``.`` of the protocol. Its costs are the protocol's too:
    ``3.5 cm`` becomes ``5 cm``, ``T12.`` becomes ``t``. A number goes also where punctuation stands between it and
    the full stop (``50%.``); only so does cleaning a cleaned report change nothing. Words are ``\w+``. Words of
    underscores only (``___``, the mark of de-identification) are no words and are dropped, and so are sentences of a
    single word (:func:`count_tokens`).

    Args:
        text: Any string, lone surrogates and NUL included.
        words: ``ascii``: accents are folded (``costofrénico`` is ``costofrenico``), other letters dropped. ``unicode``:
            letters of all scripts are kept with their marks, in the normal form NFKC, and full stops of other scripts
            (``。``, ``۔``, ``।``) end sentences as well. A text in ASCII gives the same by both.

    Returns:
        Sentences of two words or more, each the words joined by single spaces.
    """
    sentences = []
    pieces = _plain_letters(text, words).split(".")
    for index, piece in enumerate(pieces):
        found = _words(piece, words)
        if index < len(pieces) - 1:
            _drop_final_number(found)
        sentence = " ".join(found)
        if len(found) > 1 or (words == "unicode" and count_tokens([sentence]) > 1):
            sentences.append(sentence)
    return sentences


def clean_phrase(text: str, words: str = "ascii") -> str:
    """Lower-case words of a phrase in a line; unlike in a report, a single word and a number count, too."""
    return " ".join(_words(_plain_letters(text, words).replace(".", " "), words))


def report_sentences(text: str, words: str = "ascii") -> list[str]:
    """Clean the impression and the findings of a report (see :func:`split_report` and :func:`clean_text`).

    The two are cleaned apart, so that no sentence reaches across them.
    """
    return [sentence for part in report_texts(text) for sentence in clean_text(part, words)]


def count_tokens(sentences: list[str]) -> int:
    """Number of words in cleaned sentences; where a script has no spaces between words, of letters."""
    return sum(
        sentence.count(" ") + 1 if sentence.isascii() and sentence else len(_UNIT.findall(sentence))
        for sentence in sentences
    )


def count_words(text: str) -> int:
    """Number of words in a raw text, of any script and before anything is dropped, as :func:`count_tokens` counts."""
    if text.isascii():
        return len(_words(text, "ascii"))
    return count_tokens([" ".join(_words(_normalize(text), "unicode"))])


def too_short(text: str, words: str = "ascii") -> str:
    """Why a report has no words after cleaning: most of its letters may be of another script than Latin."""
    letters = [letter for letter in _fold(text) if letter.isalpha()]
    latin = sum(letter.isascii() for letter in letters)
    return NOT_LATIN if words == "ascii" and latin < len(letters) / 2 else TOO_SHORT


def _parts(text: str) -> list[Part]:
    """The parts of a text in plain form, each from a header to the next one."""
    parts = [Part("", NO_HEADER, [])]
    titles: set[str] = set()  # names of the title, or titles, of the current part
    for line in text.splitlines():
        for kind, name, rest, whole in _split_line(line):
            current = parts[-1]
            in_text = current.kind in (FINDINGS, IMPRESSION, ANATOMY)
            if kind == "" or (in_text and kind in (ANATOMY, TITLE) and names_anatomy(name)):
                current.lines.append(whole)
            elif kind == TITLE and current.kind == FINDINGS and name not in titles:
                titles.add(name)
                current.lines.append(rest)
            else:
                titles = {name}
                text = whole if kind in (ANATOMY, UNKNOWN) else rest
                parts.append(Part(FINDINGS if kind == TITLE else kind, name, [text]))
    return parts


def _find_kept(parts: list[Part]) -> dict[str, Part]:
    return {part.kind: part for part in parts if part.kind in (FINDINGS, IMPRESSION) and _has_words(part.lines)}


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
        if found := _parse_inside(line, end, colon.start(), in_both_cases):
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
        raw = line[start : colon.start()].strip(" \t*_]")
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
    is_alone, is_kept = bare.end() == len(line) and not mark, kind in (IMPRESSION, FINDINGS)
    if bare[1].isupper():
        is_header = is_kept or is_alone
    else:
        is_marked = any(sign in line[:start] for sign in "#*[") and bare.end() == len(line)
        has_dash = is_kept and _SPACED_DASH.match(bare[2])
        is_header = is_marked or (bare[1][0].isupper() and (is_alone or has_dash))
    return (kind, name, bare.end()) if is_header else None


def _parse_inside(line: str, start: int, colon: int, in_both_cases: bool) -> tuple[str, str, int] | None:
    """Kind, name and place of the header inside a line whose colon is at a place, else None.

    Args:
        line: The line.
        start: Where the text of the header before begins.
        colon: Place of the colon.
        in_both_cases: Whether the line has small letters, so that capitals stand out without a full stop before them.
    """
    first = max(start, colon - _HEADER_LENGTH)
    before = line[first:colon]
    if not (before[-1:].isalpha() or before[-1:] in tuple(" \t)*_]")):
        return None  # No name ends so.
    lead = len(before) - len(before.lstrip())
    starts = [match.end() for match in _START.finditer(before, lead)]
    if starts or first == start:
        at = _DECORATION.match(before, starts[-1] if starts else lead).end()
        raw = before[at:].rstrip(" \t*_]")
        name = normalize_name(raw)
        kind = kind_of_known(name)
        # Right behind a header, a title is its text: "EXAMINATION: CHEST RADIOGRAPH".
        if kind is None and starts and _CAPITALS_OF_KNOWN.fullmatch(raw):
            kind = kind_of_capitals(name)
        if kind not in (None, ANATOMY, UNKNOWN):
            return kind, name, first + at
    capitals = _FINAL_CAPITALS.search(before) if in_both_cases else None
    for word in re.finditer(r"\S+", capitals[0]) if capitals else ():
        name = normalize_name(capitals[0][word.start() :])
        if kind := kind_of_known(name):
            return kind, name, first + capitals.start() + word.start()
    return None


def _plain_letters(text: str, words: str) -> str:
    """A text in small letters, those of ASCII or those of all scripts."""
    if text.isascii():
        return text.lower()
    return _fold(text).lower() if words == "ascii" else _normalize(text)


def _fold(text: str) -> str:
    """A text with plain letters for those with accents."""
    text = unicodedata.normalize("NFKD", text.translate(_FULL_STOPS).translate(_FOLDED))
    return "".join(character for character in text if not unicodedata.combining(character))


def _normalize(text: str) -> str:
    """A text in lower case and the normal form NFKC, with spaces for all that is neither letter, digit nor mark."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text.translate(_FULL_STOPS)).lower())
    return text.translate(_KEPT)


class _Kept(dict):
    """What stands for a character in a text of Unicode words, filled as characters come: itself, or a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_kept = character.isalnum() or character in "._" or unicodedata.category(character).startswith("M")
        return self.setdefault(code, character if is_kept else " ")


_KEPT = _Kept()


def _words(text: str, words: str) -> list[str]:
    if words == "unicode":
        found = text.split() if not text.isascii() else _WORD.findall(text)
        return [word for word in found if _is_word(word)]
    found = [word.encode("ascii", "ignore").decode("ascii") for word in _WORD.findall(text)]
    return [word for word in found if _is_word(word)]


def _is_word(word: str) -> bool:
    """Whether it has a letter or a digit, and not only underscores and marks."""
    return any(map(str.isalnum, word))


def _has_words(lines: list[str]) -> bool:
    """Whether any line has a word."""
    return any(_is_word(word) for line in lines for word in _WORD.findall(line))


def _drop_final_number(words: list[str]) -> None:
    """Remove, in place, the digits at the end of a sentence, until it ends in another character."""
    while words:
        word = words[-1].rstrip(_DIGITS)
        if _is_word(word):
            words[-1] = word
            return
        words.pop()
