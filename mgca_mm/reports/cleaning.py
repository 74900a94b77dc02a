"""From the raw text of a radiology report to the sentences a text encoder reads. Pure functions.

1. :func:`decode_report`: bytes to text; UTF-8, or Windows-1252 where the bytes are not UTF-8; no binary data.
2. :func:`.sections.split_report`: the findings and the impression of a report, or the text that stands for them.
3. :func:`clean_text`: a text to sentences of lower-case words, ASCII or Unicode.

Everything is linear in the length of the text.
"""

import contextlib
import re

from .letters import fold, normalize, small_letters
from .sections import split_report

WORDS = ("ascii", "unicode")
MIN_TOKENS = 3
TOO_SHORT = f"the report has fewer than {MIN_TOKENS} words after cleaning"
NOT_LATIN = "the report is not in Latin letters, and --words ascii keeps no others"

_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f]")
_WORD = re.compile(r"\w+")
_DIGITS = "0123456789٠١٢٣٤٥٦٧٨٩۰۱۲۳۴۵۶۷۸۹०१२३४५६७८९"
# Thai to Burmese, Khmer, kana and ideographs are written without spaces: a letter counts as a word there, which is what
# BERT's tokenizers make of ideographs, and for others more than there are; the count only tells reports from none.
_UNSPACED = (
    "\u0e00-\u109f\u1780-\u17ff\u3005-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_UNIT = re.compile(f"[{_UNSPACED}]|[^ {_UNSPACED}]+")


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
    pieces = small_letters(text, words).split(".")
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
    return " ".join(_words(small_letters(text, words).replace(".", " "), words))


def report_sentences(text: str, words: str = "ascii") -> list[str]:
    """Clean the impression and the findings of a report (see :func:`.sections.split_report` and
    :func:`clean_text`).

    The two are cleaned apart, so that no sentence reaches across them.
    """
    return [sentence for part in split_report(text)[0] for sentence in clean_text(part.text, words)]


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
    return count_tokens([" ".join(_words(normalize(text), "unicode"))])


def too_short(text: str, words: str = "ascii") -> str:
    """Why a report has no words after cleaning: most of its letters may be of another script than Latin."""
    letters = [letter for letter in fold(text) if letter.isalpha()]
    latin = sum(letter.isascii() for letter in letters)
    return NOT_LATIN if words == "ascii" and latin < len(letters) / 2 else TOO_SHORT


def _words(text: str, words: str) -> list[str]:
    if words == "unicode":
        found = text.split() if not text.isascii() else _WORD.findall(text)
        return [word for word in found if _is_word(word)]
    found = [word.encode("ascii", "ignore").decode("ascii") for word in _WORD.findall(text)]
    return [word for word in found if _is_word(word)]


def _is_word(word: str) -> bool:
    """Whether it has a letter or a digit, and not only underscores and marks."""
    return any(map(str.isalnum, word))


def _drop_final_number(words: list[str]) -> None:
    """Remove, in place, the digits at the end of a sentence, until it ends in another character."""
    while words:
        word = words[-1].rstrip(_DIGITS)
        if _is_word(word):
            words[-1] = word
            return
        words.pop()
