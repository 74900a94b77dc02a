"""Letters of a text: small ones, plain ones for those with accents, and those of other scripts in one form."""

import unicodedata

# Letters that have no normal form with an accent; full stops of other scripts.
_FOLDED = str.maketrans(
    {"ß": "ss", "ẞ": "SS", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ł": "l", "Ł": "L"}
    | {"đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "þ": "th", "Þ": "TH", "ħ": "h", "Ħ": "H", "ı": "i"}
)
_FULL_STOPS = str.maketrans(dict.fromkeys("。｡．۔।॥။།።։។", "."))


def small_letters(text: str, words: str) -> str:
    """A text in small letters, those of ASCII or those of all scripts."""
    if text.isascii():
        return text.lower()
    return fold(text).lower() if words == "ascii" else normalize(text)


def fold(text: str) -> str:
    """A text with plain letters for those with accents."""
    if text.isascii():
        return text
    text = unicodedata.normalize("NFKD", text.translate(_FULL_STOPS).translate(_FOLDED))
    return "".join(character for character in text if not unicodedata.combining(character))


def fold_in_place(text: str) -> str:
    """A text of the same length with plain letters for those with accents; others stay as they are."""
    return text if text.isascii() else text.translate(_IN_PLACE)


def normalize(text: str) -> str:
    """A text in lower case and the normal form NFKC, with spaces for all that is neither letter, digit nor mark."""
    text = unicodedata.normalize("NFKC", text.translate(_FULL_STOPS)).replace("İ", "i")  # lower() makes two of it.
    return unicodedata.normalize("NFKC", text.lower()).translate(_KEPT)


def is_part_of_word(character: str) -> bool:
    """Whether a character is a letter, a digit, a mark on one, or an underscore."""
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


class _Kept(dict):
    """What stands for a character in a text of Unicode words, filled as characters come: itself, or a space."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        return self.setdefault(code, character if character == "." or is_part_of_word(character) else " ")


_KEPT = _Kept()


class _InPlace(dict):
    """What a single character is folded to, if that is one character, else itself; filled as characters come."""

    def __missing__(self, code: int) -> str:
        folded = fold(chr(code))
        return self.setdefault(code, folded if len(folded) == 1 else chr(code))


_IN_PLACE = _InPlace()
