"""Montgomery County chest X-ray set (Jaeger et al., 2014): tuberculosis or not; masks of the left and right lung."""

from pathlib import Path

from . import nlm_tuberculosis
from .collection import Collection
from .options import Options
from .raw_folder import RawFolder

_PREFIX = "MCUCXR"
# As published, and united in the mirror with both sets in one.
_MASKS = (("ManualMask/leftMask/{}.png", "ManualMask/rightMask/{}.png"), ("masks/{}.png",))


def find_sources(raw: RawFolder) -> dict[str, list[Path]]:
    """The images and the masks."""
    return nlm_tuberculosis.find_sources(raw, _PREFIX, _MASKS)


def collect(raw: RawFolder, options: Options) -> Collection:
    """See :func:`.nlm_tuberculosis.collect`; the mask is that of both lungs together."""
    return nlm_tuberculosis.collect(raw, _PREFIX, _MASKS)
