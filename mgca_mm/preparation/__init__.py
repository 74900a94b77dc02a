"""From the raw layout of a public data set to ``data/<name>/``: one module a data set, shared steps beside them.

The module of a data set has two functions. ``find_sources(raw)`` gives the files that decide the result, by name: the
same ones make a second preparation needless. ``collect(raw, options)`` reads them and gives a ``Collection``, with the
samples in the order in which they first stand in the tables (of reports: by number). The first raises a ``UserError``
where a file is missing or is none; the second where a table is malformed, leads out of the folder or repeats an image
in a way that the data set does not have, and where too few patients are left to divide.
"""

from .check import check
from .options import PROTOCOLS, Options
from .pipeline import prepare

__all__ = ["PROTOCOLS", "Options", "check", "prepare"]
