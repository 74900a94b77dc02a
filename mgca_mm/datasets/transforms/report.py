"""Tokenisation of reports."""

import itertools
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from mgca_mm.datasets.preparation.tokenizer import load_tokenizer
from mgca_mm.registry import TRANSFORMS

if TYPE_CHECKING:
    from transformers import BatchEncoding

# More than any piece has: what follows is cut off in any case, and tokenising 10 MB takes seconds.
_CHARACTERS_PER_PIECE = 1000


@TRANSFORMS.register_module()
class SampleSentence(BaseTransform):
    """Keeps one sentence of a report, drawn uniformly at each visit (ConVIRT).

    Required and modified key: ``report``, a list of sentences; a report of one string stays as it is.
    """

    def transform(self, results: dict) -> dict:
        """Draw a sentence."""
        report = results["report"]
        if not isinstance(report, str) and len(report) > 1:
            results["report"] = [random.choice(report)]
        return results


@TRANSFORMS.register_module()
class TokenizeReport(BaseTransform):
    """Joins the sentences of a report and cuts them into word pieces, ``[CLS] … [SEP]`` with padding.

    Required keys: ``report`` (list of sentences or a string); ``data_root`` where ``tokenizer`` is None.
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

    def transform(self, results: dict) -> dict:
        """Tokenise one report.

        Raises:
            UserError: If the tokenizer cannot be loaded or is not a fast one.
        """
        encoding = self._encode(results)[1]
        results["input_ids"] = np.asarray(encoding["input_ids"], dtype=np.int64)
        results["attention_mask"] = np.asarray(encoding["attention_mask"], dtype=np.int64)
        word_ids = encoding.word_ids()
        results["is_continuation"] = np.asarray(
            [False] + [word is not None and word == previous for previous, word in itertools.pairwise(word_ids)]
        )
        return results

    def batch(self, reports: Sequence[str], data_root: str | None = None) -> dict[str, Tensor]:
        """Tokenise several reports.

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
        text, encoding = self._encode(results)
        order = dict.fromkeys(word for word in encoding.word_ids() if word is not None)
        return [text[slice(*encoding.word_to_chars(word))] for word in order] + ["[SEP]"]

    def decode(self, input_ids: Tensor) -> list[str]:
        """The texts of (N, T) pieces that this has tokenised, without those that mark beginning, end and padding."""
        tokenizer = self._loaded
        marks = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id}
        return [tokenizer.decode([piece for piece in pieces if piece not in marks]) for pieces in input_ids.tolist()]

    def _encode(self, results: dict) -> tuple[str, "BatchEncoding"]:
        if self._loaded is None:
            self._loaded = load_tokenizer(self.tokenizer or str(Path(results["data_root"]) / "tokenizer"))
        report = results["report"]
        text = report if isinstance(report, str) else " ".join(report)
        # Lone surrogates, which json can hold, are no text to the tokenizer.
        text = text[: _CHARACTERS_PER_PIECE * self.max_length].encode("utf-8", "replace").decode()
        return text, self._loaded(text, max_length=self.max_length, truncation=True, padding="max_length")
