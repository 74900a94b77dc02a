"""A page to explore a checkpoint: words and regions, findings, and what is near."""

import threading
from pathlib import Path
from typing import NamedTuple

import cv2
import gradio as gr
import numpy as np
from gradio_client.utils import is_http_url_like

from mgca_mm.errors import UserError
from mgca_mm.radiographs.dicom import is_dicom
from mgca_mm.visualization.attention import Grounding, blend

from .index import EmbeddingIndex
from .inferencer import RadiographInferencer
from .prepared import Pair

BANNER = (
    "### For research only\nNot a medical device. Nothing on this page may be used to diagnose or treat; the bars are "
    "no probabilities of disease."
)
FINDINGS = (
    *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Lung Lesion", "Pleural Effusion", "Pneumonia"),
    *("Pneumothorax", "Support Devices"),
)
_LONG_SIDE = 640  # of a radiograph on the page, in pixels
_COLOR = 12  # gray levels by which the channels of a photograph differ on average; scans have a tint of a few
_NEAREST = 4
_LONGEST = 100_000  # characters of a report; one of ten megabytes would keep the page busy for many seconds


class Shown(NamedTuple):
    """What the page shows, kept between two clicks.

    Attributes:
        image: (H, W) gray levels, small enough for the page.
        grounding: Of the radiograph and the report; None for a model without regions.
    """

    image: np.ndarray
    grounding: Grounding | None


class Explorer:
    """What happens on a click, without the page around it.

    Args:
        inferencer: The model.
        pairs: Pairs to choose from and to search among; none where there is no data.
        index_folder: Where the index of the pairs is kept, so that they are embedded once. None: nowhere.

    Raises:
        UserError: The folder holds the index of other images or of another model.
    """

    def __init__(self, inferencer: RadiographInferencer, pairs: list[Pair], index_folder: Path | None = None):
        self.inferencer = inferencer
        self.images = {pair.image.name: pair.image for pair in pairs}
        self.pairs = pairs
        self.index = self._make_index(index_folder) if pairs else None
        # Some text encoders keep notes of the call they are at; calls past gradio's queue come all at once.
        self._model_in_use = threading.Lock()

    def show(self, file: str | None, report: str | None) -> tuple:
        """Encode a radiograph and its report.

        Returns:
            Radiograph, words, findings, nearest reports, nearest images, a message, and what is kept.

        Raises:
            gradio.Error: Something is wrong with one of them; the message says what to do.
        """
        try:
            with self._model_in_use:
                return self._show(file, report)
        except UserError as error:
            # Without the folders of the upload.
            raise gr.Error(str(error).replace(str(file), "The file"), duration=None, print_exception=False) from error

    def _show(self, file: str | None, report: str | None) -> tuple:
        if not file:
            raise UserError("Drop a radiograph first: a JPEG, PNG or DICOM file.")
        if not (report or "").strip():
            raise UserError("Write what the radiograph shows: the report is empty.")
        if len(report) > _LONGEST:
            raise UserError(f"The report is longer than {_LONGEST:,} characters: give its findings and impression.")
        pixels = self.inferencer.read(file)
        require_gray(Path(file))
        try:
            grounding = self.inferencer.attend(pixels, report)
            message = "Click a word to see where it looks, or a place in the image to see its words."
        except UserError as error:
            if self.inferencer.model.uses_tokens:
                raise
            grounding, message = None, str(error)
        shown = Shown(_shrink(pixels), grounding)
        scores = self.inferencer.zero_shot(pixels, FINDINGS)[0].tolist()
        reports, images = self._nearest(pixels)
        if self.index is None:
            message += " There is no index to search: start the page with --data FOLDER."
        findings = dict(zip(FINDINGS, scores, strict=True))
        return shown.image, self._plain_words(grounding), findings, reports, images, message, shown

    def look_at_word(self, shown: Shown | None, event: gr.EventData) -> np.ndarray:
        """The radiograph with the map of the word that was clicked."""
        grounding = _require_grounding(shown)
        number = _index_of(event)
        if not _is_place(number, len(grounding.words) - 1):
            raise gr.Error("Click one of the words.", print_exception=False)
        grid = grounding.grid(number)
        return blend(shown.image, self.inferencer.frame.to_image(grid, *shown.image.shape))

    def look_at_region(self, shown: Shown | None, event: gr.EventData) -> list[tuple[str, float]]:
        """The words with the attention of the region that was clicked."""
        grounding = _require_grounding(shown)
        height, width = shown.image.shape
        place = _index_of(event)
        if not (isinstance(place, list | tuple) and len(place) == 2 and all(map(_is_place, place, (width, height)))):
            raise gr.Error("Click a place in the image.", print_exception=False)
        region = self.inferencer.frame.to_grid(*place, height, width, grounding.side)
        if region is None:
            raise gr.Error("The model does not see this place: it is outside its crop.", print_exception=False)
        weights = grounding.regions_to_words[region[0] * grounding.side + region[1]]
        strongest = weights[:-1].max()
        return [(word, float(w / strongest)) for word, w in zip(grounding.words[:-1], weights, strict=False)]

    def choose(self, number: int) -> tuple[str, str]:
        """A pair of the data as if it had been dropped.

        Raises:
            gradio.Error: There is no such pair, or its image cannot be read.
        """
        if not _is_place(number, len(self.pairs)):
            raise gr.Error("Choose one of the pairs.", print_exception=False)
        pair = self.pairs[number]
        try:
            pixels = pair.image.read()
        except UserError as error:  # whose message has the file's path
            raise gr.Error("The image of this pair cannot be read.", print_exception=False) from error
        # A copy among the uploads: gradio serves no file of the data's own folder.
        file = Path(gr.utils.get_upload_folder() or ".", f"pair_{number}.png")
        file.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(file), pixels)
        return str(file), pair.report

    def _make_index(self, folder: Path | None) -> EmbeddingIndex:
        reports = [pair.report for pair in self.pairs]
        if folder is not None and folder.is_dir() and any(folder.iterdir()):
            index = EmbeddingIndex.load(folder)
            self.inferencer.require_own(index)
            for kind, names in (("images", self.images), ("reports", dict.fromkeys(reports))):
                if index.names(kind) != list(names):
                    raise UserError(f"{folder} holds the index of other {kind}: remove it, or name another folder.")
            return index
        index = self.inferencer.build_index([pair.image for pair in self.pairs], reports)
        if folder is not None:
            index.save(folder)
        return index

    def _nearest(self, pixels: np.ndarray) -> tuple[list[list], list[tuple[np.ndarray, str]]]:
        if self.index is None:
            return [], []
        query = self.inferencer.embed_images(pixels)
        reports = self.index.search(query, "reports", _NEAREST)[0]
        images = self.index.search(query, "images", _NEAREST)[0]
        pictures = [(self.images[match.name].read(), f"{match.score:.2f}") for match in images]
        return [[f"{match.score:.2f}", match.name] for match in reports], pictures

    @staticmethod
    def _plain_words(grounding: Grounding | None) -> list[tuple[str, float]]:
        return [] if grounding is None else [(word, 0.0) for word in grounding.words[:-1]]


def build_page(explorer: Explorer) -> gr.Blocks:
    """The page; ``.launch(server_name='127.0.0.1')`` serves it.

    Args:
        explorer: What answers the clicks.
    """
    # Uploads are removed after an hour; nothing is sent to gradio's makers.
    with gr.Blocks(title="mgca_mm: explore a checkpoint", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(BANNER, elem_id="banner")
        shown = gr.State()
        with gr.Row():
            with gr.Column():
                file = gr.File(label="Radiograph: JPEG, PNG or DICOM", elem_id="file", height=110)
                _take_uploads_only(file)
                report = gr.Textbox(label="Report, or a phrase", lines=5, elem_id="report")
                button = gr.Button("Show", variant="primary", elem_id="show")
                if explorer.pairs:
                    numbers = [(f"pair {n}", n) for n in range(min(50, len(explorer.pairs)))]
                    choice = gr.Dropdown(numbers, value=None, label="… or one of the data", elem_id="choice")
                    choice.input(explorer.choose, choice, [file, report])
                message = gr.Markdown(elem_id="message")
                findings = gr.Label(label="Findings by sentences", show_heading=False, elem_id="findings")
            with gr.Column():
                image = gr.Image(label="Click a place to see its words", interactive=False, elem_id="image", height=520)
                words = gr.HighlightedText(
                    label="Click a word to see its regions", combine_adjacent=False, elem_id="words"
                )
        with gr.Row():
            reports = gr.Dataframe(
                headers=["cosine", "report"],
                label="Nearest reports",
                wrap=True,
                column_widths=["15%", "85%"],
                elem_id="reports",
            )
            images = gr.Gallery(label="Nearest images", columns=_NEAREST, height=220, elem_id="images")
        results = [image, words, findings, reports, images, message, shown]
        button.click(explorer.show, [file, report], results)
        words.select(explorer.look_at_word, shown, image)
        image.select(explorer.look_at_region, shown, words)
    return page


def _take_uploads_only(component: gr.File) -> None:
    """Fetch nothing: gradio would ask whatever address a client names as the path of its file."""
    keep = component.async_move_resource_to_block_cache

    async def keep_upload(path: str | Path | None) -> str | None:
        if is_http_url_like(str(path)):
            raise gr.Error("Give a file, not an address.", print_exception=False)
        return await keep(path)

    component.async_move_resource_to_block_cache = keep_upload


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


def _require_grounding(shown: Shown | None) -> Grounding:
    if shown is None or shown.grounding is None:
        raise gr.Error("Show a radiograph and a report first.", print_exception=False)
    return shown.grounding


def _index_of(event: gr.EventData) -> object:
    """What was clicked; anything, where it is not the page that calls."""
    try:
        return getattr(event, "index", None)
    except TypeError:  # its data is no dictionary
        return None


def _is_place(index: object, count: int) -> bool:
    """Whether it is one of the numbers below a count: the page's own are, but anybody may send any others."""
    return type(index) is int and 0 <= index < count


def _shrink(pixels: np.ndarray) -> np.ndarray:
    scale = _LONG_SIDE / max(pixels.shape)
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    height, width = (max(1, round(length * scale)) for length in pixels.shape)
    return cv2.resize(pixels, (width, height), interpolation=interpolation)
