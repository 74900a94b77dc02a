"""Where in a report, as it was written, its cleaned words stand."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from .cleaning import clean_phrase
from .letters import is_part_of_word

Span = tuple[int, int]

_SKIPPED = 3  # tokens within a sentence that cleaning may have dropped, as it does with markup
_TRIED = 20  # places where a sentence may start, so that the time is linear in the length of the report


def locate_words(text: str, sentences: Sequence[str], words: str = "ascii") -> list[Span | None]:
    """Find the words of cleaned sentences in the text that they come from.

    Cleaning changes letters, drops sections and puts the impression before the findings. So each sentence is looked for
    by itself, first where none has been found yet.

    Args:
        text: The report as written.
        sentences: What :func:`.cleaning.report_sentences` or :func:`.cleaning.clean_phrase` makes of it.
        words: Which words were kept.

    Returns:
        For each word of all sentences the characters that it is, start and stop; None for one that is not found.
    """
    tokens = [(clean_phrase(text[start:stop], words), (start, stop)) for start, stop in _tokens(text)]
    tokens = [token for token in tokens if token[0]]
    places = defaultdict(list)
    for place, (word, _) in reversed(list(enumerate(tokens))):
        places[word].append(place)
    used: set[int] = set()
    spans: list[Span | None] = []
    for sentence in sentences:
        wanted = sentence.split()
        starts = places[wanted[0]]
        while starts and starts[-1] in used:
            starts.pop()
        free = [start for start in starts[: -_TRIED - 1 : -1] if start not in used]
        found = next(filter(None, (_follow(tokens, start, wanted, used) for start in free)), None)
        used.update(found or ())
        spans += [tokens[place][1] for place in found] if found else [None] * len(wanted)
    return spans


def _tokens(text: str) -> list[Span]:
    """Runs of letters, digits, their marks and underscores."""
    spans, stop = [], 0
    for is_word, run in groupby(text, is_part_of_word):
        start, stop = stop, stop + sum(1 for _ in run)
        if is_word:
            spans.append((start, stop))
    return spans


def _follow(tokens: list[tuple[str, Span]], start: int, wanted: list[str], used: set[int]) -> list[int] | None:
    """Places of a sentence's words from a place on, of others than are used; None where it is not that sentence."""
    found = [start]
    for number, word in enumerate(wanted[1:], 2):
        last = min(found[-1] + 2 + _SKIPPED, len(tokens))
        following = [place for place in range(found[-1] + 1, last) if place not in used]
        # Digits before a full stop go with it: of "T12." there is left "t".
        matches = (p for p in following if tokens[p][0] == word or (number == len(wanted) and _cut(tokens[p][0], word)))
        place = next(matches, None)
        if place is None:
            return None
        found.append(place)
    return found


def _cut(token: str, word: str) -> bool:
    return token.startswith(word) and token[len(word) :].isdigit()
