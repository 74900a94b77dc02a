"""What a key draws is what it has always drawn, also where the generators of absent devices are left alone."""

import random

import numpy as np
import pytest
import torch

from mgca_mm.datasets.seeding import seed_all, seed_cpu

KEYS = [(5,), (0, 0, 0), (3, 1, 7), (2**32 - 1, 49, 213_000)]


def draw():
    return random.random(), *np.random.rand(3).tolist(), *torch.rand(3).tolist(), *torch.randperm(5).tolist()


@pytest.mark.parametrize("seed", [seed_all, seed_cpu])
def test_draws(seed):
    found = set()
    for key in KEYS:
        number = int(np.random.SeedSequence(key).generate_state(1)[0])
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        expected = draw()
        seed(*key)
        assert draw() == expected
        found.add(expected)
    assert len(found) == len(KEYS)


def test_devices(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    number = seed_cpu(3, 1, 7)
    assert seeds == []
    seed_all(3, 1, 7)
    assert seeds == [number]
