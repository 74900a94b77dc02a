"""From the raw layout of a public data set to ``data/<name>/``: one module a data set, shared steps beside them."""

from .check import check
from .pipeline import DATASETS, Options, prepare

__all__ = ["DATASETS", "Options", "check", "prepare"]
