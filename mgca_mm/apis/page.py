"""A page to explore a checkpoint: words and regions, findings, and what is near."""

from pathlib import Path

import gradio as gr
from gradio_client.utils import is_http_url_like

from . import page_html
from .explorer import ATTENTION, OR_A_PLACE, PHRASE, PLAIN, Explorer
from .page_style import CHOOSE, POINT

TITLE = "What the model sees"
BANNER = (
    f"# {TITLE}\nA model that was pretrained on radiographs and their reports: click a finding in the report to see "
    "where it is found{}.\n\n**For research only.** Not a medical device; nothing on this page may be used to diagnose "
    "or treat."
)


def build_page(explorer: Explorer) -> gr.Blocks:
    """The page; ``.launch(server_name='127.0.0.1', css=page_style.CSS)`` serves it.

    Args:
        explorer: What answers the clicks.
    """
    views = [PHRASE, ATTENTION, PLAIN] if explorer.inferencer.model.uses_tokens else [PHRASE, PLAIN]
    has_data = bool(explorer.pairs)
    # Uploads are removed after an hour; nothing is sent to gradio's makers.
    with gr.Blocks(title=f"mgca_mm: {TITLE}", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.Markdown(BANNER.format(OR_A_PLACE * explorer.inferencer.model.uses_tokens), elem_id="banner")
        shown, number = gr.State(), gr.State()
        cards = page_html.cards([(n, explorer.pairs[n], None) for n in explorer.examples]) if has_data else ""
        examples = gr.HTML(cards, js_on_load=CHOOSE, elem_id="examples", visible=has_data)
        with gr.Accordion("Your own radiograph and report", open=not has_data, elem_id="own"), gr.Row():
            file = gr.File(label="Radiograph: JPEG, PNG or DICOM", elem_id="file", height=130)
            _take_uploads_only(file)
            with gr.Column():
                report = gr.Textbox(label="Report, or a phrase", lines=4, elem_id="report")
                button = gr.Button("Show", variant="primary", elem_id="show")
        warning = gr.HTML(elem_id="warning")
        with gr.Row():
            with gr.Column(min_width=340):
                figure = gr.HTML(js_on_load=POINT, elem_id="image")
                view = gr.Radio(views, value=PHRASE, show_label=False, container=False, elem_id="view")
            with gr.Column(min_width=340):
                words = gr.HTML(js_on_load=CHOOSE, elem_id="words")
                findings = gr.HTML(elem_id="findings")
        nearest = gr.HTML(js_on_load=CHOOSE, elem_id="nearest")
        timer = gr.Timer(2, active=has_data)

        looks = [figure, words, shown]
        quiet = dict(show_progress="hidden")
        compare = dict(fn=explorer.compare, inputs=shown, outputs=[warning, findings, nearest, timer], **quiet)
        if has_data:
            page.load(explorer.open, None, [file, report, number, *looks], **quiet).success(**compare)
            for source in (examples, nearest):
                source.select(explorer.choose, view, [file, report, number, *looks], **quiet).success(**compare)
            timer.tick(**compare)
            # What is uploaded is no pair of the data any more.
            gr.on([file.upload, file.clear], lambda: None, None, number, **quiet)
        button.click(explorer.show, [file, report, number, view], looks, **quiet).success(**compare)
        words.select(explorer.look_at_word, [shown, view], looks, **quiet)
        figure.select(explorer.look_at_region, shown, looks, **quiet)
        view.input(explorer.look_again, [shown, view], looks, **quiet)
    return page


def _take_uploads_only(component: gr.File) -> None:
    """Fetch nothing: gradio would ask whatever address a client names as the path of its file."""
    keep = component.async_move_resource_to_block_cache

    async def keep_upload(path: str | Path | None) -> str | None:
        if is_http_url_like(str(path)):
            raise gr.Error("Give a file, not an address.", print_exception=False)
        return await keep(path)

    component.async_move_resource_to_block_cache = keep_upload
