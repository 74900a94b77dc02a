"""Image-report pairs in the prepared format."""

import random
from collections.abc import Sequence
from pathlib import Path

from mgca_mm.datasets.broken_samples import StrictDataset
from mgca_mm.datasets.subsets import keep_single_class, keep_subset, label_columns
from mgca_mm.errors import UserError
from mgca_mm.prepared import load_prepared
from mgca_mm.registry import DATASETS


class DrawReport:
    """Gives an entry the report, its labels and its folder of an entry of ``pool``, drawn uniformly."""

    def __init__(self, pool: StrictDataset):
        self.pool = pool

    def __call__(self, results: dict) -> dict:
        """Draw."""
        other = self.pool.get_data_info(random.randrange(len(self.pool)))
        drawn = dict(report=other["report"], report_labels=other.get("labels"), report_root=other["data_root"])
        return {**results, **drawn}


@DATASETS.register_module()
class ImageReportDataset(StrictDataset):
    """Radiographs with their reports, from a folder that ``mgca-mm prepare`` has written.

    Each sample has ``image_id``, ``patient_id``, ``study_id``, ``report`` (list of sentences), ``data_root``, and
    either ``image_store`` with ``image_index`` (a row of ``images.npy``) or ``img_path`` (an image file).

    Args:
        data_root: The prepared folder.
        ann_file: Annotation file in it: ``train.json``, ``val.json`` or ``test.json``.
        classes: Labels for a retrieval by class: keep the pairs that show one of them and nothing else, with its
            index as ``gt_label``, see :func:`mgca_mm.datasets.subsets.keep_single_class`. None: all pairs.
        per_class: At most so many pairs of each of the ``classes``.
        groups: Labels that may be positive beside one of the ``classes``.
        subset: A list of training images in the folder or elsewhere, such as ``mgca-mm choose`` writes.
        reports: Another prepared folder (or the same), of whose ``ann_file`` each image gets a report at each visit,
            drawn uniformly, for targets that compare labels (``LabelSimilarity``); it needs none of its own. Besides
            ``report`` there are its ``report_labels`` and ``report_root``; the labels of the image are those that the
            reports have, in their order. None: each image has its own report.
        **kwargs: As in :class:`StrictDataset`, ``on_error`` among them.
    """

    def __init__(
        self,
        data_root: str,
        ann_file: str,
        classes: Sequence[str] | None = None,
        per_class: int = 200,
        groups: Sequence[str] = (),
        subset: str | None = None,
        reports: str | None = None,
        **kwargs,
    ):
        self.classes = classes
        self.per_class = per_class
        self.groups = groups
        self.subset = subset
        self.pool = None if reports is None else ImageReportDataset(reports, ann_file)
        super().__init__(ann_file=ann_file, data_root=str(data_root), **kwargs)
        if self.pool is not None:
            self.pipeline.transforms.insert(0, DrawReport(self.pool))

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Raises:
            UserError: If a file is missing or is not in the prepared format, or lacks labels that ``reports`` has.
        """
        needs_labels = self.classes is not None or self.pool is not None
        required = ("report",) * (self.pool is None) + ("labels",) * needs_labels
        metainfo, rows = load_prepared(self.ann_file, required)
        if self.pool is not None:
            names = self.pool.metainfo.get("classes")
            if not names:
                raise UserError(
                    f"The reports of '{self.pool.ann_file}' have no labels.\n"
                    "Prepare them with labels: of MIMIC-CXR, beside its table mimic-cxr-2.0.0-chexpert.csv."
                )
            columns = label_columns(names, metainfo, self.ann_file)
            metainfo = {**metainfo, "classes": names}
            for row in rows:
                row["labels"] = [row["labels"][column] for column in columns]
        self._metainfo.update(metainfo)
        if self.subset is not None:
            rows = keep_subset(rows, Path(self.data_root) / self.subset)
        for row in rows:
            row.setdefault("study_id", row["image_id"])
        if self.classes is None:
            return rows
        return keep_single_class(rows, self.classes, metainfo, self.ann_file, self.per_class, self.groups)
