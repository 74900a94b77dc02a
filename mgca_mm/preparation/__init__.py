"""From the raw layout of a public data set to ``data/<name>/``: one module a data set, shared steps beside them."""

from .check import check
from .options import PROTOCOLS, Options
from .pipeline import DATASETS, prepare

__all__ = ["DATASETS", "PROTOCOLS", "Options", "check", "prepare"]
