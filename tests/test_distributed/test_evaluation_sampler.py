"""How samples are dealt to the ranks that evaluate them, and put together again."""

import itertools

import mmengine.dataset.sampler
import pytest
import torch

from mgca_mm import distributed
from mgca_mm.datasets.samplers import EvaluationSampler
from mgca_mm.errors import UserError


@pytest.mark.parametrize("ranks", range(1, 6))
def test_batches_of_all_ranks_are_those_of_one_process(ranks, monkeypatch):
    for size, batch in itertools.product(range(1, 30), range(1, 5)):
        dealt = []
        for rank in range(ranks):
            monkeypatch.setattr(mmengine.dataset.sampler, "get_dist_info", lambda rank=rank: (rank, ranks))
            sampler = EvaluationSampler(range(size), seed=0)
            own = list(sampler)
            assert len(own) == len(sampler)
            dealt.append([own[start : start + batch] for start in range(0, len(own), batch)])
        together = [[index for row in zip(*parts, strict=True) for index in row] for parts in zip(*dealt, strict=True)]
        whole = [list(range(size))[start : start + ranks * batch] for start in range(0, size, ranks * batch)]
        assert [sorted(set(found)) for found in together] == whole
        for found, expected in zip(together, whole, strict=True):
            assert found == expected + [size - 1] * (len(found) - len(expected))


def test_ranks_with_different_batches_are_an_error(monkeypatch):
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "all_gather_object", lambda own: [own, (own[0][:1], own[1])])
    with pytest.raises(UserError, match="batches of 2, 1 samples at once"):
        distributed.gather_samples([torch.zeros(2, 3)], ["a", "b"])
