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
    """Seed Python, NumPy, torch and CUDA by a sequence of numbers, each from 0 to 2**32 - 1."""
    torch.manual_seed(seed_cpu(*key))  # CUDA's, too; it waits for nothing


def seed_cpu(*key: int) -> int:
    """Seed Python, NumPy and torch's generator of the CPU, as :func:`seed_all` does.

    ``torch.manual_seed`` keeps a stack trace for each kind of device that is not up, which takes longer than reading
    a sample.

    Args:
        *key: Numbers, each from 0 to 2**32 - 1.

    Returns:
        The seed that the key gives.
    """
    seed = int(np.random.SeedSequence(np.array(key, dtype=np.uint32)).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    return seed


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
            seed_cpu(*index.key)  # transforms draw on the CPU only
        samples.append(dataset[index])
    return samples
