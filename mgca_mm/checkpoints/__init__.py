"""Checkpoints of other projects, in our names, and ours for other libraries.

``mgca_mm.checkpoints.extract`` is not imported here: it needs the models, which need this package.
"""

from .conversion import ConvertedCheckpoint
from .released_mgca import convert_released_mgca

__all__ = ["ConvertedCheckpoint", "convert_released_mgca"]
