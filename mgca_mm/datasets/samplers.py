"""The order of the samples, and their randomness, as a function of the seed and the epoch alone."""

from collections.abc import Iterator, Sized

from mmengine.dataset import DefaultSampler

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
        for index in list(super().__iter__())[start:]:
            yield SampleIndex(self.seed, self.epoch, index)
