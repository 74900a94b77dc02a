"""Rows for pieces: a text model and a writer of reports need one for each piece of the prepared folder's tokenizer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mgca_mm.bounds import read_json
from mgca_mm.errors import UserError
from mgca_mm.reports.tokenizer import load_tokenizer

from .config_errors import datasets_of, dicts_below


def follow_vocabulary(cfg: Config) -> None:
    """Enlarge each ``vocab_size`` of a model to the tokenizer of the training data, in place.

    A config cannot read the prepared folder itself, for ``data_root`` may be changed on top of it. A tokenizer that is
    no local folder is not asked for, and a ``pretrained`` text model has as many rows as it was saved with.

    Raises:
        UserError: The tokenizer cannot be loaded.
    """
    if not (sizes := _sizes(cfg)):
        return
    for dataset in datasets_of(cfg.get("train_dataloader")):
        if (tokenizer := _tokenizer(dataset)) and Path(tokenizer).is_dir():
            pieces = _pieces(tokenizer)
            for part in sizes.values():
                part["vocab_size"] = max(pieces, part["vocab_size"])


def require_embeddings(cfg: Mapping[str, Any], dataset: Mapping[str, Any]) -> None:
    """Check that the model of a config has a row for each piece of a data set's tokenizer.

    Raises:
        UserError: It has fewer.
    """
    sizes, saved_rows = _sizes(cfg), None
    folder = (cfg.get("model", {}).get("text_encoder") or {}).get("pretrained")
    if folder and (saved := Path(folder, "config.json")).is_file():
        content = read_json(saved)  # building the model reports what is wrong with it
        saved_rows = content.get("vocab_size") if isinstance(content, dict) else None
    tokenizer = _tokenizer(dataset)
    if not (sizes or saved_rows) or tokenizer is None:
        return
    pieces = _pieces(tokenizer)
    if isinstance(saved_rows, int) and pieces > saved_rows:
        raise UserError(
            f"The tokenizer '{tokenizer}' has {pieces} pieces, but the text model in '{folder}' {saved_rows}."
            f"\nPrepare the data with that model's tokenizer: --tokenizer '{folder}'"
        )
    for name, part in sizes.items():
        if pieces > part["vocab_size"]:
            raise UserError(
                f"The tokenizer '{tokenizer}' has {pieces} pieces, but {name} is {part['vocab_size']}.\n"
                f"Set {name}={pieces}, or prepare the data with --vocab-size {part['vocab_size']}."
            )


def _sizes(cfg: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Dotted name of each ``vocab_size`` of a model → the part that has it."""
    parts = [(name, part) for name, part in dicts_below({"model": cfg.get("model")}) if "vocab_size" in part]
    return {f"{name}.vocab_size": part for name, part in parts if isinstance(part["vocab_size"], int)}


def _tokenizer(dataset: Mapping[str, Any]) -> str | None:
    """The tokenizer of the reports that a data set gives; None where it tokenizes none."""
    for step in dataset.get("pipeline") or ():
        if str(step.get("type")).endswith("TokenizeReport"):
            return step.get("tokenizer") or str(Path(dataset.get("reports") or dataset["data_root"]) / "tokenizer")
    return None


def _pieces(tokenizer: str) -> int:
    return 1 + max(load_tokenizer(tokenizer).get_vocab().values())  # numbers can be left out
