"""Patterns of words with alternatives: ``[The heart|Heart size] is [|mildly ]enlarged.`` stands for four sentences."""

import functools
import re
from collections.abc import Sequence

import numpy as np


def pick(choices: Sequence, rng: np.random.Generator):
    """One of the choices, all equally likely."""
    return choices[int(rng.random() * len(choices))]


def expand(pattern: str, rng: np.random.Generator) -> str:
    """Draw one of the texts that a pattern stands for; the alternatives in a bracket are equally likely."""
    return _draw(_parse(pattern), rng)


@functools.cache
def _parse(pattern: str) -> list:
    """The parts of a pattern in order: a text, or the list of its alternatives, which are lists of parts again."""
    opened: list[list[list]] = [[[]]]  # the alternatives so far, of each bracket that is open
    for token in re.split(r"([\[|\]])", pattern):
        if token == "[":
            opened.append([[]])
        elif token == "|":
            opened[-1].append([])
        elif token == "]":
            alternatives = opened.pop()
            opened[-1][-1].append(alternatives)
        else:
            opened[-1][-1].append(token)
    return opened[0][0] if len(opened[0]) == 1 else opened


def _draw(parts: list, rng: np.random.Generator) -> str:
    return "".join(part if isinstance(part, str) else _draw(pick(part, rng), rng) for part in parts)
