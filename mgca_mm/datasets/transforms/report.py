"""Tokenization of reports."""

import itertools
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mgca_mm.registry import TRANSFORMS
from mgca_mm.reports.tokenizer import load_tokenizer

from .piece_table import PieceTable

if TYPE_CHECKING:
    from tokenizers import Encoding

# More than any piece has: what follows is cut off in any case, and tokenizing 10 MB takes seconds.
_CHARACTERS_PER_PIECE = 1000
_CHARACTERS_AT_A_TIME = 1 << 20  # of texts whose encodings, some hundred times as large, are in memory together
_LOCATIONS = (
    "left right bilateral bilaterally unilateral upper lower mid middle midlung lobe lobes base bases basal basilar "
    "bibasilar apex apices apical biapical hilum hilar perihilar suprahilar infrahilar lingula lingular retrocardiac "
    "paratracheal"
)


@TRANSFORMS.register_module()
class SampleSentence(BaseTransform):
    """Keeps one sentence of a report, drawn uniformly at each visit (ConVIRT).

    Required and modified key: ``report``, a list of sentences; a report of one string stays as it is.
    """

    def transform(self, results: dict) -> dict:
        """Draw one sentence of the report."""
        report = results["report"]
        if not isinstance(report, str) and len(report) > 1:
            results["report"] = [random.choice(report)]
        return results

    def outcomes(self, results: dict) -> Iterator[dict]:
        """What :meth:`transform` may draw: the same with each of the sentences."""
        report = results["report"]
        for sentence in [report] if isinstance(report, str) else report:
            yield {**results, "report": [sentence]}


@TRANSFORMS.register_module()
class TokenizeReport(BaseTransform):
    """Joins the sentences of a report and cuts them into word pieces, ``[CLS] … [SEP]`` with padding.

    Required keys: ``report`` (list of sentences or a string); where ``tokenizer`` is None, ``report_root`` or
    ``data_root``.
    Added keys, each of length T = ``max_length``: ``input_ids`` int64, ``attention_mask`` int64 (1 = real piece),
    ``is_continuation`` bool (True = continues the word of the piece before).

    Args:
        tokenizer: Folder or hub name of a fast transformers tokenizer. None: the folder ``tokenizer`` of the prepared
            data set.
        max_length: T, with the special tokens; longer reports are cut.
    """

    def __init__(self, tokenizer: str | None = None, max_length: int = 112):
        if max_length < 3:
            raise ValueError(f"max_length must leave room for a word between [CLS] and [SEP], got {max_length}")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self._loaded = None
        self._padding: np.ndarray | None = None
        self._remembered: PieceTable | None = None

    def transform(self, results: dict) -> dict:
        """Tokenize one report.

        Raises:
            UserError: If the tokenizer cannot be loaded or is not a fast one.
        """
        text = self._text(results)
        pieces = None if self._remembered is None else self._remembered.get(text)
        if pieces is None:
            pieces = np.array(_mark(self._encode([text], results)[0]), dtype=np.int32)
        real = len(pieces)
        input_ids = self._padding.copy()
        input_ids[:real] = pieces ^ (pieces >> 31)  # ~pieces where negative
        attention_mask = np.zeros(self.max_length, dtype=np.int64)
        attention_mask[:real] = 1
        is_continuation = np.zeros(self.max_length, dtype=bool)
        is_continuation[:real] = pieces < 0
        results.update(input_ids=input_ids, attention_mask=attention_mask, is_continuation=is_continuation)
        return results

    def remember(self, rows: Iterable[dict]) -> int:
        """Tokenize reports in advance; what :meth:`transform` returns, for these and for others, stays the same.

        Args:
            rows: As for :meth:`transform`, all of one ``data_root``. A later call replaces those of an earlier one.

        Returns:
            How many different ones there are.

        Raises:
            UserError: As :meth:`transform`.
        """
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return 0
        texts = dict.fromkeys(self._text(row) for row in itertools.chain([first], rows))
        self._remembered = PieceTable(
            (text, _mark(encoding))
            for chunk in _chunks(texts)
            for text, encoding in zip(chunk, self._encode(chunk, first), strict=True)
        )
        return len(self._remembered)

    def batch(self, reports: Sequence[str], data_root: str | None = None) -> dict[str, Tensor]:
        """Tokenize several reports and cut the padding that all of them share.

        Returns:
            The added keys, each (N, T').  T' is the longest of them, at most T: padding that all share costs time and
            changes nothing.
        """
        rows = [self.transform(dict(report=report, data_root=data_root)) for report in reports]
        keys = ("input_ids", "attention_mask", "is_continuation")
        inputs = {key: torch.from_numpy(np.stack([row[key] for row in rows])) for key in keys}
        longest = int(inputs["attention_mask"].sum(dim=1).max())
        return {key: value[:, :longest] for key, value in inputs.items()}

    def words(self, results: dict) -> list[str]:
        """The words of a report in the order of the text encoder's word slots; the end of the report has a slot, too.

        Args:
            results: As for :meth:`transform`.

        Returns:
            As many as there are real words, at most T - 1, the last one ``'[SEP]'``.
        """
        text = self._text(results)
        encoding = self._encode([text], results)[0]
        order = dict.fromkeys(word for word in encoding.word_ids if word is not None)
        return [text[slice(*encoding.word_to_chars(word))].strip() for word in order] + ["[SEP]"]

    def decode(self, input_ids: Tensor) -> list[str]:
        """The texts of (N, T) pieces that this has tokenized, without those that mark beginning, end and padding."""
        tokenizer = self._loaded
        marks = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id}
        return [tokenizer.decode([piece for piece in pieces if piece not in marks]) for pieces in input_ids.tolist()]

    def _text(self, results: dict) -> str:
        report = results["report"]
        text = report if isinstance(report, str) else " ".join(report)
        # Lone surrogates, which json can hold, are no text to the tokenizer.
        return text[: _CHARACTERS_PER_PIECE * self.max_length].encode("utf-8", "replace").decode()

    def _encode(self, texts: list[str], results: dict) -> list["Encoding"]:
        if self._loaded is None:
            root = results.get("report_root", results.get("data_root"))
            self._loaded = load_tokenizer(self.tokenizer or str(Path(root) / "tokenizer"))
            self._padding = np.full(self.max_length, self._loaded.pad_token_id, dtype=np.int64)
        # Other lists than of ids would only take time.
        options = dict(return_attention_mask=False, return_token_type_ids=False)
        return self._loaded(texts, max_length=self.max_length, truncation=True, **options).encodings


@TRANSFORMS.register_module()
class TokenizeLocation(TokenizeReport):
    """Draws one of the sentences that name a location, uniformly at each visit, and cuts it into word pieces.

    Required keys: as of :class:`TokenizeReport`; a ``report`` that is a string is one sentence. Added keys, each of
    length ``max_length``: ``location_ids`` int64, and ``location_mask`` int64 (1 = real piece), all 0 where no sentence
    names a location. What is drawn is cut into pieces at each visit.

    Args:
        tokenizer: As of :class:`TokenizeReport`.
        max_length: Pieces, with the special tokens; longer sentences are cut.
        locations: Words of which one makes a sentence that names a location.
    """

    def __init__(
        self, tokenizer: str | None = None, max_length: int = 32, locations: Sequence[str] = tuple(_LOCATIONS.split())
    ):
        super().__init__(tokenizer, max_length)
        self.locations = frozenset(locations)

    def transform(self, results: dict) -> dict:
        """Draw and tokenize a sentence."""
        report = results["report"]
        sentences = [report] if isinstance(report, str) else report
        words = (re.findall(r"\w+", sentence.lower()) for sentence in sentences)
        located = [sentence for sentence, of in zip(sentences, words, strict=True) if not self.locations.isdisjoint(of)]
        pieces = super().transform({**results, "report": random.choice(located) if located else ""})
        mask = pieces["attention_mask"] * bool(located)
        return {**results, "location_ids": pieces["input_ids"], "location_mask": mask}


def _mark(encoding: "Encoding") -> list[int]:
    """Ids of the pieces; of one that continues the word of the piece before, ~id, which is negative."""
    words = encoding.word_ids
    continues = (word is not None and word == previous for previous, word in itertools.pairwise([None, *words]))
    return [~piece if inner else piece for piece, inner in zip(encoding.ids, continues, strict=True)]


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    chunk, size = [], 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= _CHARACTERS_AT_A_TIME:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
