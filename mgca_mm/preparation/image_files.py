"""Finding images that a table names without the folder that they lie in."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from mgca_mm.errors import UserError

from .raw_folder import RawFolder


def find_images(raw: RawFolder, endings: Sequence[str], depth: int = 1) -> dict[str, str]:
    """Path of each image in a folder, and in any folders below, by its name.

    Args:
        raw: The folder.
        endings: Of the images, such as ``.png``. One image in several formats is taken in the first of them.
        depth: Parts of a path that name an image: 1 is the file's name alone, 2 has its folder, too.

    Returns:
        Paths relative to the folder, by the last ``depth`` parts of them without the ending.

    Raises:
        UserError: Two files of one ending have the same name.
    """
    found: dict[str, tuple[int, str]] = {}
    for path in walk_files(raw):
        stem, ending = os.path.splitext(path)
        if ending in endings:
            key = "/".join(PurePosixPath(stem).parts[-depth:])
            image = (endings.index(ending), path)
            other = found.setdefault(key, image)
            if other[0] == image[0] and other != image:
                raise UserError(f"{raw.path}: {path} and {other[1]} are one image; remove one of them")
            found[key] = min(other, image)
    return {key: path for key, (_, path) in found.items()}


def walk_files(raw: RawFolder) -> Iterator[str]:
    """Paths of all files in a folder and below, relative to it, but for hidden ones: macOS puts such into archives.

    Links to folders are followed, each folder once; whether they may be is decided where a file is opened.
    """
    seen: set[str] = set()
    for folder, folders, names in os.walk(raw.path, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        parts = Path(folder).relative_to(raw.path).parts
        yield from ("/".join((*parts, name)) for name in names if not name.startswith("."))
