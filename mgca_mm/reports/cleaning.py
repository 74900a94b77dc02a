"""From the raw text of a radiology report to the sentences a text encoder reads. Pure functions.

1. :func:`decode_report`: bytes to text; UTF-8, or Latin-1 where the bytes are not UTF-8; no binary data.
2. :func:`find_sections`: the sections *findings* and *impression* of a report.
3. :func:`report_texts`: impression, then findings; a report with neither gives its last paragraph.
4. :func:`clean_text`: a text to sentences of lower-case ASCII words.

Everything is linear in the length of the text: lines are looked at one by one, headers only in their first characters.
"""

import re

MIN_TOKENS = 3
TOO_SHORT = f"the report has fewer than {MIN_TOKENS} words after cleaning"
_HEADER_LENGTH = 80  # The longest headers of MIMIC-CXR have some 60 characters.

_FINDINGS_NAMES = (
    *("FINDINGS", "FINDING", "FINDNGS", "FINIDNGS", "FINDIGNS", "FINDINGD", "FINDINDS", "FINDIINGS", "FINDINGSS"),
    *("FIDINGS", "FIINDINGS", "FINGINGS", "FINGDINGS", "FNDINGS", "FIDNINGS", "CHEST FINDINGS"),
    # One text under both names is kept once; an IMPRESSION of its own that follows then still adds to it.
    *("FINDINGS AND IMPRESSION", "FINDINGS AND IMPRESSIONS", "FINDING AND IMPRESSION", "FINDINGS IMPRESSION"),
    *("IMPRESSION AND FINDINGS", "IMPRESSION FINDINGS"),
)
_IMPRESSION_NAMES = (
    *("IMPRESSION", "IMPRESSIONS", "IMPRESSON", "IMPRESION", "IMPRESSSION", "IMPRESSIN", "IMPRESSIO", "IMPRESSIOM"),
    *("IMPRESSIOIN", "IMPRESSINO", "IMPRESSIION", "IMPRESSOIN", "IMPRESIION", "IMPRRESSION", "IMPREESSION"),
    *("IMPPRESSION", "IMPERSSION", "IMPESSION", "IMPRSSION", "IMRESSION", "IMRPESSION", "IPMRESSION", "IMPRESSIONE"),
    *("INPRESSION", "MPRESSION", "FINAL IMPRESSION", "CONCLUSION", "CONCLUSIONS", "CONCLUSION(S)"),
)
# Names that end a section even where they are not written in capitals.
_OTHER_NAMES = (
    *("ADDENDUM", "CLINICAL HISTORY", "CLINICAL INDICATION", "CLINICAL INFORMATION", "COMPARISON", "COMPARISONS"),
    *("COMPARISON STUDY", "EXAM", "EXAMINATION", "HISTORY", "INDICATION", "INDICATIONS", "NOTIFICATION", "PROCEDURE"),
    *("REASON FOR EXAM", "REASON FOR EXAMINATION", "RECOMMENDATION", "RECOMMENDATIONS", "RECOMMENDATION(S)"),
    *("STUDY", "TECHNIQUE", "VIEWS", "WET READ"),
)
_SECTION_OF_NAME = {
    **dict.fromkeys(_FINDINGS_NAMES, "findings"),
    **dict.fromkeys(_IMPRESSION_NAMES, "impression"),
    **dict.fromkeys(_OTHER_NAMES, "other"),
}
_UPPER_CASE_NAME = re.compile(r"[A-Z][A-Z ()/,&'-]*")
# "IMPRESSION" alone on its line, or with another mark than the colon, or set off by two spaces.
_HEADER_WITHOUT_COLON = re.compile(
    "("
    + "|".join(re.escape(name) for name in sorted(_FINDINGS_NAMES + _IMPRESSION_NAMES, key=len, reverse=True))
    + r")(?:\s*[;.-]|\s{2}|\s*$)"
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_WORD = re.compile(r"\w+")
_DIGITS = "0123456789"


def decode_report(data: bytes) -> str:
    """Decode a report; bytes that are not UTF-8 are taken for Latin-1, which has a character for every byte.

    Raises:
        ValueError: It has control characters, as UTF-16 and binary files read this way do: it is no text.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    if _CONTROL.search(text):
        raise ValueError("the report is not a text in UTF-8 or Latin-1; convert it")
    return text


def find_sections(text: str) -> dict[str, str]:
    """Find the findings and the impression of a report.

    A header stands at the start of a line, however far indented, and is one of

    * any upper-case ``NAME:``;
    * a name of the tables above with a colon in any case (``Findings:``), misspellings included;
    * an upper-case name of the findings or the impression without a colon, alone on its line or set off from the
      text by two spaces, a full stop, a semicolon or a hyphen.

    A section runs to the next header. Where a name comes twice (a preliminary reading above the final report), the last
    one that has any words wins. ``FINDINGS AND IMPRESSION`` counts as findings.

    Args:
        text: The report, with any kind of line ends.

    Returns:
        Raw text by section name, ``findings`` and ``impression``, those that are there and have words.
    """
    sections: list[tuple[str, list[str]]] = []
    is_kept = False
    for line in text.splitlines():
        header = _parse_header(line)
        if header is not None:
            is_kept = header[0] != "other"
            sections += [(header[0], [header[1]])] if is_kept else []
        elif is_kept:
            sections[-1][1].append(line)
    return {name: "\n".join(lines) for name, lines in sections if _has_words(lines)}


def report_texts(text: str) -> list[str]:
    """The parts of a report that describe the image: impression, then findings, or else the last paragraph.

    The paper names "impression and findings" and the released code feeds them in that order, which decides what is cut
    from a report longer than the text encoder's input: the end of the findings, never the impression. Paragraphs are
    set off by blank lines; headers inside the last one lose their name (``CHEST: Lungs clear.`` is ``Lungs clear.``).

    Args:
        text: The report.

    Returns:
        One or two raw texts; empty where the report has no words in them.
    """
    sections = find_sections(text)
    if sections:
        return [sections[name] for name in ("impression", "findings") if name in sections]
    paragraph: list[str] = []
    for line in reversed(text.splitlines()):
        if line.strip():
            header = _parse_header(line)
            paragraph.append(line if header is None else header[1])
        else:
            if _has_words(paragraph):
                break
            paragraph = []
    return ["\n".join(reversed(paragraph))] if _has_words(paragraph) else []


def drop_section_names(text: str) -> str:
    """A text without the names of sections that its lines start with: of sections without text, nothing is left.

    Only the names of the tables above are dropped, for a text in capitals would lose half a line with any other.
    """
    headers = ((line, _parse_header(line, any_name=False)) for line in text.splitlines())
    return "\n".join(line if header is None else header[1] for line, header in headers)


def clean_text(text: str) -> list[str]:
    r"""Clean a text into sentences of lower-case ASCII words.

    Sentences end at a full stop, and a number right before it goes with it, for it is nearly always an enumeration
    (``1. No effusion.``): the split on ``[0-9]+\.`` and ``.`` of the protocol. Its costs are the protocol's too:
    ``3.5 cm`` becomes ``5 cm``, ``T12.`` becomes ``t``. A number goes also where punctuation stands between it and
    the full stop (``50%.``); only so does cleaning a cleaned report change nothing. Words are ``\w+``; their
    non-ASCII characters are dropped. Words of underscores only (``___``, the mark of de-identification) are no words
    and are dropped, and so are sentences of a single word.

    Args:
        text: Any string, lone surrogates and NUL included.

    Returns:
        Sentences of two words or more, each the words joined by single spaces.
    """
    sentences = []
    pieces = text.lower().split(".")
    for index, piece in enumerate(pieces):
        words = _ascii_words(piece)
        if index < len(pieces) - 1:
            _drop_final_number(words)
        if len(words) > 1:
            sentences.append(" ".join(words))
    return sentences


def clean_phrase(text: str) -> str:
    """Lower-case ASCII words of a phrase in a line; unlike in a report, a single word and a number count, too."""
    return " ".join(_ascii_words(text.lower()))


def report_sentences(text: str) -> list[str]:
    """Clean the impression and the findings of a report (see :func:`report_texts` and :func:`clean_text`).

    The two are cleaned apart, so that no sentence reaches across them.
    """
    return [sentence for part in report_texts(text) for sentence in clean_text(part)]


def count_tokens(sentences: list[str]) -> int:
    """Number of words in cleaned sentences."""
    return sum(sentence.count(" ") + 1 for sentence in sentences)


def _parse_header(line: str, any_name: bool = True) -> tuple[str, str] | None:
    """Section and remaining text of a line that starts a section, else None.

    Args:
        line: The line.
        any_name: Whether any name in capitals before a colon starts one, or only a name of the tables.
    """
    line = line.strip()
    name, colon, rest = line.partition(":")
    if colon and len(name) <= _HEADER_LENGTH:
        # Single spaces, and the word AND for its signs.
        section = _SECTION_OF_NAME.get(" ".join(name.upper().replace("&", " AND ").replace("/", " AND ").split()))
        if section is not None:
            return section, rest
        if any_name and _UPPER_CASE_NAME.fullmatch(name.rstrip()):
            return "other", rest
    match = _HEADER_WITHOUT_COLON.match(line)
    if match:
        return _SECTION_OF_NAME[match[1]], line[match.end() :]
    return None


def _ascii_words(text: str) -> list[str]:
    words = [word.encode("ascii", "ignore").decode("ascii") for word in _WORD.findall(text)]
    return [word for word in words if word.strip("_")]


def _has_words(lines: list[str]) -> bool:
    """Whether any line has a word character other than the underscore."""
    return any(word.strip("_") for line in lines for word in _WORD.findall(line))


def _drop_final_number(words: list[str]) -> None:
    """Remove, in place, the digits at the end of a sentence, until it ends in another character."""
    while words:
        word = words[-1].rstrip(_DIGITS)
        if word.strip("_"):
            words[-1] = word
            return
        words.pop()
