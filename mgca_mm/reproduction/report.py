"""Tables and figures of a grid's results."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev

from mgca_mm.files import write_output
from mgca_mm.visualization.curves import plot_label_fractions

from .grid import Cell, Profile
from .paper import paper_number
from .settings import SETTINGS, TABLES

Results = Mapping[Cell, dict]


def summarise(results: Results) -> dict[tuple[str, str, str, int], dict]:
    """Mean and standard deviation over the seeds: (setting, encoder, initialisation, percent) → numbers.

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
        inits: Initialisations, the order of the rows.
        profile: What the grid ran on.
        heading: What data and protocol the numbers are of.

    Returns:
        The text of ``report.md``.
    """
    summary = summarise(results)
    percents = sorted({key[3] for key in summary})
    parts = [f"# Reproduction\n\n{heading}\n"]
    for name in tables:
        table = TABLES[name]
        encoders = [e for e in profile.encoders or table.encoders if any(key[1] == e for key in summary)]
        parts.append(_markdown(name, encoders, table.rows(inits), percents, summary))
    text = "\n".join(parts)
    folder.mkdir(parents=True, exist_ok=True)
    write_output(folder / "report.md", text)
    names = ("setting", "encoder", "init", "percent")
    rows = [
        dict(zip(names, key, strict=True)) | {"title": SETTINGS[key[0]].title} | cells for key, cells in summary.items()
    ]
    write_output(folder / "report.json", json.dumps({"heading": heading, "cells": rows}, indent=2) + "\n")
    with io.StringIO(newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["setting"], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_output(folder / "report.csv", file.getvalue())
    for setting in dict.fromkeys(row["setting"] for row in rows if row["mean"] is not None):
        plot_label_fractions(rows, folder / f"{setting}.png", [setting])
    return text


def _markdown(name: str, encoders: list[str], inits: list[str], percents: list[int], summary: Mapping) -> str:
    """One table: a row an encoder and initialisation, a column a setting and share of the labels."""
    columns = [(setting, percent) for setting in TABLES[name].settings for percent in percents]
    head = "| | " + " | ".join(f"{SETTINGS[setting].title} {percent} %" for setting, percent in columns) + " |"
    lines = [f"## {name.capitalize()}: {TABLES[name].title}\n", head, "|---" * (len(columns) + 1) + "|"]
    for encoder in encoders:
        for init in inits:
            cells = [summary.get((setting, encoder, init, percent)) for setting, percent in columns]
            lines.append(f"| {init}, {encoder} | " + " | ".join(map(_format, cells)) + " |")
    return "\n".join(lines) + "\n"


def _format(cell: dict | None) -> str:
    """A score with its spread; the paper's number in brackets."""
    if cell is None:
        return "not run"
    if cell["mean"] is None:
        return "failed"
    spread = f" ± {cell['sd']:.1f}" if cell["sd"] is not None else ""
    failed = f", {cell['failed']} failed" if cell["failed"] else ""
    paper = f" [{cell['paper']}]" if cell["paper"] is not None else ""
    return f"{cell['mean']:.1f}{spread}{failed}{paper}"
