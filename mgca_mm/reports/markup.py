r"""Line ends and signs that a report went through a web page, a database or a spreadsheet with: ``<br>``, ``\n``."""

import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_ATTRIBUTES = r"(?:\s+[\w:-]{1,40}\s*=[^<>]{0,200})?\s*/?>"
_BREAK_TAG = re.compile(
    r"</?(?:br|p|div|li|ul|ol|dl|dt|dd|tr|td|th|table|h[1-6]|hr|pre|blockquote|section|article|header|footer|title|"
    rf"html|head|body|cr|lf){_ATTRIBUTES}|\[br\]",
    re.IGNORECASE,
)
_STYLE_TAG = re.compile(rf"</?(?:a|b|i|u|em|strong|small|sup|sub|mark|span|font){_ATTRIBUTES}", re.IGNORECASE)
# What a web page says to the browser alone: sheets of style, comments, declarations.
_UNSEEN = re.compile(
    r"<(style|script)[^<>]{0,200}>[^<]*</\1>|<!\[CDATA\[|\]\]>|<!--[^<]*?-->|<[!?][^<>]{0,200}>", re.IGNORECASE
)
# Of Excel (_x000A_), JSON and C (\u000a, \x0a), HL7 (\.br\, \.sp3\, \X0D\) and RTF (\par).
_BREAK_CODE = re.compile(
    r"_x000[aAdD]_|\\{1,4}(?:u00|x)0[aAdD]|\\X0[AD](?:0[AD])?\\|\\\.(?:br|sp|fi|nf|ce|in|ti|sk)[+-]?\d{0,3}\\|"
    r"\\pard?\b ?"
)
_RTF_TABLE = re.compile(r"\{\\(?:\*|fonttbl|colortbl|stylesheet|info)[^{}]*(?:\{[^{}]*\}[^{}]*)*\}")
_RTF_WORD = re.compile(r"\\[a-z]{1,32}-?\d{0,10} ?|[{}]")
_ESCAPE = re.compile(r"\\{1,4}r\\{1,4}n|\\{1,4}([nrtfv])")
# An escape that cannot be a slash turned round before a word ("lines\tubes"): it stands behind no letter but one of
# another escape, or before no small one, or no word starts with n and the next letters.
_CLEAR_ESCAPE = re.compile(
    r"\\{1,4}r\\{1,4}n|(?:(?<![A-Za-z\\])|(?<=\\[nrtfv]))\\{1,4}([nrtfv])|"
    r"\\{1,4}(?:([nrtfv])(?![a-z])|(n)(?=[bcdfhjklmnpqrstvwxz][a-z]|i(?:mpression|ndication)))"
)
# Soft hyphens, joiners and byte order marks go, the space without width parts words, two signs look like a colon.
_SIGNS = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060\ufeff")) | {0x200B: " ", 0x2236: ":", 0xA789: ":"}


def plain_text(text: str) -> str:
    r"""A text with real line ends, tabs and signs for those that are written out.

    Entities of HTML with their semicolon; tags that end a line or a cell, tags of type style; ``\n``, ``\r``, ``\t``,
    ``\f`` and ``\v`` as two characters or more (escaped twice), where one of the same letter is clear; line ends as
    Excel (``_x000D_``), JSON (``\u000a``), HL7 (``\.br\``) and RTF (``\par``) write them. Of other signs nothing is
    taken for markup: ``<2 cm`` and ``lines\tubes`` stay. Characters of full width and ligatures become plain ones.
    """
    if "&" in text:
        for _ in range(2):  # Escaped twice: &amp;lt;br&amp;gt;
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "<" in text or "[" in text:
        text = _STYLE_TAG.sub("", _BREAK_TAG.sub("\n", _UNSEEN.sub("", text)))
    is_rtf = text.lstrip().startswith("{\\rtf")
    text = _BREAK_CODE.sub("\n", text)
    if is_rtf:
        text = _RTF_WORD.sub("", _RTF_TABLE.sub("", re.sub(r"\\line\b", "\n", text)))
    if "\\" in text:
        clear = {match[1] or match[2] or match[3] or "n" for match in _CLEAR_ESCAPE.finditer(text)}
        text = _ESCAPE.sub(lambda match: _unescape(match, clear), text)
    if text.isascii():
        return text
    # Line ends first: the normal form makes spaces of some.
    return unicodedata.normalize("NFKC", "\n".join(text.translate(_SIGNS).splitlines()))


def _unescape(match: re.Match, clear: set[str]) -> str:
    letter = match[1] or "n"
    return match[0] if letter not in clear else "\t" if letter == "t" else "\n"
