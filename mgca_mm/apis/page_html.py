"""Pieces of the page in HTML. Whatever is written by others is escaped."""

import math
from collections.abc import Collection, Mapping, Sequence
from html import escape as escape_marks
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex

from mgca_mm.errors import UserError
from mgca_mm.visualization.attention import Phrase
from mgca_mm.visualization.inline import fitted, jpeg_address
from mgca_mm.visualization.style import HEAT

from .prepared import NamedBox, Pair, findings_of

if TYPE_CHECKING:
    from .explorer import Shown

NOTHING = "No finding"
_THUMBNAIL = 160  # long side, in pixels
_BINS = 40
_STRIP = (200, 26)  # of a distribution


def title_of(pair: Pair) -> str:
    """The findings of a pair in words."""
    return ", ".join(findings_of(pair)) or NOTHING


def readable(pair: Pair) -> str:
    """A prepared report, of which only small words are left, with capitals and full stops."""
    return " ".join(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in map(sendable, pair.sentences))


def sendable(text: str) -> str:
    """A text of the same length without lone surrogates, which json can hold and a browser cannot be sent."""
    return text.encode("utf-8", "replace").decode()


def escape(text: str) -> str:
    """A text as HTML."""
    return escape_marks(sendable(text))


def figure(
    picture: np.ndarray,
    caption: str,
    scale: str,
    boxes: Sequence[tuple[NamedBox, bool]],
    place: tuple[int, int] | None,
) -> str:
    """The radiograph, with what is marked in it.

    Args:
        picture: (H, W) or (H, W, 3).
        caption: What it shows.
        scale: Of its map, see :func:`scale`; empty for none.
        boxes: In its pixels, and whether they are of the phrase that is shown, which are drawn thicker.
        place: Column and row of a circle.
    """
    height, width = picture.shape[:2]
    marks = "".join(_box(box, is_meant, height, width) for box, is_meant in boxes)
    if place is not None:
        marks += '<circle class="under" cx="{0}" cy="{1}" r="12"/><circle cx="{0}" cy="{1}" r="12"/>'.format(*place)
    key = '<span class="key">Dashed: boxes that come with the data.</span>' if boxes else ""
    return (
        f'<figure class="radiograph"><div class="picture" data-width="{width}" data-height="{height}">'
        f'<img src="{jpeg_address(picture, 92)}" alt="Radiograph. {escape(caption)}">'
        f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{marks}</svg></div>'
        f'<figcaption aria-live="polite">{escape(caption)} {scale} {key}</figcaption></figure>'
    )


def scale(limits: tuple[float, float], unit: str) -> str:
    """The colors of a map and the values that they stand for."""
    colors = ", ".join(to_hex(colormaps[HEAT](step)) for step in np.linspace(0, 1, 7))
    low, high = limits
    bar = f'<i style="background: linear-gradient(to right, {colors})"></i>'
    return f'<span class="key scale">{low:g} {bar} {high:g} {escape(unit)}.</span>'


def report(shown: "Shown", unread: Collection[int], weights: Sequence[float] | None) -> str:
    """The report as it was written, each word of it to be clicked.

    Args:
        shown: The report, its words and what is chosen of them.
        unread: Words that are cut off.
        weights: How strongly each word is marked, from 0 to 1. None: not.
    """
    phrase_of = {number: p for p in shown.phrases for number in range(p.words.start, p.words.stop)}
    placed = sorted((span, number) for number, span in enumerate(shown.spans) if span is not None)
    pieces, end, before = [], 0, None
    chosen = shown.chosen.words if shown.chosen is not None and shown.place is None else slice(0, 0)
    for (start, stop), number in placed:
        phrase = phrase_of.get(number)
        is_chosen = chosen.start <= number < chosen.stop
        look = _underline(phrase) + " chosen" * is_chosen
        # What stands within a phrase looks as the phrase does.
        pieces.append(_between(shown.text[end:start], look if phrase is not None and before is phrase else ""))
        names = ["word", look] + ["unread"] * (number in unread)
        style = "" if weights is None else f' style="--weight: {weights[number]:.2f}"'
        pieces.append(
            f'<span class="{" ".join(filter(None, names))}" role="button" tabindex="0" data-index="{number}"'
            f' aria-pressed="{str(is_chosen).lower()}"{style}>{escape(shown.text[start:stop])}</span>'
        )
        end, before = stop, phrase
    pieces.append(_between(shown.text[end:]))
    return f'<h2>Report</h2><div class="report{"" if weights is None else " weighted"}">{"".join(pieces)}</div>'


def findings(
    scores: Mapping[str, float],
    labels: Mapping[str, int],
    data: np.ndarray | None = None,
    pairs: Sequence[Pair] = (),
) -> str:
    """Signed scores of findings, with how the data's own are spread.

    Args:
        scores: Finding → cosine with "there is …", less that with "there is no …".
        labels: What is known of the image.
        data: (N, C) such scores of the data. None: there are none.
        pairs: The N pairs.
    """
    rows = []
    for column, (name, score) in enumerate(scores.items()):
        rank, strip, words = score, "", ""
        if data is not None:
            others = data[:, column]
            has_it = np.array([pair.labels.get(name) == 1 for pair in pairs])
            rank = float((others < score).mean())
            limits = min(data.min(), *scores.values(), 0), max(data.max(), *scores.values(), 0)
            strip = _strip(others, others[has_it], score, limits)
            words = f"<span>higher than</span> {math.floor(100 * rank)} % <span>of the data</span>"
        mark = '<span class="label">labeled</span>' if labels.get(name) == 1 else ""
        cells = f"<td>{strip}</td><td><b>{_signed(score)}</b> <small>{words}</small></td>"
        rows.append((rank, f"<tr><th>{escape(name)} {mark}</th>{cells}</tr>"))
    listed = "".join(row for _, row in sorted(rows, key=lambda row: -row[0]))
    legend = (
        "Cosine with sentences such as “there is edema” less that with “there is no edema”: it ranks images and is no "
        "probability of disease."
    )
    if data is not None:
        legend += (
            f' <span class="data-key">Gray</span>: the {len(data):,} images of the data, '
            + '<span class="with-key">line</span>: those labeled with it, ' * any(pair.labels for pair in pairs)
            + '<span class="dot-key">dot</span>: this image, percentage: how many of the data are below.'
        )
    return f'<h2>Findings</h2><table class="findings">{listed}</table><p class="legend">{legend}</p>'


def cards(found: Sequence[tuple[int, Pair, float | None]]) -> str:
    """Pictures to click, with their findings.

    Args:
        found: Position in the data, pair, and its cosine, if there is one. One that cannot be read is left out.
    """
    made = []
    for number, pair, score in found:
        title = escape(title_of(pair))
        below = "" if score is None else f"<small>cosine {score:.2f}</small>"
        try:
            pixels = pair.image.read()
        except UserError:  # which says so when the index is made
            continue
        image = f'<img src="{jpeg_address(fitted(pixels, _THUMBNAIL), 80)}" alt="">'
        made.append(
            f'<button class="card" data-index="{number}" title="{title}">{image}<span>{title}</span>{below}</button>'
        )
    return f'<div class="cards">{"".join(made)}</div>'


def nearest(images: str, reports: Sequence[tuple[float, str, bool]]) -> str:
    """What lies nearest.

    Args:
        images: Their cards.
        reports: Cosine, text, and whether it is the image's own.
    """
    own = '<span class="label">its own</span> '
    listed = "".join(f"<li><b>{score:.2f}</b> {own * is_own}{escape(text)}</li>" for score, text, is_own in reports)
    return f"<h2>Nearest images</h2>{images}<h2>Nearest reports</h2><ol>{listed}</ol>"


def warning(nearness: float, bound: float) -> str:
    """That the image is like none of the data."""
    return (
        '<div class="warning" role="alert"><b>This image is unlike the data.</b> Region by region, its likeness to '
        f"the most similar images is {nearness:.3f}; 99 % of the data’s own images reach {bound:.3f}. Neither the maps "
        "nor the scores can be relied upon here.</div>"
    )


def note(text: str) -> str:
    """A remark in the place of something that is not there."""
    return f'<p class="note">{escape(text)}</p>'


def _underline(phrase: Phrase | None) -> str:
    return "" if phrase is None else "mention denied" if phrase.is_negated else "mention"


def _between(text: str, names: str = "") -> str:
    """What stands between two words, dim where it is text that cleaning has dropped."""
    if any(map(str.isalnum, text)):
        names = "unread"
    return f'<span class="{names}">{escape(text)}</span>' if names and text else escape(text)


def _box(box: NamedBox, is_meant: bool, height: int, width: int) -> str:
    corners = f'x="{box.x:.1f}" y="{box.y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}"'
    at = box.y - 6 if box.y > 20 else min(box.y + box.height + 16, height - 4)
    start = f'x="{box.x:.1f}"' if box.x < width / 2 else f'x="{box.x + box.width:.1f}" text-anchor="end"'
    text = f'<text {start} y="{at:.1f}">{escape(box.name)}</text>'
    return f'<g class="box{" meant" * is_meant}"><rect class="under" {corners}/><rect {corners}/>{text}</g>'


def _strip(others: np.ndarray, labeled: np.ndarray, score: float, limits: tuple[float, float]) -> str:
    """How scores are spread, and where one of them is."""
    width, height = _STRIP
    low, high = limits
    span = max(high - low, 1e-6)
    edges = np.linspace(low, low + span, _BINS + 1)

    def outline(values: np.ndarray) -> str:
        counts = np.histogram(values, edges)[0] / max(len(values), 1)
        tops = height - 2 - (height - 6) * counts / max(counts.max(), 1e-6)
        points = [(width * (bin_ + 0.5) / _BINS, top) for bin_, top in enumerate(tops)]
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in [(0, height - 2), *points, (width, height - 2)])

    zero, at = (width * (value - low) / span for value in (0, score))
    line = f'<polyline class="with" points="{outline(labeled)}"/>' if len(labeled) else ""
    return (
        f'<svg class="strip" viewBox="0 0 {width} {height}" aria-hidden="true">'
        f'<polygon class="data" points="{outline(others)}"/>{line}<path class="zero" d="M{zero:.1f} 0V{height}"/>'
        f'<circle class="dot" cx="{min(max(at, 6), width - 6):.1f}" cy="{height - 8}" r="5.5"/></svg>'
    )


def _signed(score: float) -> str:
    return f"{score:+.2f}".replace("-", "\N{MINUS SIGN}")
