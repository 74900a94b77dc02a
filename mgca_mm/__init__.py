"""mgca_mm: multi-granularity cross-modal alignment of radiographs and reports, a plugin for MMEngine."""

import importlib
from typing import Any

from . import compat
from .version import __version__

compat.install()

# Name → its module, which is imported when the name is asked for: torch and its libraries take seconds.
_FRONT_DOOR = {
    "RadiographInferencer": "mgca_mm.apis",
    "get_model": "mgca_mm.apis",
    "list_models": "mgca_mm.apis",
    "load_config": "mgca_mm.engine.config",
}

__all__ = ["RadiographInferencer", "__version__", "get_model", "list_models", "load_config"]


def __getattr__(name: str) -> Any:
    if name not in _FRONT_DOOR:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_FRONT_DOOR[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
