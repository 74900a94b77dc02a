"""Tokenization of all reports before a training, instead of in each of its epochs."""

import itertools
import time

from mmengine.logging import print_log
from torch.utils.data import Dataset

from mgca_mm.datasets.broken_samples import strict_parts
from mgca_mm.datasets.transforms import SampleSentence, TokenizeLocation, TokenizeReport

_LEAVE_REPORTS = ("mgca_mm", "mmcv", "mmpretrain")  # packages whose transforms change no report but by drawing of it


def tokenize_once(dataset: Dataset) -> None:
    """Let ``TokenizeReport`` look up the reports of a data set, tokenized here by all cores.

    To be called before the workers of the loader start: forked, they share what is in memory. What the samples hold
    stays the same. Each run does it anew, so that nothing on the disk can be out of date.

    Args:
        dataset: Data set of a loader; ours within MMEngine's wrappers are found, others tokenize at each visit. So do
            ours with a transform before ``TokenizeReport`` that may change the report, and the log says so.

    Raises:
        UserError: If a tokenizer cannot be loaded or is not a fast one.
    """
    for part in strict_parts(dataset):
        source = part if (pool := getattr(part, "pool", None)) is None else pool
        rows = map(source.get_data_info, range(len(source)))
        for transform in part.pipeline.transforms:
            if type(transform).__module__.partition(".")[0] not in _LEAVE_REPORTS:
                print_log(
                    f"Reports are tokenized at each visit, for {type(transform).__name__} may change them", "current"
                )
                break
            if isinstance(transform, SampleSentence):
                rows = itertools.chain.from_iterable(map(transform.outcomes, rows))
            elif isinstance(transform, TokenizeReport) and not isinstance(transform, TokenizeLocation):
                start = time.perf_counter()
                count = transform.remember(rows)
                print_log(f"{count:,} texts are tokenized once, in {time.perf_counter() - start:.0f} s", "current")
                break
