"""The options of a preparation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mgca_mm.bounds import size_of
from mgca_mm.errors import UserError
from mgca_mm.files import sha256_of
from mgca_mm.reports.cleaning import WORDS
from mgca_mm.reports.tokenizer import describe_tokenizer

PROTOCOLS = ("paper", "released")


@dataclass(frozen=True)
class Options:
    """Options of a preparation.

    Attributes:
        image_size: Side of the stored images, in pixels.
        tokenizer: Folder or hub name of a tokenizer to copy; None trains one.
        vocab_size: Largest vocabulary of a trained tokenizer.
        words: Which words of a report are kept: ``ascii``, as in the paper, or ``unicode``.
        protocol: ``paper``, or ``released`` for the splits of the authors' code, leaks included.
        split_list: A csv file with the columns ``id`` (image or patient) and ``split``, for another split.
        annotations_only: Read the tables alone: no image is opened or stored.
        max_rejected: Share of the images that may be broken before the preparation fails.
        labels: Columns of ``labels.csv`` that are labels, of ``labels_csv`` alone; none for all that it has.
        patients: Regular expression of what a patient is called within the names in the table, of ``labels_csv`` alone:
            what it finds first is the patient, and the table's split, made for other patients, is not read.
        follow_links: Accept links in the raw folder that lead out of it.
        workers: Processes that decode images; changes nothing in the result.
    """

    image_size: int = 256
    tokenizer: str | None = None
    vocab_size: int = 8000
    words: str = "ascii"
    protocol: str = "paper"
    split_list: Path | None = None
    annotations_only: bool = False
    max_rejected: float = 0.01
    labels: Sequence[str] | None = None
    patients: str | None = None
    follow_links: bool = False
    workers: int = 1

    def __post_init__(self) -> None:
        for name, low, high in (("image_size", 8, 4096), ("vocab_size", 100, 1_000_000), ("workers", 1, 1024)):
            if not low <= getattr(self, name) <= high:
                raise UserError(f"--{name.replace('_', '-')}: a whole number from {low} to {high} is expected")
        if not 0 <= self.max_rejected <= 1:
            raise UserError("--max-rejected: a share from 0 to 1 is expected, such as 0.01")
        if self.protocol not in PROTOCOLS:
            raise UserError(f"--protocol: one of {', '.join(PROTOCOLS)} is expected")
        if self.words not in WORDS:
            raise UserError(f"--words: one of {', '.join(WORDS)} is expected")
        if self.split_list is not None and self.protocol == "released":
            raise UserError("--split-list and --protocol released: both name a split; give one of them")
        try:
            re.compile(self.patients or "")
        except re.error as error:
            raise UserError(f"--patients {self.patients}: no regular expression, {error}") from error

    def parameters(self) -> dict:
        """The options that change the result, for the manifest.

        Those added later are named only where they are not the default: what was prepared before stays finished.
        """
        later = {"words": self.words, "labels": self.labels and list(self.labels), "patients": self.patients}
        later = {name: value for name, value in later.items() if value not in (None, "ascii")}
        return {
            "protocol": self.protocol,
            "split_list": None if self.split_list is None else _digest(self.split_list),
            "annotations_only": self.annotations_only,
            "image_size": self.image_size,
            "tokenizer": describe_tokenizer(self.tokenizer),
            "vocab_size": self.vocab_size if self.tokenizer is None else None,
        } | later


def _digest(path: Path) -> str:
    try:
        size_of(path)  # A pipe could be read without end.
        return sha256_of(path)
    except OSError as error:
        raise UserError(f"--split-list {path}: cannot be read ({error.strerror})") from error
