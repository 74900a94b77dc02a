"""Seeds of the generators that augmentation draws from."""

import functools
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from .samplers import SampleIndex


def seed_all(*key: int) -> None:
    """Seed Python, NumPy, torch and CUDA by a sequence of numbers, none of them negative."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # CUDA's, too; it waits for nothing


def seed_samples(dataset: Dataset) -> None:
    """Let each sample that a loader reads draw what (seed, epoch, sample) say, in whichever worker it is read.

    A loader asks a data set for a batch by ``__getitems__`` where it has this method. It is given to the outermost one,
    since MMEngine's wrappers (``ConcatDataset``, ``RepeatDataset``) hand a plain number on.

    Args:
        dataset: Data set of a loader; without a :class:`ReproducibleSampler` nothing is seeded.
    """
    dataset.__getitems__ = functools.partial(_get_seeded, dataset)


def _get_seeded(dataset: Dataset, indices: Sequence[int]) -> list[Any]:
    samples = []
    for index in indices:
        if isinstance(index, SampleIndex):
            seed_all(*index.key)
        samples.append(dataset[index])
    return samples
