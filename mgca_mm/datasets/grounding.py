"""Phrases with boxes, over the radiographs of a prepared folder."""

from collections.abc import Container
from pathlib import Path
from typing import NamedTuple

from mmengine.logging import print_log

from mgca_mm.datasets.broken_samples import StrictDataset
from mgca_mm.errors import UserError
from mgca_mm.prepared import load_prepared
from mgca_mm.registry import DATASETS
from mgca_mm.reports.cleaning import clean_phrase
from mgca_mm.tables import Row, read_table

_COLUMNS = ("dicom_id", "label_text", "x", "y", "w", "h", "image_width", "image_height")
_ROUNDING = 1.0  # pixels that a box may reach beyond its image, for coordinates are rounded


class Phrase(NamedTuple):
    """A phrase about an image.

    Attributes:
        image_id: The image's name in the prepared folder.
        text: Cleaned words.
        boxes: (x, y, width, height) in pixels of the raw image.
        shape: Height and width of the raw image.
    """

    image_id: str
    text: str
    boxes: list[tuple[float, float, float, float]]
    shape: tuple[int, int]


def read_phrases(
    path: str | Path, ann_file: str | Path, image_ids: Container[str], words: str
) -> tuple[list[Phrase], int]:
    """Read a table of phrases, see :class:`PhraseGroundingDataset`.

    Args:
        path: The table.
        ann_file: Annotation file of the images, for the messages.
        image_ids: Its images.
        words: Which words are kept, see :func:`mgca_mm.reports.cleaning.clean_text`.

    Returns:
        The phrases about these images, and the number of those about others.

    Raises:
        UserError: The table is missing or malformed, or no phrase is about one of the images.
    """
    if not Path(path).is_file():
        raise UserError(
            f"The table of phrases '{path}' does not exist.\n"
            "Point to MS-CXR's, or to phantom-phrases.csv of a phantom: "
            "--phrases FILE, of an evaluation --cfg-options phrases=FILE"
        )
    phrases: dict[tuple[str, str], Phrase] = {}
    elsewhere = set()
    for row in read_table(Path(path), _COLUMNS):
        key = image_id, text = row.file_name("dicom_id"), clean_phrase(row.text("label_text"), words)
        if not text:
            raise row.fault("column 'label_text' has no words")
        box, shape = _read_box(row)
        if image_id not in image_ids:
            elsewhere.add(key)
            continue
        phrase = phrases.setdefault(key, Phrase(image_id, text, [], shape))
        if phrase.shape != shape:
            raise row.fault("the image had another size in a row above")
        phrase.boxes.append(box)
    if not phrases:
        raise UserError(
            f"{path}: none of {len(elsewhere)} phrases is about an image of '{ann_file}'.\n"
            "The ids of the images (column dicom_id) must be those of the prepared folder."
        )
    return list(phrases.values()), len(elsewhere)


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
        metainfo, rows = load_prepared(self.ann_file)
        self._metainfo.update(metainfo)
        images = {row["image_id"]: row for row in rows}
        phrases, elsewhere = read_phrases(self.phrases, self.ann_file, images, metainfo["words"])
        print_log(f"{len(phrases)} phrases; {elsewhere} are about images outside {Path(self.ann_file).name}", "current")
        return [
            {**images[phrase.image_id], "report": phrase.text, "boxes": phrase.boxes, "raw_shape": phrase.shape}
            for phrase in phrases
        ]


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
