"""What a pretrained model has learned, on one page: maps of phrases, nearest images, and scores of findings."""

from collections.abc import Mapping, Sequence

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import Tensor

from mgca_mm.errors import UserError
from mgca_mm.visualization.attention import blend
from mgca_mm.visualization.html_report import embed_image

from .inferencer import RadiographInferencer
from .prepared import Pair

_EXAMPLES, _QUERIES, _NEAREST = 6, 4, 4


class Example:
    pass


def describe_examples(inferencer: RadiographInferencer, pairs: Sequence[Pair]) -> list[dict]:
    """Maps of phrases for the first pair of each finding."""


def describe_nearest(pairs: Sequence[Pair], embeddings: Tensor, queries: Sequence[int]) -> list[list[dict]]:
    """The nearest images to some, those of the same patient left out.

    Args:
        pairs: N pairs.
        embeddings: (N, D) unit embeddings of their images.
        queries: Positions.

    Returns:
        For each query its own image and then what was found: ``image``, ``findings`` and ``score``.
    """
    strips = []
    for query in queries:
        scores = embeddings @ embeddings[query]
        own = [number for number, pair in enumerate(pairs) if pair.patient == pairs[query].patient]
        scores[own] = -np.inf
        nearest = scores.argsort(descending=True)[: min(_NEAREST, len(pairs) - len(own))].tolist()
        strips.append(
            [
                {"image": embed_image(pairs[n].image.read()), "findings": _findings(pairs[n]), "score": f"{scores[n]:.2f}"}
                for n in (query, *nearest)
            ]
        )
    return strips


def score_findings(inferencer: RadiographInferencer, pairs: Sequence[Pair]) -> dict[str, tuple[int, float]]:
    """Zero-shot AUROC.

    Returns:
        Finding → positive images and AUROC in percent, of those with both positive and negative images.
    """
    labels = {name: np.array([pair.labels.get(name, 0) for pair in pairs]) for name in pairs[0].labels}
    names = [name for name, values in labels.items() if {0, 1} <= set(values.tolist()) and name != "No Finding"]
    if not names:
        return {}
    scores = inferencer.zero_shot([pair.image for pair in pairs], names).numpy()
    found = {}
    for name, column in zip(names, scores.T, strict=True):
        known = labels[name] != -1
        found[name] = int((labels[name] == 1).sum()), 100 * roc_auc_score(labels[name][known], column[known])
    return found
