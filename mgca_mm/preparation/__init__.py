"""From the raw layout of a public data set to ``data/<name>/``: one module a data set, shared steps beside them."""

from .check import check
from .options import PROTOCOLS, Options
from .pipeline import prepare

__all__ = ["PROTOCOLS", "Options", "check", "prepare"]
