"""Phrases with boxes, over the radiographs of a prepared folder."""

from pathlib import Path

from mmengine.logging import print_log

from mgca_mm.datasets.broken_samples import StrictDataset
from mgca_mm.errors import UserError
from mgca_mm.prepared import load_prepared
from mgca_mm.registry import DATASETS
from mgca_mm.reports.cleaning import clean_phrase
from mgca_mm.tables import Row, read_table

_COLUMNS = ("dicom_id", "label_text", "x", "y", "w", "h", "image_width", "image_height")
_ROUNDING = 1.0  # pixels that a box may reach beyond its image, for coordinates are rounded


@DATASETS.register_module()
class PhraseGroundingDataset(StrictDataset):
    """A sample for each phrase about an image, in MS-CXR's table (Boecking et al., ECCV 2022) or one with its columns.

    The table has a row for each box: ``dicom_id`` (the image's id in the prepared folder), ``label_text``, ``x``,
    ``y``, ``w``, ``h`` in the pixels of the raw image, whose size is ``image_width`` and ``image_height``. Rows with
    the same image and text are one phrase. Phrases about images outside the annotation file are left out and counted:
    that file says what is evaluated on, not MS-CXR's column ``split``.

    Each sample has the image as :class:`ImageReportDataset` has it, the phrase as ``report``, ``boxes`` (list of x, y,
    width, height) and ``raw_shape`` (height, width).

    Args:
        data_root: Prepared folder of the images.
        ann_file: Its annotation file: ``test.json``, say.
        phrases: The table.
        **kwargs: As in :class:`StrictDataset`.
    """

    def __init__(self, data_root: str, ann_file: str, phrases: str, **kwargs):
        self.phrases = Path(phrases)
        super().__init__(ann_file=ann_file, data_root=str(data_root), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the table and find the images.

        Raises:
            UserError: A file is missing or malformed, or no phrase is about an image of the annotation file.
        """
        if not self.phrases.is_file():
            raise UserError(
                f"The table of phrases '{self.phrases}' does not exist.\n"
                "Point to MS-CXR's, or to phantom-phrases.csv of a phantom: "
                "--cfg-options phrases=FILE"
            )
        metainfo, rows = load_prepared(self.ann_file)
        self._metainfo.update(metainfo)
        images = {row["image_id"]: row for row in rows}
        samples: dict[tuple[str, str], dict] = {}
        elsewhere = set()
        for row in read_table(self.phrases, _COLUMNS):
            image_id = row.file_name("dicom_id")
            phrase = clean_phrase(row.text("label_text"), metainfo["words"])
            if not phrase:
                raise row.fault("column 'label_text' has no words")
            box, shape = _read_box(row)
            if image_id not in images:
                elsewhere.add((image_id, phrase))
                continue
            sample = samples.setdefault(
                (image_id, phrase), {**images[image_id], "report": phrase, "boxes": [], "raw_shape": shape}
            )
            if sample["raw_shape"] != shape:
                raise row.fault("the image had another size in a row above")
            sample["boxes"].append(box)
        if not samples:
            raise UserError(
                f"{self.phrases}: none of {len(elsewhere)} phrases is about an image of '{self.ann_file}'.\n"
                "The ids of the images (column dicom_id) must be those of the prepared folder."
            )
        print_log(
            f"{len(samples)} phrases; {len(elsewhere)} are about images outside {Path(self.ann_file).name}", "current"
        )
        return list(samples.values())


def _read_box(row: Row) -> tuple[tuple[float, ...], tuple[int, int]]:
    """The box (x, y, width, height) of a row, and height and width of its image."""
    x, y, width, height, columns, rows = (
        row.number(name) for name in ("x", "y", "w", "h", "image_width", "image_height")
    )
    if min(columns, rows) < 1:
        raise row.fault("the image has no pixels (image_width, image_height)")
    left, top, right, bottom = x, y, columns - (x + width), rows - (y + height)
    if min(width, height) <= 0 or min(left, top, right, bottom) < -_ROUNDING:
        raise row.fault("the box is empty or not within the image")
    return (x, y, width, height), (int(rows), int(columns))
