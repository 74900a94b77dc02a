"""Percentile bootstrap over images."""

from collections.abc import Callable

import numpy as np

_BLOCK = 2**22  # counts held at once: 32 MB


def bootstrap_interval(
    statistic: Callable[[np.ndarray], np.ndarray], num_images: int, num_resamples: int, seed: int = 0
) -> tuple[float, float]:
    """95 % interval of a statistic over images drawn with replacement (Efron's percentile method).

    The arguments are those of :func:`resample`, the ends those of :func:`interval_of`.
    """
    return interval_of(resample(statistic, num_images, num_resamples, seed))


def resample(
    statistic: Callable[[np.ndarray], np.ndarray], num_images: int, num_resamples: int, seed: int = 0
) -> np.ndarray:
    """A statistic of images drawn with replacement, many times.

    A resample is given as the number of times that each image was drawn, so that a statistic treats many at once:
    weights instead of copies.

    Args:
        statistic: From (R, N) counts, each row with the sum N, to (R,) values; NaN where a resample has none.
        num_images: N.
        num_resamples: Resamples in all; ``statistic`` gets them in blocks.
        seed: Of the draws; the same seed and N give the same draws.

    Returns:
        (R,) values.
    """
    rng = np.random.default_rng(seed)
    values: list[float] = []
    while len(values) < num_resamples:
        block = min(num_resamples - len(values), max(1, _BLOCK // num_images))
        draws = (rng.integers(num_images, size=num_images) for _ in range(block))
        values.extend(statistic(np.stack([np.bincount(drawn, minlength=num_images) for drawn in draws])))
    return np.asarray(values)


def interval_of(values: np.ndarray) -> tuple[float, float]:
    """The 2.5 and 97.5 percentiles of the finite values; NaN where there are none."""
    numbers = values[np.isfinite(values)]
    if not len(numbers):
        return float("nan"), float("nan")
    low, high = np.percentile(numbers, (2.5, 97.5))
    return float(low), float(high)
