"""The only home of shims for the ecosystem. Each says why it exists and when it can go.

``mgca_mm/__init__.py`` calls :func:`install` before anything else of the package is imported, so that the shims are
there before the first import of ``mmcv.ops``. Each waits for the module that it is for, so that installing them costs
nothing: an environment may do it whenever Python starts (``tools/setup_env.sh``).
"""

import functools
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

_OPERATORS = "mmcv._ext"
# Warns that a faster evaluator is not installed, in front of all that mmdet does. When: until it warns who asks for it.
_WARNS = "mmdet.evaluation.metrics.faster_coco_metric"


def install() -> None:
    """Install every shim; calling it again changes nothing."""
    if not any(isinstance(finder, _Mended) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Mended())
        # Appended: mmcv's compiled operators are found by the ordinary finders before this one is asked.
        sys.meta_path.append(_Operators())
        for name, mend in _MENDED.items():
            if name in sys.modules:
                mend(sys.modules[name])


class _Operators(importlib.abc.MetaPathFinder):
    """Serves ``mmcv._ext`` by torchvision where mmcv was built without its compiled operators.

    Why: PyPI has mmcv as a source package only, and compiling it takes a compiler and ten minutes, whereas detectors
    need a few operators of it that torchvision has. When: until PyPI has binary wheels of onedl-mmcv.
    """

    def find_spec(self, fullname, path=None, target=None):
        if fullname != _OPERATORS:
            return None
        return importlib.util.spec_from_file_location(fullname, Path(__file__).with_name("mmcv_operators.py"))


class _Mended(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Loads a module of the ecosystem as ever, and mends it before anyone sees it."""

    def __init__(self, loader: importlib.abc.Loader | None = None):
        self._loader = loader

    def find_spec(self, fullname, path=None, target=None):
        if fullname not in _MENDED and fullname != _WARNS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path)
        if spec is not None:
            spec.loader = _Mended(spec.loader)
        return spec

    def exec_module(self, module):
        if module.__name__ == _WARNS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._loader.exec_module(module)
        else:
            self._loader.exec_module(module)
            _MENDED[module.__name__](module)


def _complete(config_utils: ModuleType) -> None:
    """Let ``_base_ = ['mmseg::…']`` and ``['mgca_mm::…']`` resolve.

    Why: MMEngine maps a config's package prefix to a distribution by a fixed table, in which mmseg stands under its
    old distribution name and plugins do not stand at all. When: until the table can be extended by an entry point.
    """
    config_utils.MODULE2PACKAGE |= {"mmseg": "mmseg", "mgca_mm": "mgca_mm"}


def _leave_functions_unmarked(config: ModuleType) -> None:
    """Let a base of a package be trained that names a ``collate_fn``.

    Why: MMEngine marks what comes from a package by ``_scope_``. Every builder takes it out again but the one of
    ``collate_fn``, where it becomes an argument of the function. When: until it is taken out there, too.
    """
    mark = config.Config._dict_to_config_dict

    @functools.wraps(mark)
    def mark_others(cfg, scope=None, has_scope=True):
        marked = mark(cfg, scope, has_scope)
        if isinstance(marked, dict) and isinstance(marked.get("collate_fn"), dict):
            marked["collate_fn"].pop("_scope_", None)
        return marked

    config.Config._dict_to_config_dict = staticmethod(mark_others)  # which calls itself by this name


def _keep_quiet(logger: ModuleType) -> None:
    """Let ``print_log`` without a logger print nothing of the level DEBUG.

    Why: mmdet, mmseg and mmpretrain say so that a package is not installed which nobody has asked for ("Could not
    import OneDL"), and it stands before what every command prints. When: until ``print_log`` looks at the level.
    """
    print_log = logger.print_log
    debug, info = logger.logging.DEBUG, logger.logging.INFO

    @functools.wraps(print_log)
    def by_level(msg, logger=None, level=info):
        if logger is not None or level > debug:
            print_log(msg, logger, level)

    logger.print_log = by_level
    if "mmengine.logging" in sys.modules:  # which hands it on
        sys.modules["mmengine.logging"].print_log = by_level


_MENDED = {
    "mmengine.config.utils": _complete,
    "mmengine.config.config": _leave_functions_unmarked,
    "mmengine.logging.logger": _keep_quiet,
}
