"""Validation loss of pretraining."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mgca_mm.registry import METRICS


@METRICS.register_module()
class AlignmentLoss(BaseMetric):
    """Mean over the pairs of the batch losses that ``mode='predict'`` leaves in each sample.

    The batch is that of all ranks together (:func:`mgca_mm.distributed.gather_samples`): a contrastive loss grows with
    it, so that the value belongs to ranks × batch of the loader, in whichever way the two share it.

    Results: every ``loss_*`` of the alignments, and ``loss``, their sum, by which the best checkpoint is chosen.
    """

    default_prefix = ""  # none; MMEngine warns where nothing is said

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keep the losses of a batch, once for each of its pairs."""
        for sample in data_samples:
            self.results.append({name: float(value) for name, value in sample["losses"].items()})

    def compute_metrics(self, results: list[dict[str, float]]) -> dict[str, float]:
        """Average the losses over the pairs."""
        means = {name: sum(result[name] for result in results) / len(results) for name in results[0]}
        return {"loss": sum(means.values()), **means}
