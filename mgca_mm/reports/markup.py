r"""Line ends and signs that a report went through a web page, a database or a spreadsheet with: ``<br>``, ``\n``."""

import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_BREAK_TAG = re.compile(r"</?(?:br|p|div|li|ul|ol|tr|td|th|table|h[1-6]|cr|lf)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
_STYLE_TAG = re.compile(r"</?(?:b|i|u|em|strong|span|font)(?:\s[^<>]{0,200})?/?>", re.IGNORECASE)
# Of Excel and of HL7.
_BREAK_CODE = re.compile(r"_x000[dD]_|\\\.br\\")
_ESCAPE = re.compile(r"\\{1,4}r\\{1,4}n|\\{1,4}([nrt])")
# An escape that cannot be a slash turned round before a word ("lines\tubes").
_CLEAR_ESCAPE = re.compile(r"(?<![A-Za-z\\])\\{1,4}[nrt]|\\{1,4}[nrt](?![a-z])")
# Soft hyphens, joiners and byte order marks go, the space without width parts words, two signs look like a colon.
_SIGNS = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060\ufeff")) | {0x200B: " ", 0x2236: ":", 0xA789: ":"}


def plain_text(text: str) -> str:
    r"""A text with real line ends, tabs and signs for those that are written out.

    Entities of HTML with their semicolon, tags that end a line or a cell, tags of type style, ``\n``, ``\r`` and ``\t``
    as two characters or more (escaped twice), Excel's ``_x000D_`` and HL7's ``\.br\``. Of other signs nothing is
    taken for markup: ``<2 cm`` and ``lines\tubes`` stay. Characters of full width and ligatures become plain ones.
    """
    if "&" in text:
        for _ in range(2):  # Escaped twice: &amp;lt;br&amp;gt;
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), text)
    if "<" in text:
        text = _STYLE_TAG.sub("", _BREAK_TAG.sub("\n", text))
    text = _BREAK_CODE.sub("\n", text)
    if "\\" in text and _CLEAR_ESCAPE.search(text):
        text = _ESCAPE.sub(lambda match: "\t" if match[1] == "t" else "\n", text)
    if text.isascii():
        return text
    # Line ends first: the normal form makes spaces of some.
    return unicodedata.normalize("NFKC", "\n".join(text.translate(_SIGNS).splitlines()))
