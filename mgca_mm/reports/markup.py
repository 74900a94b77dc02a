r"""Line ends and signs that a report went through a web page, a database or a spreadsheet with: ``<br>``, ``\n``."""

import html
import re
import unicodedata

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")
_ATTRIBUTES = r"(?:\s[^<>]{0,200})?/?>"
_BREAK_TAG = re.compile(
    r"</?(?:html|head|body|title|section|article|header|footer|main|pre|blockquote|center|br|hr|p|div|dl|dt|dd|li|ul|ol|"
    rf"table|thead|tbody|tr|td|th|h[1-6]|cr|lf){_ATTRIBUTES}",
    re.IGNORECASE,
)
_STYLE_TAG = re.compile(rf"</?(?:a|b|i|u|s|em|strong|span|font|small|big|sub|sup|mark){_ATTRIBUTES}", re.IGNORECASE)
# Of Excel, HL7, RTF and of programs: a code is clear by itself.
_BREAK_CODE = re.compile(
    r"_x000[aAdD]_|\\\.(?:br|sp|in|ti)[+-]?\d{0,3}\\|\\[xX]0[aAdD]\\?|\\{1,4}u000[aAdD]|\\(?:pard?|line)\b ?"
    r"|\\{1,4}[fv](?![a-z])"
)
_ESCAPE = re.compile(r"\\{1,4}r\\{1,4}n|\\{1,4}([nrt])")
# An escape that cannot be a slash turned round before a word ("lines\tubes"): no letter before it, no small one behind
# it, or a small word that no word ends in.
_CLEAR_ESCAPE = re.compile(
    r"(?<![A-Za-z\\])\\{1,4}[nrt]|\\{1,4}[nrt](?![a-z])"
    r"|\\{1,4}n(?=(?:the|there|no|is|are|and|with|without|both|heart|lungs?|normal|findings?|impression)\b)"
)
# Soft hyphens, joiners and byte order marks go, the space without width parts words, two signs look like a colon.
_SIGNS = dict.fromkeys(map(ord, "\u00ad\u200c\u200d\u2060\ufeff")) | {0x200B: " ", 0x2236: ":", 0xA789: ":"}


def plain_text(text: str) -> str:
    r"""A text with real line ends, tabs and signs for those that are written out.

    Entities of HTML with their semicolon, tags that end a line or a cell, tags of type style, ``\n``, ``\r`` and ``\t``
    as two characters or more (escaped twice), ``\u000a`` and ``\x0a``, Excel's ``_x000D_``, HL7's ``\.br\`` and RTF's
    ``\par``. Of other signs nothing is taken for markup: ``<2 cm`` and ``lines\tubes`` stay. Characters of full width
    and ligatures become plain ones.
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
