"""How alike written reports and true ones are."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric

from mgca_mm.registry import METRICS
from mgca_mm.reports.tokenizer import load_tokenizer


@METRICS.register_module()
class ReportGeneration(BaseMetric):
    """BLEU-1 to BLEU-4 over the corpus and ROUGE-L, in percent, of the words of the decoded pieces.

    The true report is what the model was given of it, cut to its length. ROUGE-L is the mean of
    2 · precision · recall / (precision + recall) with the longest common subsequence as what is common.

    Args:
        tokenizer: Folder or hub name. None: the folder ``tokenizer`` of ``data_root``.
        data_root: The prepared folder.
        **kwargs: As in :class:`mmengine.evaluator.BaseMetric`.
    """

    default_prefix = ""  # none; MMEngine warns where nothing is said

    def __init__(self, tokenizer: str | None = None, data_root: str | None = None, **kwargs):
        super().__init__(**kwargs)
        if (tokenizer is None) == (data_root is None):
            raise ValueError("give either tokenizer (a folder or hub name) or data_root (a prepared folder)")
        self.tokenizer = tokenizer if data_root is None else f"{data_root}/tokenizer"
        self._loaded = None

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Decode the reports of a batch."""
        if self._loaded is None:
            self._loaded = load_tokenizer(self.tokenizer)
        for sample in data_samples:
            pieces = (sample["generated_ids"], sample["report_ids"])
            self.results.append(tuple(self._loaded.decode(ids.tolist(), skip_special_tokens=True) for ids in pieces))

    def compute_metrics(self, results: list[tuple[str, str]]) -> dict[str, float]:
        """Compare (written, true) pairs."""
        # Here, because importing torchmetrics takes seconds.
        from torchmetrics.functional.text import bleu_score

        written, true = [pair[0] for pair in results], [[pair[1]] for pair in results]
        metrics = {f"BLEU-{n}": bleu_score(written, true, n_gram=n).item() * 100 for n in range(1, 5)}
        metrics["ROUGE-L"] = 100 * sum(rouge_l(*pair) for pair in results) / len(results)
        return metrics


def rouge_l(written: str, true: str) -> float:
    """ROUGE-L of two texts, of their words between spaces: 0 to 1 (Lin, 2004).

    torchmetrics has it, too, but asks for nltk and its downloads.
    """
    a, b = written.split(), true.split()
    common = _longest_common_subsequence(a, b)
    return 2 * common / (len(a) + len(b)) if common else 0.0


def _longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Its length, by the bits of one number for a row of the table (Hyyrö, 2004)."""
    positions: dict[str, int] = {}
    for index, word in enumerate(a):
        positions[word] = positions.get(word, 0) | 1 << index
    row = every = (1 << len(a)) - 1
    for word in b:
        matches = row & positions.get(word, 0)
        row = (row + matches | row - matches) & every
    return len(a) - row.bit_count()
