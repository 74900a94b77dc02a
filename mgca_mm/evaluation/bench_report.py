"""Tables of the bench of frozen encoders, as Markdown, and the cells of its figure."""

from collections.abc import Iterable, Mapping, Sequence

from .real_bench import MIN_OF_CLASS, NUM_NEIGHBORS

GRAYS = "grays"  # the row without a network
_NEIGHBORS = "knn"
_HOW = f"""AUROC in percent on the test images: mean ± standard deviation over the seeds, each of which divides the
patients anew into training, validation and test (70/10/20) and draws other training images, and in brackets the 95 %
interval of the mean over patients of the tests drawn with replacement, the fitted layers left as they are. A random
encoder is one draw of its weights. Columns: percent of the training images that the linear layer sees, in brackets how
many these are, at least {MIN_OF_CLASS} of each class; the best of five C on all validation images is taken.
Neighbors: the {NUM_NEIGHBORS} nearest of all training images, without training. Error: 100 − AUROC, relative to that of
the random encoder of the same architecture and size of images, with the 95 % interval over the same draws of patients.
The row "{GRAYS}" is no encoder: nine numbers of the grays of each image, as the first encoder is shown it.
"""


def markdown(rows: Sequence[Mapping], left_out: Iterable[str], encoders: Mapping[str, Mapping]) -> str:
    """Tables of the results, then of the controls, and what they are made of.

    Args:
        rows: Those of ``bench.json``.
        left_out: Lines about tasks that have none.
        encoders: Name → ``config``, ``checkpoint`` and its ``sha256``.
    """
    parts = ["# Frozen encoders on labeled radiographs\n", _HOW]
    for is_control, title in ((False, "## Results\n"), (True, "## Controls: how an image was made, and of whom\n")):
        chosen = [row for row in rows if row["control"] == is_control]
        if chosen:
            parts.append(title)
        for data, task in dict.fromkeys((row["data"], row["task"]) for row in chosen):
            parts.append(_table([row for row in chosen if (row["data"], row["task"]) == (data, task)]))
    if lines := [f"* {line}" for line in left_out]:
        parts.append("\n".join(["## Left out\n", *lines, ""]))
    parts.append("## Encoders\n\n| name | config | weights | SHA-256 |\n|---|---|---|---|")
    for name, of in encoders.items():
        digest = (of["sha256"] or "")[:12]
        parts[-1] += f"\n| {name} | {of['config']} | {of['checkpoint'] or 'random'} | {digest} |"
    return "\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping]) -> str:
    """A row an encoder, two columns a share, of one task."""
    first = rows[0]
    shares = {row["share"]: row["trained_on"] for row in rows}
    blank = f", {first['blank']:,} blank, hence negative" if first["blank"] else ""
    title = (
        f"### {first['data']}: {first['task']}\n\n{first['images']:,} images of {first['patients']:,} patients, "
        f"{first['positives']:,} positive{blank}.\n"
    )
    heads = ["neighbors" if share == _NEIGHBORS else f"{share} % ({count:,})" for share, count in shares.items()]
    lines = [
        "| encoder | " + " | ".join(f"{head} | error" for head in heads) + " |",
        "|---|" + "---:|---:|" * len(shares),
    ]
    for encoder in dict.fromkeys(row["encoder"] for row in rows):
        found = {row["share"]: row for row in rows if row["encoder"] == encoder}
        lines.append(f"| {encoder} | " + " | ".join(_cell(found[share]) for share in shares) + " |")
    return "\n".join([title, *lines, ""])


def _cell(row: Mapping) -> str:
    spread = "" if row["sd"] is None else f" ± {row['sd']:.1f}"
    error = "–"
    if row["error_to_random"] is not None:
        error = "{:+.0f} % ({:+.0f} to {:+.0f})".format(*row["error_to_random"]).replace("-", "−")
    return f"{row['mean']:.1f}{spread} ({row['low']:.1f}–{row['high']:.1f}) | {error}"


def cells(rows: Iterable[Mapping]) -> list[dict]:
    """Results of the linear layer as :func:`mgca_mm.visualization.curves.plot_label_fractions` draws them."""
    return [
        {
            "setting": f"{row['data']}/{row['task']}",
            "title": f"{row['data']}: {row['task']}\nAUROC",
            "init": row["encoder"],
            "encoder": "",
            "percent": row["share"],
            "mean": row["mean"],
            "sd": row["sd"],
        }
        for row in rows
        if row["share"] != _NEIGHBORS and not row["control"]
    ]
