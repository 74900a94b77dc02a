"""Seeds of the generators that augmentation draws from."""

import random

import numpy as np
import torch

from .samplers import SampleIndex


def seed_all(*key: int) -> None:
    """Seed Python, NumPy, torch and CUDA by a sequence of numbers, none of them negative."""
    seed = int(np.random.SeedSequence(key).generate_state(1)[0])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)  # CUDA's, too; it waits for nothing


def seed_sample(results: dict) -> dict:
    """First step of a pipeline: the rest of it draws what (seed, epoch, sample) say, in whichever worker it runs.

    Args:
        results: A sample with the ``sample_idx`` that it was asked for by; without one of a
            :class:`ReproducibleSampler` nothing is seeded.

    Returns:
        The sample.
    """
    index = results.get("sample_idx")
    if isinstance(index, SampleIndex):
        seed_all(*index.key)
    return results
