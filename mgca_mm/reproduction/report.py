"""Tables and figures of a grid's results."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.files import write_output
from mgca_mm.visualization.curves import plot_label_fractions

from .grid import Cell, Profile
from .paper import paper_number, paper_text
from .settings import SETTINGS, TABLES

Results = Mapping[Cell, dict]
# Of report.json: 1 numbered the tables otherwise, and had a subset of its own for each seed.
SCHEMA = 2


def summarize(results: Results) -> dict[tuple[str, str, str, int], dict]:
    """Mean and standard deviation over the seeds: (setting, encoder, initialization, percent) → numbers.

    Returns:
        ``mean`` and ``sd`` in percent (None without a score, and an sd needs two), ``seeds`` that have a score,
        ``failed`` cells, ``seconds`` of all together and the ``paper``'s number.
    """
    groups: dict[tuple[str, str, str, int], list[dict]] = {}
    for cell, result in results.items():
        groups.setdefault((cell.setting.key, cell.encoder, cell.init, cell.percent), []).append(result)
    summary = {}
    for key, group in groups.items():
        scores = [result["score"] for result in group if result["score"] is not None]
        summary[key] = {
            "mean": mean(scores) if scores else None,
            "sd": stdev(scores) if len(scores) > 1 else None,
            "seeds": len(scores),
            "failed": len(group) - len(scores),
            "seconds": sum(result["seconds"] for result in group),
            "paper": paper_number(*key),
        }
    return summary


def write_report(
    folder: Path, tables: Sequence[str], results: Results, inits: Sequence[str], profile: Profile, heading: str
) -> str:
    """Write ``report.md``, ``report.csv``, ``report.json`` and a figure a setting.

    Args:
        folder: Where to.
        tables: Names of the tables.
        results: What each cell gave; cells that have not run are missing.
        inits: Initializations, the order of the rows.
        profile: What the grid ran on.
        heading: What data and protocol the numbers are of.

    Returns:
        The text of ``report.md``.
    """
    summary = summarize(results)
    percents = sorted({key[3] for key in summary})
    parts = [f"# Reproduction\n\n{heading}\n"]
    for name in tables:
        columns = {setting: profile.encoders or encoders for setting, encoders in TABLES[name].encoders.items()}
        parts.append(_markdown(name, columns, TABLES[name].rows(inits), percents, summary))
    text = "\n".join(parts)
    folder.mkdir(parents=True, exist_ok=True)
    write_output(folder / "report.md", text)
    rows = [
        dict(setting=setting, encoder=encoder, init=init, percent=percent, title=SETTINGS[setting].title) | cells
        for (setting, encoder, init, percent), cells in summary.items()
    ]
    content = {"schema": SCHEMA, "heading": heading, "tables": list(tables), "cells": rows}
    write_output(folder / "report.json", json.dumps(content, indent=2) + "\n")
    with io.StringIO(newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["setting"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_output(folder / "report.csv", file.getvalue())
    for setting in dict.fromkeys(row["setting"] for row in rows if row["mean"] is not None):
        plot_label_fractions(rows, folder / f"{setting}.png", [setting])
    return text


def read_cells(path: Path) -> list[dict]:
    """Read ``cells`` of a ``report.json``.

    Raises:
        UserError: It is none, or one of another version.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        raise UserError(f"{path} is not a report.json of mgca-mm reproduce")
    if content.get("schema") != SCHEMA:
        raise UserError(
            f"{path} is a report.json of another version, which numbers the tables otherwise\n"
            "Run mgca-mm reproduce again with --resume: it repeats the cells that have changed."
        )
    return content["cells"]


def _markdown(
    name: str, encoders_of: Mapping[str, Sequence[str]], inits: list[str], percents: list[int], summary: Mapping
) -> str:
    """One table: a row an encoder and initialization, a column a setting and share of the labels."""
    columns = [(setting, percent) for setting in encoders_of for percent in percents]
    head = "| | " + " | ".join(f"{SETTINGS[setting].title} {percent} %" for setting, percent in columns) + " |"
    lines = [f"## {name.capitalize()}: {TABLES[name].title}\n", head, "|---" * (len(columns) + 1) + "|"]
    run = {key[1] for key in summary}
    for encoder in dict.fromkeys(encoder for encoders in encoders_of.values() for encoder in encoders):
        for init in inits if encoder in run else ():
            cells = []
            for setting, percent in columns:
                key = (setting, encoder, init, percent)
                in_table = encoder in encoders_of[setting]
                cells.append(_format(summary.get(key), paper_text(name, *key)) if in_table else "–")
            lines.append(f"| {init}, {encoder} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _format(cell: dict | None, paper: str | None) -> str:
    """A score with its spread; the paper's number in brackets."""
    if cell is None:
        return "not run"
    if cell["mean"] is None:
        return "failed"
    spread = f" ± {cell['sd']:.1f}" if cell["sd"] is not None else ""
    failed = f", {cell['failed']} failed" if cell["failed"] else ""
    return f"{cell['mean']:.1f}{spread}{failed}" + (f" [{paper}]" if paper else "")
