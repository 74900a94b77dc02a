"""Letters with accents and of other scripts, made plain or brought into one form."""

import unicodedata

# Letters that have no normal form with an accent; full stops of other scripts.
_FOLDED = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i"}
)
_FULL_STOPS = str.maketrans(dict.fromkeys("。｡．۔।॥။།።։។", "."))


def fold(text: str) -> str:
    """A text with plain letters for those with accents, and plain full stops."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", text.translate(_FULL_STOPS).translate(_FOLDED))
    return "".join(character for character in text if not unicodedata.combining(character))


def normalize(text: str) -> str:
    """A text in lower case and the normal form NFKC, with spaces for all that is neither letter, digit nor mark."""
    text = unicodedata.normalize("NFKC", text.translate(_FULL_STOPS)).replace("İ", "i")  # lower() makes two of it
    return unicodedata.normalize("NFKC", text.lower()).translate(_KEPT)


class _Kept(dict):
    """What stands for a character in a text of Unicode words, filled as characters come: itself, or a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        is_kept = character.isalnum() or character in "._" or unicodedata.category(character).startswith("M")
        return self.setdefault(code, character if is_kept else " ")


_KEPT = _Kept()
