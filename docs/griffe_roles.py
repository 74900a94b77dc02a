"""Docstrings as Markdown: without the roles of Sphinx, ``:func:``, and its mark of a block, ``::``."""

import re
from typing import Any

import griffe

_ROLE = re.compile(r":(?:attr|class|data|exc|func|meth|mod):`[~.]*")
_BLOCK = re.compile(r"(?<=\w)::$", re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    """Rewrites each docstring when its object is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Take the roles away."""
        if obj.docstring:
            obj.docstring.value = _BLOCK.sub(":", _ROLE.sub("`", obj.docstring.value))
