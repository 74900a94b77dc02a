"""What a user may give as images: files, folders, arrays, and lists of them."""

from collections.abc import Iterable, Iterator
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mgca_mm.errors import UserError
from mgca_mm.radiographs.dicom import is_dicom
from mgca_mm.radiographs.reading import read_radiograph

_SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom")


class NamedImage(NamedTuple):
    """A radiograph that is read when it is needed.

    Attributes:
        name: The file, or ``image 3`` for an array.
        source: The file, or gray levels (H, W).
    """

    name: str
    source: Path | np.ndarray

    def read(self) -> np.ndarray:
        """Gray levels (H, W), uint8.

        Raises:
            UserError: The file cannot be read; the message names it.
        """
        return np.asarray(self.source) if isinstance(self.source, np.ndarray) else read_radiograph(self.source)


ImageInput = str | PathLike | np.ndarray | NamedImage


def list_images(inputs: ImageInput | Iterable[ImageInput]) -> list[NamedImage]:
    """List images, each with a name.

    Args:
        inputs: A JPEG, PNG or DICOM file; a folder, of which every such file counts, DICOM of any name, also in folders
            below, in the order of their names; gray levels (H, W) or colors (H, W, 3), uint8; an image that has a name
            already, as those of :func:`mgca_mm.apis.prepared.load_pairs`; or several of these.

    Raises:
        UserError: A file or folder does not exist, a folder holds no image, an array is no image, or there is nothing.
    """
    single = isinstance(inputs, str | PathLike | np.ndarray | NamedImage)
    images: list[NamedImage] = []
    for entry in [inputs] if single else inputs:
        images.extend(_images_of(entry, len(images)))
    if not images:
        raise UserError("There is no image: give a file, a folder, an array, or a list of them.")
    return images


def _images_of(entry: ImageInput, number: int) -> Iterator[NamedImage]:
    if isinstance(entry, NamedImage):
        yield entry
        return
    if isinstance(entry, np.ndarray):
        yield NamedImage(f"image {number}", _gray(entry, number))
        return
    path = Path(entry)
    if not path.is_dir():
        if not path.is_file():
            raise UserError(f"{path}: no such image file or folder")
        yield NamedImage(str(path), path)
        return
    files = [file for file in sorted(path.rglob("*")) if _is_image(file)]
    if not files:
        raise UserError(f"{path}: the folder holds no {', '.join(_SUFFIXES)} file and no DICOM file of another name")
    yield from (NamedImage(str(file), file) for file in files)


def _is_image(file: Path) -> bool:
    """By its name, or a DICOM file whose name tells nothing, as archives write them; no file of a file system's own."""
    if file.name.startswith(".") or file.name.upper() == "DICOMDIR" or not file.is_file():
        return False
    if file.suffix.lower() in _SUFFIXES:
        return True
    with file.open("rb") as content:
        return is_dicom(content.read(132))


def _gray(image: np.ndarray, number: int) -> np.ndarray:
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0 or image.shape[2:] not in ((), (3,)):
        raise UserError(
            f"image {number}: an array must be uint8 of the shape (H, W) or (H, W, 3), got {image.dtype} {image.shape}"
        )
    if image.ndim == 3:  # luma of ITU-R BT.601, as OpenCV reads a color file
        image = np.rint(image @ np.array((0.299, 0.587, 0.114))).astype(np.uint8)
    return image
