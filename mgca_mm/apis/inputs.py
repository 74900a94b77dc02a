"""What a user may give as images: files and what they hold, folders, pictures of other libraries, and lists of them."""

from collections.abc import Iterable, Iterator, Mapping
from os import PathLike
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
import torch
from PIL import Image

from mgca_mm.errors import UserError
from mgca_mm.radiographs.dicom import is_dicom
from mgca_mm.radiographs.reading import decode_radiograph, read_radiograph

from .arrays import gray_images, pixels_of

_SUFFIXES = (".jpg", ".jpeg", ".png", ".dcm", ".dicom")
_TAKEN = (
    "Give a JPEG, PNG or DICOM file or its bytes, a folder, a PIL image, a NumPy array, a torch tensor, "
    "or a list of these."
)


class NamedImage(NamedTuple):
    """A radiograph that is read when it is needed.

    Attributes:
        name: The file, or ``image 3`` for what has no name.
        source: The file, what it holds, or gray levels (H, W).
    """

    name: str
    source: Path | bytes | np.ndarray

    def read(self) -> np.ndarray:
        """Gray levels (H, W), uint8.

        Raises:
            UserError: The file cannot be read; the message names it.
        """
        if isinstance(self.source, bytes):
            return decode_radiograph(self.source, self.name)
        return np.asarray(self.source) if isinstance(self.source, np.ndarray) else read_radiograph(self.source)


ImageInput = str | PathLike | bytes | bytearray | BinaryIO | Image.Image | np.ndarray | torch.Tensor | NamedImage


def list_images(inputs: ImageInput | Iterable[ImageInput]) -> list[NamedImage]:
    """List images, each with a name.

    Args:
        inputs: A JPEG, PNG or DICOM file, opened or not, or its bytes; a folder, of which every such file counts, DICOM
            of any name, also in folders below, in the order of their names; a PIL image; arrays or tensors as in
            :func:`.arrays.gray_images`; an image that has a name already, as those of
            :func:`mgca_mm.apis.prepared.load_pairs`; or several of these.

    Raises:
        UserError: A file or folder does not exist, a folder holds no image, something is no image, or there is nothing.
    """
    images: list[NamedImage] = []
    for entry in inputs if _are_several(inputs) else [inputs]:
        images.extend(_images_of(entry, len(images)))
    if not images:
        raise UserError(f"There is no image.\n{_TAKEN}")
    return images


def _are_several(inputs: object) -> bool:
    """Whether something is to be gone through: arrays of texts or objects, as columns of tables have them, too.

    Arrays of other libraries with rows and columns are one image, or as many as they hold.
    """
    if isinstance(inputs, np.ndarray):
        return inputs.dtype.kind in "OUT" and inputs.ndim == 1
    single = str | PathLike | bytes | bytearray | memoryview | Image.Image | torch.Tensor | NamedImage | Mapping
    is_array = getattr(inputs, "ndim", 1) != 1 or hasattr(inputs, "read")
    return isinstance(inputs, Iterable) and not isinstance(inputs, single) and not is_array


def _images_of(entry: object, number: int) -> Iterator[NamedImage]:
    name = f"image {number}"
    if isinstance(entry, NamedImage):
        yield entry
    elif isinstance(entry, str | PathLike) and entry != "":  # which would be the folder of the process
        yield from _files_of(Path(entry))
    elif isinstance(entry, bytes | bytearray | memoryview):
        yield NamedImage(name, bytes(entry))
    elif hasattr(entry, "read"):
        yield NamedImage(name, _content_of(entry, name))
    else:
        pixels = pixels_of(entry, name)
        if pixels is None:
            what = "an empty text" if isinstance(entry, str) else type(entry).__name__
            raise UserError(f"{name}: {what} is no image.\n{_TAKEN}")
        for offset, gray in enumerate(gray_images(pixels, name)):
            yield NamedImage(f"image {number + offset}", gray)


def _content_of(file: BinaryIO, name: str) -> bytes:
    """All of an opened file, wherever it was left, as Pillow takes it."""
    try:
        if file.seekable():
            file.seek(0)
        content = file.read()
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(f"{name}: the file cannot be read; open it with mode 'rb'.") from error
    if not isinstance(content, bytes):
        raise UserError(f"{name}: the file is open for text; open it with mode 'rb'.")
    return content


def _files_of(path: Path) -> Iterator[NamedImage]:
    try:
        is_file, is_folder = path.is_file(), path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or of characters that no name has
        is_file = is_folder = False
    if not is_file and not is_folder:
        raise UserError(f"{str(path)[:200]}: no such image file or folder")
    files = [path] if is_file else [file for file in sorted(path.rglob("*")) if _is_image(file)]
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
