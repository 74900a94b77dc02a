"""What happens to a sample that cannot be read while a model trains."""

import logging
from collections.abc import Iterator
from typing import Literal

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from torch.utils.data import Dataset

from mgca_mm.datasets.identity import pseudonym
from mgca_mm.errors import UserError

_TOLERATED = 1000  # one in so many samples


class StrictDataset(BaseDataset):
    """A data set that replaces nothing in silence; MMEngine's would try another sample at random.

    A broken sample is an error that names it by its salted hash. With ``on_error='skip'`` the next sample of the
    annotation file stands in for it in training, so that batches keep their size on all ranks; each is told in the log
    once, and more than one in 1,000 is an error. Ranks learn of each other's by :meth:`exchange_broken`, which
    ``BrokenSamplesHook`` calls. Evaluation counts every sample and never skips.

    Args:
        on_error: ``'raise'`` or ``'skip'``.
        allow_empty: Take an annotation file without entries, for a part of a concatenation: of MIMIC-CXR prepared with
            ``--protocol released``, the test split is empty, for its pairs stand in the validation's.
        **kwargs: As in :class:`mmengine.dataset.BaseDataset`.
    """

    def __init__(self, on_error: Literal["raise", "skip"] = "raise", allow_empty: bool = False, **kwargs):
        if on_error not in ("raise", "skip"):
            raise ValueError(f"on_error must be 'raise' or 'skip', got {on_error!r}")
        self.on_error = on_error
        self.allow_empty = allow_empty
        self._broken: torch.Tensor | None = None
        super().__init__(**kwargs)
        if on_error == "skip":
            self._broken = torch.zeros(len(self), dtype=torch.bool).share_memory_()  # by all workers

    def prepare_data(self, index: int):
        """One sample through the pipeline.

        Raises:
            UserError: It is broken and is not to be skipped, or too many are.
        """
        try:
            return super().prepare_data(index)
        except UserError as error:
            if self._broken is None or self.test_mode:
                raise
            self._count(index, error)
        return self.prepare_data((index + 1) % len(self))

    def exchange_broken(self) -> None:
        """Learn what the other ranks have skipped, so that the share is that of all; each rank calls it at once.

        Raises:
            UserError: Too many are broken, on every rank.
        """
        if self._broken is None:
            return
        own = self._broken.clone()
        everywhere = own.to(torch.uint8)
        all_reduce(everywhere, "max")
        found = (everywhere.bool() & ~own).nonzero().flatten().tolist()
        for index in found:  # one by one: workers write into the same memory
            self._broken[index] = True
        # By the shared tensor alone: workers of this rank may have found more since, and all ranks must stop at once.
        self._require_few(int(everywhere.sum()))
        for index in found:
            self._log_skipped(index, "by another rank")

    def _serialize_data(self) -> tuple[np.ndarray, np.ndarray]:
        """Pack the entries, also where there are none, which MMEngine cannot.

        Raises:
            UserError: There are none, and that is not allowed.
        """
        if self.data_list:
            return super()._serialize_data()
        if not self.allow_empty:
            raise UserError(
                f"'{self.ann_file}' holds no sample that is asked for.\n"
                "Prepare again with some in this split (--split-list, or the table's column 'split'); of MIMIC-CXR "
                "prepared with --protocol released, the test pairs stand in val.json."
            )
        return np.empty(0, dtype=np.uint8), np.empty(0, dtype=np.int64)

    def _count(self, index: int, error: UserError) -> None:
        if self._broken[index]:
            return
        self._broken[index] = True
        self._require_few(int(self._broken.sum()), f" The last, {self._name(index)}: {error}")
        self._log_skipped(index, str(error))

    def _require_few(self, count: int, last: str = "") -> None:
        """End the training if too many samples are broken.

        Raises:
            UserError: There are.
        """
        allowed = len(self) // _TOLERATED
        if count > allowed:
            raise UserError(
                f"{count} of {len(self)} samples are broken, and on_error='skip' takes {allowed}.{last}\n"
                "Repair or remove those that the log names, and continue with --resume."
            )

    def _log_skipped(self, index: int, reason: str) -> None:
        text = f"{self._name(index)} is skipped ({int(self._broken.sum())} of {len(self)} so far): {reason}"
        print_log(text, "current", logging.WARNING)

    def _name(self, index: int) -> str:
        return pseudonym(self.get_data_info(index)["image_id"], self.data_root)


def strict_parts(dataset: Dataset) -> Iterator[StrictDataset]:
    """Our data sets within MMEngine's wrappers."""
    if isinstance(dataset, StrictDataset):
        yield dataset
    for part in getattr(dataset, "datasets", [getattr(dataset, "dataset", None)]):
        if part is not None:
            yield from strict_parts(part)
