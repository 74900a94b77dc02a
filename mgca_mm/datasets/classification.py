"""Labeled radiographs in the prepared format."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from mgca_mm.datasets.broken_samples import StrictDataset
from mgca_mm.datasets.identity import pseudonym
from mgca_mm.datasets.subsets import keep_single_class, keep_subset, label_columns
from mgca_mm.errors import UserError
from mgca_mm.prepared import load_prepared
from mgca_mm.registry import DATASETS


@DATASETS.register_module()
class ChestXrayDataset(StrictDataset):
    """Radiographs with labels, for mmpretrain's classifiers, from a folder that ``mgca-mm prepare`` has written.

    Each sample has ``image_id``, ``image_store`` with ``image_index`` (or ``img_path``) and ``gt_label``: the indices
    of the positive classes, or the index of the only one. A label that is not mentioned counts as negative
    (docs/protocol.md#classification).

    Args:
        data_root: The prepared folder.
        ann_file: Annotation file in it: ``train.json``, ``val.json`` or ``test.json``.
        classes: Names of the labels to use, in this order; None for all.
        uncertain: What an uncertain label (-1) counts as, 0 or 1, by class or of all classes.
        exclusive: Whether exactly one label is positive, as the classes of COVIDx; ``gt_label`` is a number then.
        subset: A list of training images in the folder, such as ``subsets/train_1pct_seed42.txt``.
        per_class: With ``exclusive``: instead of asking that of every image, keep those that show one of the classes
            and nothing else, at most so many of each (the 5 x 200 and 8 x 200 sets of the literature: 200), see
            :func:`mgca_mm.datasets.subsets.keep_single_class`. What is uncertain is not kept, whatever ``uncertain``.
        groups: With ``per_class``: labels that may be positive beside a class.
        **kwargs: As in :class:`StrictDataset`, ``on_error`` among them.
    """

    def __init__(
        self,
        data_root: str,
        ann_file: str,
        classes: Sequence[str] | None = None,
        uncertain: Mapping[str, int] | int | None = None,
        exclusive: bool = False,
        subset: str | None = None,
        per_class: int | None = None,
        groups: Sequence[str] = (),
        **kwargs,
    ):
        self.classes = classes
        self.uncertain = uncertain if isinstance(uncertain, int) else dict(uncertain or {})
        self.exclusive = exclusive
        self.subset = subset
        self.per_class = per_class
        self.groups = groups
        if per_class is not None and not exclusive:
            raise ValueError("per_class keeps images of one class: set exclusive=True")
        super().__init__(ann_file=ann_file, data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Raises:
            UserError: If it is missing, has no labels, none of a class, or an uncertain one that ``uncertain`` does
                not resolve.
        """
        metainfo, rows = load_prepared(self.ann_file, ("labels",))
        if self.subset is not None:
            rows = keep_subset(rows, Path(self.data_root) / self.subset)
        classes = tuple((metainfo.get("classes") or ()) if self.classes is None else self.classes)
        columns = label_columns(classes, metainfo, self.ann_file)
        self._metainfo.update({**metainfo, "classes": classes})
        if self.per_class is not None:
            return keep_single_class(rows, classes, metainfo, self.ann_file, self.per_class, self.groups)
        positives = [
            [
                index
                for index, (column, name) in enumerate(zip(columns, classes, strict=True))
                if self._resolve(row["labels"][column], name)
            ]
            for row in rows
        ]
        for row, positive in zip(rows, positives, strict=True):
            if self.exclusive and len(positive) != 1:
                name = pseudonym(row["image_id"], self.data_root)
                raise UserError(f"'{self.ann_file}': {name} has {len(positive)} of the labels, not one.")
            row["gt_label"] = positive[0] if self.exclusive else positive
        return rows

    def _resolve(self, label: int | None, name: str) -> bool:
        """Whether a label counts as positive."""
        if label == -1 and isinstance(self.uncertain, int):
            return bool(self.uncertain)
        if label == -1 and name not in self.uncertain:
            raise UserError(
                f"'{self.ann_file}' has uncertain labels of '{name}'; say what they count as: uncertain={{'{name}': 0}}"
            )
        return bool(self.uncertain[name] if label == -1 else label)
