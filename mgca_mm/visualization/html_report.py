"""A run in one HTML file that can be sent: nothing in it is asked of elsewhere, and nothing of it runs."""

import io
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from matplotlib.figure import Figure

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.version import __version__

from .curves import probe_figure
from .inline import data_address, fitted, jpeg_address

_TEMPLATE = Path(__file__).with_suffix(".html")
_LONG_SIDE = 288  # of a radiograph, in pixels: sharp at the size that the page shows, and 10 KB


def render(**content: object) -> str:
    """The page.

    Args:
        **content: What ``html_report.html`` names; texts are escaped.

    Raises:
        jinja2.UndefinedError: Something is missing.
    """
    # Escaped whatever it is: reports and names of classes come from files of others.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    versions = {"Python": platform.python_version(), "torch": version("torch"), "mgca_mm": __version__}
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(content, versions=versions)


def describe_probe(folder: Path) -> dict:
    """What ``mgca-mm probe`` has found.

    Args:
        folder: Where it has written.

    Returns:
        ``scores``, initialization → percent of the labels → macro AUROC; ``per_class``, the same for each finding;
        ``percents``; ``recall`` at 5 of image → report, its chance (both in percent) and the number of reports, None
        where there are none; ``curve``.

    Raises:
        UserError: There is no ``probe.json``, or one of another making.
    """
    path = folder / "probe.json"
    content = read_json(path)
    try:
        results = {name: {int(p): result for p, result in probes.items()} for name, probes in content["probe"].items()}
        scores, per_class = (
            {name: {p: result[what] for p, result in probes.items()} for name, probes in results.items()}
            for what in ("macro", "per_class")
        )
        retrieval = content["retrieval"]
        count = retrieval["num_reports"] if retrieval else None
        recall = (retrieval["i2t_R@5"], min(100, 500 / count), count) if retrieval else None
        curve = embed_figure(probe_figure(scores))
        percents = sorted(scores["pretrained"])
        [scores["random"][percent] for percent in percents], percents[-1]
    except (ArithmeticError, AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is not a probe.json of this version's mgca-mm probe.\nRun it again.") from error
    return dict(scores=scores, per_class=per_class, percents=percents, recall=recall, curve=curve)


def read_steps(path: Path) -> list[dict]:
    """What was done before, as ``mgca-mm demo`` notes it.

    Returns:
        ``title``, ``command`` and ``seconds`` of each step; None where it was not timed.

    Raises:
        UserError: It is no such file.
    """
    steps = read_json(path)
    if not isinstance(steps, list) or not all(map(_is_step, steps)):
        raise UserError(f"{path} is no list of steps, each with title, command and seconds.\nmgca-mm demo writes one.")
    return steps


def _is_step(step: object) -> bool:
    return (
        isinstance(step, dict)
        and step.keys() == {"title", "command", "seconds"}
        and isinstance(step["title"], str)
        and isinstance(step["command"], str)
        and isinstance(step["seconds"], float | None)
    )


def embed_image(image: np.ndarray) -> str:
    """A picture as a ``data:`` address.

    Args:
        image: (H, W) or (H, W, 3) RGB, uint8, of any size.
    """
    return jpeg_address(fitted(image, _LONG_SIDE), 88)


def embed_figure(figure: Figure) -> str:
    """Curves as a ``data:`` address, sharp in any size, on the page's own ground."""
    content = io.BytesIO()
    figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return data_address("svg+xml", content.getvalue())


def embed_picture(figure: Figure) -> str:
    """A figure of images as a ``data:`` address."""
    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=110)
    return data_address("png", content.getvalue())
