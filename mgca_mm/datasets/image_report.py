"""Image-report pairs in the prepared format."""

from pathlib import Path

from mmengine.dataset import BaseDataset
from mmengine.fileio import load

from mgca_mm.datasets.preparation import DATASETS as DATA_SETS
from mgca_mm.errors import UserError
from mgca_mm.registry import DATASETS


@DATASETS.register_module()
class ImageReportDataset(BaseDataset):
    """Radiographs with their reports, from a folder that ``tools/prepare_data.py`` has written.

    Each sample has ``image_id``, ``patient_id``, ``study_id``, ``report`` (list of sentences), ``data_root``, and
    either ``image_store`` with ``image_index`` (a row of ``images.npy``) or ``img_path`` (an image file).

    Args:
        data_root: The prepared folder.
        ann_file: Annotation file in it: ``train.json``, ``val.json`` or ``test.json``.
        **kwargs: As in :class:`mmengine.dataset.BaseDataset`.
    """

    def __init__(self, data_root: str, ann_file: str, **kwargs):
        super().__init__(ann_file=ann_file, data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the annotation file.

        Raises:
            UserError: If the file is missing or is not in the prepared format.
        """
        require_prepared(self.ann_file)
        try:
            annotations = load(self.ann_file)
            self._metainfo.update(annotations["metainfo"])
            rows = annotations["data_list"]
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"'{self.ann_file}' is not an annotation file: it needs 'metainfo' and 'data_list'.\n"
                "Make it with tools/prepare_data.py."
            ) from error
        return [self._parse_row(number, row) for number, row in enumerate(rows)]

    def _parse_row(self, number: int, row: dict) -> dict:
        root = Path(self.data_root)
        missing = [key for key in ("image_id", "report") if key not in row]
        if missing or ("image_index" not in row and "img_path" not in row):
            raise UserError(
                f"'{self.ann_file}', entry {number}: it lacks {missing or 'image_index or img_path'}.\n"
                "Prepare the data set again with tools/prepare_data.py."
            )
        sample = {**row, "data_root": str(root)}
        sample.setdefault("study_id", row["image_id"])
        if "img_path" in row:
            sample["img_path"] = str(root / row["img_path"])
        else:
            sample["image_store"] = str(root / "images.npy")
        return sample


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
