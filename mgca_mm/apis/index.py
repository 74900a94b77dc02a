"""Search among embeddings: exact, in memory, kept in a folder."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from mgca_mm.bounds import read_json, size_of
from mgca_mm.errors import UserError
from mgca_mm.files import write_atomically

Kind = Literal["images", "reports"]
_KINDS = get_args(Kind)
_ROUNDING = 1e-3  # by which the length of a unit embedding may differ from 1
_EMBEDDINGS, NAMES, _MODEL = "embeddings.safetensors", "names.json", "model"


class Match(NamedTuple):
    """What a search found: one entry of the index.

    Attributes:
        name: The image's file or the report's text, as the index was given it.
        score: Cosine of the two embeddings, -1 to 1.
        position: Row in the index.
    """

    name: str
    score: float
    position: int


class EmbeddingIndex:
    """Unit embeddings of images and of reports, each with a name, and the nearest of them to a query.

    The search is exact: by faiss where it is installed, else by one matrix product.

    Args:
        model: Fingerprint of the weights that the embeddings are of.
        **entries: ``images`` and ``reports``, either or both: names, and embeddings (N, D).

    Raises:
        ValueError: Names and embeddings are not equally many, or embeddings differ in D.
    """

    def __init__(self, model: str, **entries: tuple[Sequence[str], Tensor]):
        self.model = model
        self._names = {kind: list(names) for kind, (names, _) in entries.items()}
        self._embeddings = {kind: embeddings.float().cpu().contiguous() for kind, (_, embeddings) in entries.items()}
        for kind, embeddings in self._embeddings.items():
            if len(self._names[kind]) != len(embeddings):
                raise ValueError(f"{len(self._names[kind])} names of {kind}, but {len(embeddings)} embeddings")
        if len({embeddings.shape[1] for embeddings in self._embeddings.values()}) > 1:
            raise ValueError("embeddings of images and reports differ in their dimension")

    def names(self, kind: Kind) -> list[str]:
        """Names of the images or reports; empty where there are none."""
        return self._names.get(kind, [])

    def embeddings(self, kind: Kind) -> Tensor:
        """(N, D) of the images or reports, in the order of their names.

        Raises:
            KeyError: The index has none of this kind.
        """
        return self._embeddings[kind]

    def search(self, queries: Tensor, kind: Kind, topk: int = 5) -> list[list[Match]]:
        """The nearest images or reports to each query, the nearest first.

        Args:
            queries: (Q, D) unit embeddings.
            kind: What to search among.
            topk: How many; all, where there are fewer.

        Raises:
            UserError: The index has none of this kind, ``topk`` is below 1, or queries are of another dimension than
                the index.
        """
        if topk < 1:
            raise UserError(f"topk must be at least 1, got {topk}")
        if not self.names(kind):
            raise UserError(f"The index holds no {kind}; it was made from {' and '.join(self._names) or 'nothing'}.")
        gallery = self._embeddings[kind]
        if queries.shape[1] != gallery.shape[1]:
            raise UserError(
                f"The queries have {queries.shape[1]} numbers, the embeddings of the index {gallery.shape[1]}: it is "
                "of another model."
            )
        scores, positions = _nearest(queries.float().cpu(), gallery, min(topk, len(gallery)))
        names = self._names[kind]
        return [
            [Match(names[p], score, p) for score, p in zip(*row, strict=True)]
            for row in zip(scores.tolist(), positions.tolist(), strict=True)
        ]

    def save(self, folder: str | Path) -> Path:
        """Write the index to a folder; it holds reports and names of files, so only its owner may read it."""
        folder = Path(folder)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(folder / _EMBEDDINGS, save(self._embeddings, {_MODEL: self.model}))
        write_atomically(folder / NAMES, json.dumps(self._names).encode())
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "EmbeddingIndex":
        """Read an index.

        Raises:
            UserError: The folder holds none, or a broken one.
        """
        folder = Path(folder)
        if not (folder / NAMES).is_file():
            raise UserError(f"{folder} holds no index; make one with RadiographInferencer.build_index(…).save(DIR)")
        names = read_json(folder / NAMES)
        size_of(folder / _EMBEDDINGS)
        try:
            with safe_open(folder / _EMBEDDINGS, "pt") as file:
                model = (file.metadata() or {}).get(_MODEL)
                embeddings = {kind: file.get_tensor(kind) for kind in file.keys() if kind in _KINDS}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise UserError(f"{folder}: the index is broken ({error}); make it again") from error
        if model is None or not _belong_together(names, embeddings):
            raise UserError(
                f"{folder}: the index is broken: {NAMES} and unit embeddings of as many images, reports or both are "
                "expected; make it again"
            )
        return cls(model, **{kind: (names[kind], embeddings[kind]) for kind in names})


def _belong_together(names: object, embeddings: dict[str, Tensor]) -> bool:
    """Whether names and embeddings are those of an index."""
    if not isinstance(names, dict) or not names or set(names) != set(embeddings):
        return False
    for kind, found in embeddings.items():
        texts = names[kind]
        if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
            return False
        if found.dtype != torch.float32 or found.ndim != 2 or len(found) != len(texts):
            return False
        # Not a number is not near 1, either.
        if not bool((torch.linalg.vector_norm(found, dim=1) - 1).abs().le(_ROUNDING).all()):
            return False
    return len({found.shape[1] for found in embeddings.values()}) == 1


def _nearest(queries: Tensor, gallery: Tensor, topk: int) -> tuple[Tensor, Tensor]:
    """Scores and rows, (Q, D), (N, D) → (Q, k), (Q, k)."""
    try:
        import faiss
    except ImportError:
        return (queries @ gallery.T).topk(topk)
    searcher = faiss.IndexFlatIP(gallery.shape[1])
    searcher.add(gallery.numpy())
    scores, positions = searcher.search(queries.contiguous().numpy(), topk)
    return torch.from_numpy(scores), torch.from_numpy(positions)
