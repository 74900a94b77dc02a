"""Shenzhen chest X-ray set (Jaeger et al., 2014): tuberculosis or not; lung masks by Stirenko et al. (2018)."""

from pathlib import Path

from . import nlm_tuberculosis
from .collection import Collection
from .options import Options
from .raw_folder import RawFolder

_PREFIX = "CHNCXR"
# Of the authors, whose archive on Kaggle has a folder in a folder, and of the mirror with both sets in one.
_MASKS = (("mask/{}_mask.png",), ("mask/mask/{}_mask.png",), ("masks/{}_mask.png",))


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The images and the masks."""
    return nlm_tuberculosis.find_sources(raw, _PREFIX, _MASKS)


def collect(raw: RawFolder, options: Options) -> Collection:
    """See :func:`.nlm_tuberculosis.collect`; 96 of the 662 published images have no mask."""
    return nlm_tuberculosis.collect(raw, _PREFIX, _MASKS)
