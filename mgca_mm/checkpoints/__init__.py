"""Checkpoints of other projects, in our names, and ours for other libraries.

``mgca_mm.checkpoints.conversion.extract`` is not imported here: it needs the models, which need this package.
"""

from .conversion.released_mgca import convert_released_mgca
from .conversion.renaming import ConvertedCheckpoint

__all__ = ["ConvertedCheckpoint", "convert_released_mgca"]
