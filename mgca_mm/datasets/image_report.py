"""Image-report pairs in the prepared format."""

from collections.abc import Sequence
from pathlib import Path

from mgca_mm.bounds import read_json
from mgca_mm.datasets.broken_samples import StrictDataset
from mgca_mm.datasets.subsets import keep_single_class
from mgca_mm.errors import UserError
from mgca_mm.prepared import DATA_SETS, entry_fault, metainfo_fault
from mgca_mm.registry import DATASETS


@DATASETS.register_module()
class ImageReportDataset(StrictDataset):
    """Radiographs with their reports, from a folder that ``tools/prepare_data.py`` has written.

    Each sample has ``image_id``, ``patient_id``, ``study_id``, ``report`` (list of sentences), ``data_root``, and
    either ``image_store`` with ``image_index`` (a row of ``images.npy``) or ``img_path`` (an image file).

    Args:
        data_root: The prepared folder.
        ann_file: Annotation file in it: ``train.json``, ``val.json`` or ``test.json``.
        classes: Labels for a retrieval by class: keep the pairs that show one of them and nothing else, with its
            index as ``gt_label``, see :func:`mgca_mm.datasets.subsets.keep_single_class`. None: all pairs.
        per_class: At most so many pairs of each of the ``classes``.
        groups: Labels that may be positive beside one of the ``classes``.
        **kwargs: As in :class:`StrictDataset`, ``on_error`` among them.
    """

    def __init__(
        self,
        data_root: str,
        ann_file: str,
        classes: Sequence[str] | None = None,
        per_class: int = 200,
        groups: Sequence[str] = (),
        **kwargs,
    ):
        self.classes = classes
        self.per_class = per_class
        self.groups = groups
        super().__init__(ann_file=ann_file, data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Raises:
            UserError: If the file is missing or is not in the prepared format.
        """
        metainfo, rows = load_prepared(self.ann_file, ("report",) if self.classes is None else ("report", "labels"))
        self._metainfo.update(metainfo)
        for row in rows:
            row.setdefault("study_id", row["image_id"])
        if self.classes is None:
            return rows
        return keep_single_class(rows, self.classes, metainfo, self.ann_file, self.per_class, self.groups)


def load_prepared(ann_file: str, required: Sequence[str] = ()) -> tuple[dict, list[dict]]:
    """Read an annotation file of a prepared folder.

    Args:
        ann_file: ``train.json``, ``val.json`` or ``test.json`` of the folder.
        required: Keys each entry must have besides ``image_id`` and its image.

    Returns:
        The file's ``metainfo``, and its entries with ``data_root`` and either ``image_store`` or the full ``img_path``.

    Raises:
        UserError: If the file is missing, is not in the prepared format, names an image twice, or was made without
            images.
    """
    require_prepared(ann_file)
    annotations = read_json(ann_file)
    if not isinstance(annotations, dict) or not isinstance(annotations.get("data_list"), list):
        fault = "it needs 'metainfo' and a list 'data_list'"
    else:
        fault = metainfo_fault(annotations.get("metainfo"))
    if fault:
        raise UserError(f"'{ann_file}' is not an annotation file: {fault}.\nMake it with tools/prepare_data.py.")
    metainfo, rows = annotations["metainfo"], annotations["data_list"]
    root = Path(ann_file).parent
    for number, row in enumerate(rows):
        fault = entry_fault(row, metainfo.get("classes"), required)
        if fault is None and "raw_path" in row:
            fault = "lacks an image: it was prepared with --annotations-only"
        if fault:
            raise UserError(
                f"'{ann_file}', entry {number} {fault}.\nPrepare the data set again with tools/prepare_data.py."
            )
        row["data_root"] = str(root)
        if "img_path" in row:
            row["img_path"] = str(root / row["img_path"])
        else:
            row["image_store"] = str(root / "images.npy")
    if len({row["image_id"] for row in rows}) < len(rows):
        raise UserError(f"'{ann_file}' names an image twice.\nPrepare the data set again with tools/prepare_data.py.")
    return metainfo, rows


def require_prepared(ann_file: str | Path) -> None:
    """Check that an annotation file exists.

    Raises:
        UserError: If it does not, with the command that makes it.
    """
    ann_file = Path(ann_file)
    if not ann_file.is_file():
        folder = ann_file.parent
        name = folder.name if folder.name in DATA_SETS else "NAME"
        raise UserError(
            f"Annotation file '{ann_file}' does not exist.\n"
            f"Make it: python tools/prepare_data.py {name} --raw DIR --out {folder}\n"
            "or point to prepared data: --cfg-options data_root=DIR"
        )
