"""Which regions the words of a report look at, and which words a region looks at; which phrases are worth drawing."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps

from mgca_mm.errors import UserError
from mgca_mm.reports.finding_words import find_mentions
from mgca_mm.structures import CrossAttention, TextFeatures

from .style import HEAT

CONTRAST_LIMITS = (0.0, 2.0)  # of maps of phrases: of a difference of two cosines


class Grounding(NamedTuple):
    """The words of a report and the regions of a radiograph, side by side.

    Attributes:
        words: L words in the order of the report; the last is ``[SEP]``, the end of the report.
        words_to_regions: (L, S) each word's attention over the regions, sum 1.
        regions_to_words: (S, L) each region's attention over the words, sum 1.
        word_weight: (L,) importance of each word: the last layer's attention of [CLS], as in the loss (eq. 5).
        side: Regions along each side of the crop, row by row: S = side².
    """

    words: list[str]
    words_to_regions: np.ndarray
    regions_to_words: np.ndarray
    word_weight: np.ndarray
    side: int

    @classmethod
    def of(cls, attention: CrossAttention, text: TextFeatures, words: list[str]) -> "Grounding":
        """Take the first pair of a batch.

        Args:
            attention: Of a square of regions.
            text: Embeddings of the reports.
            words: The real words of the first report.

        Raises:
            UserError: The regions make no square.
        """
        arrays = (values[0].detach().float().cpu().numpy() for values in (*attention, text.token_weight))
        to_regions, to_words, weight = arrays
        count, side = len(words), math.isqrt(len(to_words))
        if side * side != len(to_words):
            raise UserError(f"The image encoder has {len(to_words)} regions, which make no square: they have no map.")
        return cls(words, to_regions[:count], to_words[:, :count], weight[:count], side)

    def grid(self, words: int | slice) -> np.ndarray:
        """(side, side) attention of a word over the regions, or the mean of several words."""
        return np.atleast_2d(self.words_to_regions[words]).mean(axis=0).reshape(self.side, self.side)


class Phrase(NamedTuple):
    """A part of a report that is drawn.

    Attributes:
        words: Positions in the report.
        text: The words.
        finding: What it names, see :class:`mgca_mm.reports.finding_words.Mention`; None for other words.
        is_negated: The report says that it is not there.
    """

    words: slice
    text: str
    finding: str | None = None
    is_negated: bool = False


def blend(image: np.ndarray, heat_map: np.ndarray, limits: tuple[float, float] | None = None) -> np.ndarray:
    """A radiograph with a map over it: the higher, the more of the map's color covers the image.

    Args:
        image: (H, W) gray levels, uint8.
        heat_map: (H, W) of any scale, NaN where nothing is drawn.
        limits: Values of no color and of the full one. None: the map's own, which make any map glow.

    Returns:
        (H, W, 3) uint8.
    """
    low, high = limits or (np.nanmin(heat_map), np.nanmax(heat_map))
    scaled = np.nan_to_num((heat_map - low) / (high - low) if high > low else np.zeros_like(heat_map)).clip(0, 1)
    colors = 255 * colormaps[HEAT](scaled)[..., :3]
    cover = 0.75 * scaled[..., None]
    return np.rint((1 - cover) * image[..., None] + cover * colors).astype(np.uint8)


def phrases_of(sentences: Sequence[str]) -> list[Phrase]:
    """All phrases of a report that name a finding, in order; of its cleaned sentences, for a denial ends with one."""
    words = " ".join(sentences).split()
    return [
        Phrase(slice(start, stop), " ".join(words[start:stop]), finding, is_negated)
        for start, stop, finding, is_negated in find_mentions(sentences)
    ]


def finding_phrases(sentences: Sequence[str], count: int = 4) -> list[Phrase]:
    """The phrases of a report that name a finding: of each finding the longest, those that are there first.

    Args:
        sentences: Cleaned sentences.
        count: How many at most.
    """
    by_finding: dict[tuple[bool, str], Phrase] = {}
    for phrase in phrases_of(sentences):
        best = by_finding.setdefault((phrase.is_negated, phrase.finding), phrase)
        if len(phrase.text) > len(best.text):
            by_finding[phrase.is_negated, phrase.finding] = phrase
    there = {finding for is_negated, finding in by_finding if not is_negated}
    chosen = [found for (is_negated, finding), found in by_finding.items() if not is_negated or finding not in there]
    return sorted(chosen, key=lambda phrase: phrase.is_negated)[:count]


def choose_phrases(grounding: Grounding, sentences: Sequence[str] = (), count: int = 4) -> list[Phrase]:
    """What is drawn of a report: :func:`finding_phrases`, or else the words of the largest weight.

    Args:
        grounding: Of the report, which may have been cut.
        sentences: Its cleaned sentences; none where they are not known.
        count: How many at most.
    """
    words, ends = grounding.words[:-1], np.cumsum([len(sentence.split()) for sentence in sentences]).tolist()
    if " ".join(sentences).split()[: len(words)] == words:
        kept = [" ".join(words[start:end]) for start, end in zip([0, *ends], ends, strict=False)]
    else:
        kept = [" ".join(words)]
    found = finding_phrases(kept, count)
    return found or [Phrase(slice(word, word + 1), words[word]) for word in weightiest(grounding, count)]


def weightiest(grounding: Grounding, count: int) -> list[int]:
    """Positions of the words of the largest weight, each word once, in the order of the report; never [SEP]."""
    chosen: dict[str, int] = {}
    for position in np.argsort(-grounding.word_weight[:-1], kind="stable"):
        chosen.setdefault(grounding.words[position], int(position))
    return sorted(list(chosen.values())[:count])


def boxes_of(phrase: Phrase, boxes: Sequence[Sequence]) -> list[Sequence]:
    """Those of some boxes (x, y, width, height, name) that are of the phrase's finding, and not of the other side.

    The box of a lung is of any finding of its side.
    """
    words = phrase.text.split()
    findings = {mention.finding for mention in find_mentions(phrase.text)}
    found = []
    for box in boxes:
        name = box[4].lower().replace("_", " ")
        sides = [{"left", "right"} & set(text) for text in (words, name.split())]
        same_side = sides[0] == sides[1] or not all(sides)
        same_finding = not findings.isdisjoint(mention.finding for mention in find_mentions(name))
        its_lung = name in ("left lung", "right lung") and sides[0] == sides[1]
        if its_lung or (same_side and (same_finding or phrase.text == name)):
            found.append(box)
    return found
