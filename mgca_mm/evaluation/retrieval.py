"""Retrieval between radiographs and reports."""

from collections.abc import Iterable, Sequence

import torch
from mmengine.evaluator import BaseMetric
from torch import Tensor

from mgca_mm.errors import require_positive
from mgca_mm.registry import METRICS


@METRICS.register_module()
class ImageReportRetrieval(BaseMetric):
    """Recall@k in percent, image → report (``i2t_R@k``) and report → image (``t2i_R@k``).

    Images of one study share its report, and studies whose reports have the same pieces share theirs: the gallery holds
    each report once, and any image with this report is a right answer to it. No encoder could tell such reports apart.

    Args:
        topk: The k.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ""  # none; MMEngine warns where nothing is said

    def __init__(self, topk: Sequence[int] = (1, 5, 10), **kwargs):
        super().__init__(**kwargs)
        require_positive(topk=min(topk))
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings of a batch."""
        embeddings = _to_host(data_samples, ("image_embedding", "report_embedding"))
        keys = [(sample["study_id"], sample.get("report_id")) for sample in data_samples]
        self.results += [(key, *pair) for key, pair in zip(keys, embeddings, strict=True)]

    def compute_metrics(self, results: list[tuple[tuple[str, str | None], Tensor, Tensor]]) -> dict[str, float]:
        """Rank all reports for each image and all images for each report."""
        report_of_image = number_reports(key for key, _, _ in results)
        images = torch.stack([image for _, image, _ in results])  # (N, D)
        first_of_report = {number: row for row, number in reversed(list(enumerate(report_of_image)))}
        reports = torch.stack([results[first_of_report[number]][2] for number in range(len(first_of_report))])  # (M, D)
        match = torch.tensor(report_of_image)[:, None] == torch.arange(len(reports))  # (N, M)
        similarity = images @ reports.T
        metrics = {}
        for name, scores, right in (("i2t", similarity, match), ("t2i", similarity.T, match.T)):
            ranks = rank_of_best_match(scores, right)
            for k in self.topk:
                metrics[f"{name}_R@{k}"] = (ranks < k).float().mean().item() * 100
        return metrics


@METRICS.register_module()
class ClassRetrieval(BaseMetric):
    """Precision@k in percent: the share of the k nearest of the query's class (ConVIRT's 8 x 200, GLoRIA's 5 x 200).

    ``i2i_P@k``: image → images, itself left out; ``i2t_P@k`` and ``t2i_P@k``: image → reports and report → images,
    where reports are embedded; ``q2i_P@k``: the sentences of a class → images, where the model scores classes
    (:class:`mgca_mm.models.ZeroShotClassifier`). Each sample needs ``gt_label``, one index, and ``image_embedding``.
    Where fewer than k can be found, all that can be are counted; a class with fewer than k images cannot reach 100.
    Classes without images are no queries.

    Args:
        topk: The k.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = "class"

    def __init__(self, topk: Sequence[int] = (5, 10, 50), **kwargs):
        super().__init__(**kwargs)
        require_positive(topk=min(topk))
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the embeddings and classes of a batch."""
        keys = [k for k in ("image_embedding", "report_embedding", "pred_score") if k in data_samples[0]]
        for sample, tensors in zip(data_samples, _to_host(data_samples, keys), strict=True):
            self.results.append((int(sample["gt_label"]), dict(zip(keys, tensors, strict=True))))

    def compute_metrics(self, results: list[tuple[int, dict[str, Tensor]]]) -> dict[str, float]:
        """Rank the images and reports for each query."""
        labels = torch.tensor([label for label, _ in results])
        columns = {key: torch.stack([tensors[key] for _, tensors in results]) for key in results[0][1]}
        images = columns["image_embedding"]
        same = labels[:, None] == labels
        itself = torch.eye(len(labels), dtype=torch.bool)
        found = {"i2i": precision_at(images @ images.T, same, self.topk, itself)}
        if "report_embedding" in columns:
            reports = columns["report_embedding"]
            found["i2t"] = precision_at(images @ reports.T, same, self.topk)
            found["t2i"] = precision_at(reports @ images.T, same, self.topk)
        if "pred_score" in columns:
            queries = columns["pred_score"].T  # (C, N)
            match = torch.arange(len(queries))[:, None] == labels
            has_images = match.any(dim=1)  # a class without any can only be searched in vain
            found["q2i"] = precision_at(queries[has_images], match[has_images], self.topk)
        return {f"{name}_P@{k}": value for name, values in found.items() for k, value in values.items()}


def number_reports(keys: Iterable[tuple[str, str | None]]) -> list[int]:
    """Number of the report of each image, from 0 in the order of their first images.

    Args:
        keys: Study of each image, and what stands for the pieces of its report; None where they are not known, and the
            report is that of the study alone. Of several texts of a study, drawn from its report, the first counts.
    """
    report_of_study: dict[str, tuple[str, str]] = {}
    numbers: dict[tuple[str, str], int] = {}
    found = []
    for study, text in keys:
        report = report_of_study.setdefault(study, ("study", study) if text is None else ("text", text))
        found.append(numbers.setdefault(report, len(numbers)))
    return found


def _to_host(data_samples: Sequence[dict], keys: Sequence[str]) -> list[list[Tensor]]:
    """Vectors of each sample in fp32, by one copy of the batch: each copy waits for all that the GPU has to do."""
    sizes = [len(data_samples[0][key]) for key in keys]
    batch = torch.stack([torch.cat([sample[key] for key in keys]) for sample in data_samples]).float().cpu()
    # Tensors of their own: ranks exchange the results, and a view takes the whole batch with it.
    return [[vector.clone() for vector in row.split(sizes)] for row in batch]


def precision_at(scores: Tensor, match: Tensor, topk: Sequence[int], hidden: Tensor | None = None) -> dict[int, float]:
    """Precision at several k in percent, the mean over the queries.

    Args:
        scores: (Q, G) similarity of queries to the gallery.
        match: (Q, G) True = right answer.
        topk: The k.
        hidden: (Q, G) True = not to be found.
    """
    if hidden is not None:
        scores = scores.masked_fill(hidden, -torch.inf)
        match = match & ~hidden
    most = scores.shape[1] - (0 if hidden is None else int(hidden.sum(dim=1).max()))
    order = scores.argsort(dim=1, descending=True)
    right = match.gather(1, order).float()
    return {k: right[:, : min(k, most)].mean().item() * 100 for k in topk}


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
