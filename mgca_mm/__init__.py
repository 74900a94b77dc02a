"""mgca_mm: multi-granularity cross-modal alignment of radiographs and reports, a plugin for MMEngine."""

from . import compat
from .version import __version__

compat.install()

__all__ = ["__version__"]
