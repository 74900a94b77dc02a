"""Retrieval between radiographs and reports."""

from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mgca_mm.registry import METRICS


@METRICS.register_module()
class ImageReportRetrieval(BaseMetric):
    """Recall@k in percent, image → report (``i2t_R@k``) and report → image (``t2i_R@k``).

    Images of one study share its report: the gallery of reports holds each study once, and any image of the study is
    a right answer to its report.

    Args:
        topk: The k.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    def __init__(self, topk: Sequence[int] = (1, 5, 10), **kwargs):
        super().__init__(**kwargs)
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings of a batch."""
        for sample in data_samples:
            self.results.append(
                (sample["study_id"], sample["image_embedding"].float().cpu(), sample["report_embedding"].float().cpu())
            )

    def compute_metrics(self, results: list[tuple[str, Tensor, Tensor]]) -> dict[str, float]:
        """Rank and count."""
        studies: dict[str, int] = {}
        study_of_image = torch.tensor([studies.setdefault(study, len(studies)) for study, _, _ in results])
        images = torch.stack([image for _, image, _ in results])  # (N, D)
        first_of_study = {study: report for study, _, report in reversed(results)}
        reports = torch.stack([first_of_study[study] for study in studies])  # (M, D)
        match = study_of_image[:, None] == torch.arange(len(studies))  # (N, M)
        similarity = images @ reports.T
        metrics = {}
        for name, scores, right in (("i2t", similarity, match), ("t2i", similarity.T, match.T)):
            ranks = rank_of_best_match(scores, right)
            for k in self.topk:
                metrics[f"{name}_R@{k}"] = (ranks < k).float().mean().item() * 100
        return metrics


def rank_of_best_match(scores: Tensor, match: Tensor) -> Tensor:
    """Rank of each query's best right answer; ties count against the model.

    Args:
        scores: (Q, G) similarity of queries to the gallery.
        match: (Q, G) True = right answer; at least one a row.

    Returns:
        (Q,) number of wrong answers that score at least as high, 0 = found first.
    """
    best = scores.masked_fill(~match, -torch.inf).amax(dim=1, keepdim=True)
    # "not lower" instead of "at least": a score that is not a number must not look like a find.
    return (~(scores < best) & ~match).sum(dim=1)
