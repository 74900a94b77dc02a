"""Finding images that a table names without the folder that they lie in."""

import os
from collections.abc import Sequence
from pathlib import Path

from mgca_mm.errors import UserError

from .raw_folder import RawFolder


def find_images(raw: RawFolder, endings: Sequence[str], depth: int = 1) -> dict[str, str]:
    """Path of each image in a folder, and in any folders below, by its name.

    Links to folders are followed, each folder once; whether they may be is decided where a file is opened.

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
    seen: set[str] = set()
    for folder, folders, names in os.walk(raw.path, followlinks=True):
        place = os.path.realpath(folder)
        if place in seen:
            folders.clear()
            continue
        seen.add(place)
        parts = Path(folder).relative_to(raw.path).parts
        for name in names:
            stem, ending = os.path.splitext(name)
            if ending in endings:
                key = "/".join((*parts, stem)[-depth:])
                image = (endings.index(ending), "/".join((*parts, name)))
                other = found.setdefault(key, image)
                if other[0] == image[0] and other != image:
                    raise UserError(f"{raw.path}: {image[1]} and {other[1]} are one image; remove one of them")
                found[key] = min(other, image)
    return {key: path for key, (_, path) in found.items()}
