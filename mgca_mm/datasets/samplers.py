"""The order of the samples, and their randomness, as a function of the seed and the epoch alone."""

from collections.abc import Iterator, Sized

import torch
from mmengine.dataset import BaseDataset, DefaultSampler, InfiniteSampler

from mgca_mm.registry import DATA_SAMPLERS


class SampleIndex(int):
    """Index of a sample that brings what its augmentation is seeded with, also to a loader's worker.

    Attributes:
        key: (seed, epoch, index).
    """

    key: tuple[int, int, int]

    def __new__(cls, seed: int, epoch: int, index: int):
        """An index that equals ``index``."""
        self = super().__new__(cls, index)
        self.key = (seed, epoch, index)
        return self

    def __getnewargs__(self) -> tuple[int, int, int]:
        return self.key


@DATA_SAMPLERS.register_module()
class EvaluationSampler(DefaultSampler):
    """Deals the samples of a validation or test to the ranks in turn, so that ranks × batch is what counts.

    Rank r gets the samples r, r + R, …: batch k of all ranks together is, read across the ranks, batch k of one process
    with a batch R times as large (:func:`mgca_mm.distributed.gather_samples`). To compute together, every rank needs as
    many batches as the others; where the samples do not divide, some ranks evaluate the *last* one again. It stands in
    the batch that it fills up, behind all others: there MMEngine's metrics cut its result off, and ``gather_samples``
    knows it by its name, so that it counts once. ``DefaultSampler`` fills up with the first samples of the data set,
    which would be further negatives in that batch.

    Args:
        dataset: The data set.
        seed: Of MMEngine's loaders; nothing is drawn.
    """

    def __init__(self, dataset: Sized, seed: int | None = None):
        super().__init__(dataset, shuffle=False, seed=seed)

    def __iter__(self) -> Iterator[int]:
        """Samples of this rank."""
        last = len(self.dataset) - 1
        return (min(index, last) for index in range(self.rank, self.total_size, self.world_size))


@DATA_SAMPLERS.register_module()
class ReproducibleSampler(DefaultSampler):
    """``DefaultSampler`` that can start in the middle of an epoch, for training.

    The order is that of ``DefaultSampler``: a permutation by (seed, epoch), of which rank r takes every R-th, so that
    the batches of all ranks together are the same for any R at an equal global batch. To keep that, the rest that does
    not fill all ranks is dropped rather than filled up; give the loader ``drop_last=True``.

    Args:
        dataset: The data set.
        shuffle: Shuffle, anew in each epoch.
        seed: Of the order and the augmentation. None: drawn, and shared by the ranks.
    """

    def __init__(self, dataset: Sized, shuffle: bool = True, seed: int | None = None):
        super().__init__(dataset, shuffle=shuffle, seed=seed, round_up=False)
        self.num_samples = len(dataset) // self.world_size
        self.total_size = self.num_samples * self.world_size
        self.start = 0

    def __iter__(self) -> Iterator[SampleIndex]:
        """Samples of this rank in this epoch from :attr:`start` on; the next epoch starts at the beginning."""
        start, self.start = self.start, 0
        for index in self._order()[self.rank : self.total_size : self.world_size][start:].tolist():
            yield SampleIndex(self.seed, self.epoch, index)

    def _order(self) -> torch.Tensor:
        """(N,) the samples of all ranks in this epoch."""
        return self._permutation(len(self.dataset))

    def _permutation(self, size: int) -> torch.Tensor:
        """(size,) the numbers below ``size``, shuffled as ``DefaultSampler`` does."""
        if not self.shuffle:
            return torch.arange(size)
        return torch.randperm(size, generator=torch.Generator().manual_seed(self.seed + self.epoch))


@DATA_SAMPLERS.register_module()
class StudySampler(ReproducibleSampler):
    """``ReproducibleSampler`` that shuffles studies instead of images, so that the views of a study follow one another.

    They have one report, which makes them false negatives of one another, but positives under
    :class:`mgca_mm.models.alignments.targets.IdenticalReports`; You et al., *CXR-CLIP*, MICCAI 2023, learn from two
    views of a study at a time. They are together in the batch of all ranks, to which they are dealt in turn, so that
    an alignment needs ``gather=True`` to meet them. Where a batch ends within a study, the next one has the rest:
    filling it up would change the length of an epoch.

    Args:
        dataset: A data set whose rows have ``study_id``, as those of
            :class:`mgca_mm.datasets.image_report.ImageReportDataset` do. They are read once, without images.
        shuffle: Shuffle, anew in each epoch; else studies stand as in the data set.
        seed: As in :class:`ReproducibleSampler`.
    """

    def __init__(self, dataset: BaseDataset, shuffle: bool = True, seed: int | None = None):
        super().__init__(dataset, shuffle, seed)
        rows = map(dataset.get_data_info, range(len(dataset)))
        number: dict[tuple[str, str], int] = {}  # two concatenated data sets may call different studies by one name
        studies = [number.setdefault((row["data_root"], row["study_id"]), len(number)) for row in rows]
        self.studies = torch.tensor(studies, dtype=torch.long)  # (N,)
        self.num_studies = len(number)

    def _order(self) -> torch.Tensor:
        """(N,) the samples of all ranks in this epoch, those of a study in the order of the data set."""
        place = self._permutation(self.num_studies)  # of each study
        return place[self.studies].argsort(stable=True)


class ReproducibleInfiniteSampler(InfiniteSampler):
    """``InfiniteSampler`` with augmentation that can be resumed.

    :func:`mgca_mm.engine.install` puts it in the place of MMEngine's. The order is the same. Each index brings
    the number of its pass over the data, as an epoch.
    """

    def _infinite_indices(self) -> Iterator[SampleIndex]:
        for position, index in enumerate(super()._infinite_indices()):
            yield SampleIndex(self.seed, position // self.size, index)
