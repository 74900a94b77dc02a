"""What happens on a click on the page, without the page around it."""

import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import cv2
import gradio as gr
import numpy as np
from torch import Tensor

from mgca_mm.errors import UserError
from mgca_mm.radiographs.dicom import is_dicom
from mgca_mm.reports.as_written import Span, locate_words
from mgca_mm.reports.cleaning import report_sentences
from mgca_mm.visualization.attention import CONTRAST_LIMITS, Grounding, Phrase, blend, boxes_of, phrases_of
from mgca_mm.visualization.attention_figure import ATTENTION_LIMITS
from mgca_mm.visualization.inline import fitted

from . import page_html
from .inferencer import RadiographInferencer, clean_report
from .known_data import KnownData, embed_with_places
from .prepared import NamedBox, Pair

FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Lung Lesion", "Pleural Effusion", "Pneumonia"),
    *("Pneumothorax", "Support Devices"),
)
PHRASE, ATTENTION, PLAIN = "Where it is found", "Attention", "No map"
OR_A_PLACE = ", or a place in the radiograph to see its words"  # of a model that learns such attention
_LONG_SIDE = 640  # of a radiograph on the page, in pixels
_COLOR = 12  # gray levels by which the channels of a photograph differ on average; scans have a tint of a few
_NEAREST = 4
_ITSELF = 0.9999  # cosine of an image with itself, but for rounding
_LONGEST = 100_000  # characters of a report; one of ten megabytes would keep the page busy for many seconds
_EXAMPLES = 14


class Shown(NamedTuple):
    """What the page shows, kept between two clicks.

    Attributes:
        pixels: (H, W) gray levels as they were read.
        image: The same, of the size of the page.
        embedding: (1, D) of the image.
        places: (16, C) of the image, see :class:`.known_data.KnownData`.
        text: The report as it was written.
        words: Its cleaned words.
        spans: Where each of them stands in the text.
        phrases: Those that name findings.
        grounding: Attention of the words and the regions; None for a model without.
        number: The pair of the data that it is; None if it is none.
        chosen: The phrase or word whose map is shown; None: no map.
        place: Column and row of the image that was clicked; None: none.
    """

    pixels: np.ndarray
    image: np.ndarray
    embedding: Tensor
    places: Tensor
    text: str
    words: list[str]
    spans: list[Span | None]
    phrases: list[Phrase]
    grounding: Grounding | None
    number: int | None
    chosen: Phrase | None = None
    place: tuple[int, int] | None = None


class Explorer:
    """What the page asks.

    Args:
        inferencer: The model.
        pairs: Pairs to choose from and to compare with; none where there is no data.
        kept: Where their embeddings are kept and what is newer than an old index, see :class:`.known_data.KnownData`.
    """

    def __init__(self, inferencer: RadiographInferencer, pairs: list[Pair], **kept: Path | None):
        self.inferencer = inferencer
        self.pairs = pairs
        # Some text encoders keep notes of the call they are at; calls past gradio's queue come all at once.
        self._model_in_use = threading.Lock()
        self.known = KnownData(inferencer, pairs, self._model_in_use, **kept) if pairs else None

    @cached_property
    def examples(self) -> list[int]:
        """Positions of pairs with different findings: single ones first, the most frequent at the front.

        Of each, the first pair with boxes, if there is any.
        """
        titles = [page_html.title_of(pair) for pair in self.pairs]
        by_title = {}
        for number in sorted(range(len(titles)), key=lambda number: not self.pairs[number].boxes):
            by_title.setdefault(titles[number], number)

        def rank(title: str) -> tuple:
            count = 1.5 if title == page_html.NOTHING else 1 + title.count(", ")
            return (count, -sum(title in other for other in titles))

        return [by_title[title] for title in sorted(by_title, key=rank)[:_EXAMPLES]]

    def open(self) -> tuple:
        """The first example, as :meth:`choose` shows it."""
        return self._choose(self.examples[0])

    def choose(self, view: str, event: gr.EventData) -> tuple:
        """A pair of the data as if it had been dropped.

        Returns:
            Its file, its report, its position, and what :meth:`show` returns.

        Raises:
            gradio.Error: There is no such pair, or its image cannot be read.
        """
        number = _index_of(event)
        if not _is_place(number, len(self.pairs)):
            raise gr.Error("Choose one of the pairs.", print_exception=False)
        return self._choose(number, view)

    def _choose(self, number: int, view: str = PHRASE) -> tuple:
        pair = self.pairs[number]
        try:
            pixels = pair.image.read()
        except UserError as error:  # whose message has the file's path
            raise gr.Error("The image of this pair cannot be read.", print_exception=False) from error
        # A copy among the uploads: gradio serves no file of the data's own folder.
        file = Path(gr.utils.get_upload_folder() or ".", f"pair_{number}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), pixels)
        report = page_html.readable(pair)
        return str(file), report, number, *self.show(str(file), report, number, view)

    def show(self, file: str | None, report: str | None, number: int | None = None, view: str = PHRASE) -> tuple:
        """Encode a radiograph and its report.

        Returns:
            Radiograph with the map of the first finding that the report names, report, and what is kept.

        Raises:
            gradio.Error: Something is wrong with one of them; the message says what to do.
        """
        try:
            with self._model_in_use:
                shown = self._encode(file, report, number)
        except UserError as error:
            # Without the folders of the upload.
            raise gr.Error(str(error).replace(str(file), "The file"), duration=None, print_exception=False) from error
        return self._draw(shown, view)

    def _encode(self, file: str | None, report: str | None, number: int | None) -> Shown:
        if not file:
            raise UserError("Drop a radiograph first: a JPEG, PNG or DICOM file.")
        if not (report or "").strip():
            raise UserError("Write what the radiograph shows: the report is empty.")
        if len(report) > _LONGEST:
            raise UserError(f"The report is longer than {_LONGEST:,} characters: give its findings and impression.")
        kept = self.inferencer.words
        cleaned = clean_report(report, words=kept)
        sentences = report_sentences(report, kept) or [cleaned]
        pixels = self.inferencer.read(file)
        require_gray(Path(file))
        grounding = self.inferencer.attend(pixels, report) if self.inferencer.model.uses_tokens else None
        embedding, places = embed_with_places(self.inferencer, pixels)
        spans, words = locate_words(report, sentences, kept), cleaned.split()
        image, phrases = fitted(pixels, _LONG_SIDE), phrases_of(sentences)
        shown = Shown(pixels, image, embedding, places[0], report, words, spans, phrases, grounding, number)
        # The first that is there, one with a box before others.
        boxes = self._boxes(number)
        order = sorted(phrases, key=lambda phrase: (phrase.is_negated, not boxes_of(phrase, boxes)))
        return shown._replace(chosen=order[0] if order else None)

    def look_at_word(self, shown: Shown | None, view: str, event: gr.EventData) -> tuple[str, str, Shown]:
        """The map of the word that was clicked, or of the finding that it is a part of."""
        shown, number = _require(shown), _index_of(event)
        if not _is_place(number, len(shown.words)):
            raise gr.Error("Click one of the words.", print_exception=False)
        around = (phrase for phrase in shown.phrases if phrase.words.start <= number < phrase.words.stop)
        chosen = next(around, Phrase(slice(number, number + 1), shown.words[number]))
        return self._draw(shown._replace(chosen=chosen, place=None), view)

    def look_at_region(self, shown: Shown | None, event: gr.EventData) -> tuple[str, str, Shown]:
        """The words with the attention of the region that was clicked."""
        shown, place = _require(shown), _index_of(event)
        height, width = shown.image.shape
        if not (isinstance(place, list | tuple) and len(place) == 2 and all(map(_is_place, place, (width, height)))):
            raise gr.Error("Click a place in the image.", print_exception=False)
        if shown.grounding is None:
            raise gr.Error("This model has no attention between regions and words.", print_exception=False)
        if self.inferencer.frame.to_grid(*place, height, width, shown.grounding.side) is None:
            raise gr.Error("The model does not see this place: it is outside its crop.", print_exception=False)
        return self._draw(shown._replace(place=tuple(place)), PLAIN)

    def look_again(self, shown: Shown | None, view: str) -> tuple[str, str, Shown]:
        """The chosen words in another view."""
        return self._draw(_require(shown)._replace(place=None), view)

    def compare(self, shown: Shown | None) -> tuple[str, str, str, gr.Timer]:
        """What the data say of what is shown.

        Returns:
            Warning, findings, nearest images and reports, and a timer that runs until the data are embedded.
        """
        waiting = self.known is not None and self.known.index is None and self.known.failure is None
        timer = gr.Timer(active=waiting)
        if shown is None:
            return "", "", "", timer
        index = self.known.index if self.known is not None else None
        with self._model_in_use:
            directions = self._directions
        scores = (shown.embedding @ directions.T)[0].tolist()
        labels = self.pairs[shown.number].labels if shown.number is not None else {}
        if index is None:
            findings = page_html.findings(dict(zip(FINDINGS, scores, strict=True)), labels)
            return "", findings, page_html.note(self._progress()), timer
        data = (index.embeddings("images") @ directions.T).numpy()
        findings = page_html.findings(dict(zip(FINDINGS, scores, strict=True)), labels, data, self.pairs)
        nearness, bound = self.known.nearness(shown.places, shown.number), self.known.bound
        warning = page_html.warning(nearness, bound) if nearness < bound else ""
        return warning, findings, self._nearest(shown), timer

    @cached_property
    def _directions(self) -> Tensor:
        return self.inferencer.finding_directions(FINDINGS)

    def _progress(self) -> str:
        """Why there is nothing to compare with."""
        if self.known is None:
            return "There are no data to compare with: start the page with --data FOLDER."
        if self.known.failure is not None:
            return "The data cannot be compared with: one of them cannot be read. The terminal says which."
        return f"The data are being embedded: {self.known.done:,} of {len(self.pairs):,} images."

    def _nearest(self, shown: Shown) -> str:
        """Images and reports of the data, without the image itself."""
        index = self.known.index
        found = index.search(shown.embedding, "images", _NEAREST + 1)[0]
        itself = [match for match in found if match.position == shown.number]
        if not itself and shown.number is None and found[0].score > _ITSELF:
            itself = found[:1]  # it was uploaded
        others = [match for match in found if match not in itself][:_NEAREST]
        images = page_html.cards([(match.position, self.pairs[match.position], match.score) for match in others])
        own = self.pairs[shown.number].report if shown.number is not None else None
        by_report = {pair.report: pair for pair in self.pairs}
        reports = index.search(shown.embedding, "reports", _NEAREST)[0]
        listed = [(match.score, page_html.readable(by_report[match.name]), match.name == own) for match in reports]
        return page_html.nearest(images, listed)

    def _draw(self, shown: Shown, view: str) -> tuple[str, str, Shown]:
        """Radiograph and report as they are to be shown."""
        read = _slots(shown)
        picture, scale, weights, caption = shown.image, "", None, ""
        if shown.place is not None:
            weights = self._weights(shown, read)
            caption = "In the report: how much the region in the circle attends to each word."
        elif shown.chosen is None or view == PLAIN:
            caption = f"Click a word to see where the model finds it{OR_A_PLACE * (shown.grounding is not None)}."
        elif view == PHRASE:
            picture, scale = self._found(shown), page_html.scale(CONTRAST_LIMITS, "difference of cosine")
            caption = f"“{shown.chosen.text}”: bright where the model finds it."
        else:
            picture, caption = self._attended(shown, read)
            scale = page_html.scale(ATTENTION_LIMITS, "times uniform")
        if shown.chosen is not None and shown.chosen.is_negated and view != PLAIN:
            caption += " The report says that it is not there."
        boxes = self._boxes(shown.number)
        meant = boxes_of(shown.chosen, boxes) if shown.chosen is not None else ()
        factor = _LONG_SIDE / max(shown.pixels.shape)
        drawn = [(NamedBox(*(factor * length for length in box[:4]), box.name), box in meant) for box in boxes]
        figure = page_html.figure(picture, caption, scale, drawn, shown.place)
        unread = {number for number, slots in enumerate(read) if not slots} if shown.grounding else set()
        return figure, page_html.report(shown, unread, weights), shown

    def _found(self, shown: Shown) -> np.ndarray:
        """The radiograph with the map of where the chosen phrase is."""
        with self._model_in_use:
            heat_map = self.inferencer.ground(shown.pixels, shown.chosen.text)
        laid = cv2.resize(heat_map, shown.image.shape[::-1], interpolation=cv2.INTER_LINEAR)
        return blend(shown.image, laid, CONTRAST_LIMITS)

    def _attended(self, shown: Shown, read: list[range]) -> tuple[np.ndarray, str]:
        """The radiograph with the mean attention of the chosen words, and what is to be said of it."""
        if shown.grounding is None:
            return shown.image, "This model has no attention between words and regions."
        slots = [slot for number in range(*shown.chosen.words.indices(len(read))) for slot in read[number]]
        if not slots:
            return shown.image, "The model does not read so far: the report is longer than its input."
        grid = shown.grounding.grid(slots) * shown.grounding.side**2
        laid = self.inferencer.frame.to_image(grid, *shown.image.shape)
        caption = f"“{shown.chosen.text}”: bright where its words look, which need not be where it is."
        return blend(shown.image, laid, ATTENTION_LIMITS), caption

    def _weights(self, shown: Shown, read: list[range]) -> list[float]:
        """Attention of the clicked region to each word, the strongest 1."""
        row, column = self.inferencer.frame.to_grid(*shown.place, *shown.image.shape, shown.grounding.side)
        weights = shown.grounding.regions_to_words[row * shown.grounding.side + column]
        found = [float(sum(weights[slot] for slot in slots)) for slots in read]
        return [weight / max(found) for weight in found]

    def _boxes(self, number: int | None) -> Sequence[NamedBox]:
        return self.pairs[number].boxes if number is not None else ()


def require_gray(file: Path) -> None:
    """Refuse photographs in color; DICOM files say themselves what they are.

    Args:
        file: One that the reader has taken.

    Raises:
        UserError: The picture is in color.
    """
    data = np.fromfile(file, np.uint8)
    if is_dicom(data[:132].tobytes()):
        return
    try:
        picture = cv2.imdecode(data, cv2.IMREAD_REDUCED_COLOR_8)
    except cv2.error:  # too small to be reduced, or larger than OpenCV decodes
        picture = None
    if picture is not None:
        difference = np.abs(np.diff(picture.astype(int), axis=2)).mean()
        if difference > _COLOR:
            raise UserError("This picture is in color: it is no radiograph.")


def _slots(shown: Shown) -> list[range]:
    """For each word of the report its slots of the text encoder, which may part words; empty beyond its input."""
    if shown.grounding is None:
        return [range(0)] * len(shown.words)
    slots = shown.grounding.words[:-1]
    stops = np.cumsum([len(slot) for slot in slots])
    starts = stops - [len(slot) for slot in slots]
    ends = np.cumsum([len(word) for word in shown.words])
    firsts = np.searchsorted(stops, ends - [len(word) for word in shown.words], side="right")
    return [range(first, last) for first, last in zip(firsts, np.searchsorted(starts, ends), strict=True)]


def _require(shown: Shown | None) -> Shown:
    if shown is None:
        raise gr.Error("Show a radiograph and a report first.", print_exception=False)
    return shown


def _index_of(event: gr.EventData) -> object:
    """What was clicked; anything, where it is not the page that calls."""
    try:
        return getattr(event, "index", None)
    except TypeError:  # its data is no dictionary
        return None


def _is_place(index: object, count: int) -> bool:
    """Whether it is one of the numbers below a count: the page's own are, but anybody may send any others."""
    return type(index) is int and 0 <= index < count
