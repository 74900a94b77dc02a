"""The order of the samples of a training: the same over any ranks and an interruption, another in each epoch."""

import json

import mmengine.dataset.sampler
import pytest
from mmengine.dataset import ConcatDataset, DefaultSampler

from mgca_mm.datasets.image_report import ImageReportDataset
from mgca_mm.datasets.samplers import ReproducibleSampler, StudySampler

SAMPLERS = pytest.mark.parametrize("sampler", [ReproducibleSampler, StudySampler])


class Rows(list):
    """Studies of images, as a data set that must not load any."""

    def get_data_info(self, index):
        return dict(data_root="data", study_id=self[index])


STUDIES = Rows("abacdabefcgghijklmhm")  # of 1, 2 and 3 images
PAIRS = Rows("abcdefghijabcdefghij")


def order(monkeypatch, sampler, rows=STUDIES, ranks=1, epoch=0, start=0, batch=2, **options):
    """Batches of all ranks together, each rank having ``batch`` samples of it."""
    dealt = []
    for rank in range(ranks):
        monkeypatch.setattr(mmengine.dataset.sampler, "get_dist_info", lambda rank=rank: (rank, ranks))
        own = sampler(rows, **dict(seed=0) | options)
        own.set_epoch(epoch)
        own.start = start
        found = list(own)
        assert len(found) == len(own) - start and all(index.key == (own.seed, epoch, index) for index in found)
        dealt.append([found[first : first + batch] for first in range(0, len(found), batch)])
    return [[index for row in zip(*parts, strict=True) for index in row] for parts in zip(*dealt, strict=True)]


def flat(batches):
    return [index for batch in batches for index in batch]


@SAMPLERS
def test_an_epoch_has_each_sample_once_in_an_order_of_its_own(sampler, monkeypatch):
    found = [flat(order(monkeypatch, sampler, epoch=epoch)) for epoch in range(3)]
    assert all(sorted(indices) == list(range(len(STUDIES))) for indices in found)
    assert found[0] != found[1] != found[2] != found[0]
    assert flat(order(monkeypatch, sampler, epoch=1)) == found[1] != flat(order(monkeypatch, sampler, epoch=1, seed=7))


@SAMPLERS
def test_a_resumed_epoch_has_the_rest_and_the_next_one_all(sampler):
    own = sampler(STUDIES, seed=0)
    whole = list(own)
    own.start = 6
    assert list(own) == whole[6:] and list(own) == whole


@SAMPLERS
@pytest.mark.parametrize("ranks", [2, 3, 4])
def test_batches_of_all_ranks_are_those_of_one_process(sampler, ranks, monkeypatch):
    for start in (0, 2):
        found = order(monkeypatch, sampler, ranks=ranks, start=start)
        whole = order(monkeypatch, sampler, start=start * ranks, batch=2 * ranks)
        left = (len(STUDIES) // ranks - start) * ranks  # the rest does not fill all ranks
        assert flat(found) == flat(whole)[:left]
        assert [len(batch) for batch in found[:-1]] == [2 * ranks] * (len(found) - 1)


def test_without_studies_the_order_is_that_of_mmengine(monkeypatch):
    for shuffle in (True, False):
        expected = DefaultSampler(STUDIES, shuffle=shuffle, seed=3)
        expected.set_epoch(2)
        assert flat(order(monkeypatch, ReproducibleSampler, epoch=2, seed=3, shuffle=shuffle)) == list(expected)


@pytest.mark.parametrize("epoch", range(3))
def test_views_of_a_study_follow_one_another(epoch, monkeypatch):
    """Whichever ranks they come to, and in the same batch of all unless it ends between them."""
    found = [STUDIES[index] for index in flat(order(monkeypatch, StudySampler, epoch=epoch))]
    assert all(found[found.index(study) :][: found.count(study)] == [study] * found.count(study) for study in found)
    for ranks in (1, 2):
        for batch in order(monkeypatch, StudySampler, PAIRS, ranks=ranks, epoch=epoch, batch=4 // ranks):
            assert len(batch) == 4 and len({PAIRS[index] for index in batch}) == 2
    assert flat(order(monkeypatch, StudySampler, PAIRS, shuffle=False))[:4] == [0, 10, 1, 11]


def test_studies_of_data_sets(tmp_path):
    """Rows without a study are one each, and equal names in two folders are two studies."""
    parts = []
    for name in ("one", "two"):
        rows = [dict(image_index=i, image_id=f"i{i}", report=["no change"]) for i in range(3)]
        rows += [dict(row, image_id=f"{name}{i}", study_id="s") for i, row in enumerate(rows)]
        (tmp_path / name).mkdir()
        (tmp_path / name / "train.json").write_text(json.dumps(dict(metainfo={}, data_list=rows)))
        parts.append(ImageReportDataset(tmp_path / name, "train.json"))
    sampler = StudySampler(ConcatDataset(parts), seed=0)
    assert sampler.studies.tolist() == [0, 1, 2, 3, 3, 3, 4, 5, 6, 7, 7, 7]
