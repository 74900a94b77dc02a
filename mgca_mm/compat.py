"""The only home of shims for the ecosystem. Each says why it exists and when it can go.

``mgca_mm/__init__.py`` calls :func:`install` before anything else of the package is imported, so that the shims are
there before the first import of ``mmcv.ops``.
"""

import importlib.abc
import importlib.machinery
import sys
import types

_FULL_BUILD = (
    "it needs mmcv's compiled operators: install torch first, then "
    "`MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary onedl-mmcv onedl-mmcv`"
)


def install() -> None:
    """Install every shim; calling it again changes nothing."""
    _provide_mmcv_ext()
    _complete_config_packages()


def _provide_mmcv_ext() -> None:
    """Serve ``mmcv._ext`` from torchvision where mmcv was built without its compiled operators.

    Why: PyPI has mmcv as a source package only, and compiling it takes a compiler and ten minutes, whereas YOLOv3
    needs nothing of it but ``nms``. When: until PyPI has binary wheels of onedl-mmcv.
    """
    if not any(isinstance(finder, _MMCVExtFinder) for finder in sys.meta_path):
        # Appended, not prepended: a real mmcv._ext is found by the ordinary finders before this one is asked.
        sys.meta_path.append(_MMCVExtFinder())


class _MMCVExtFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds ``mmcv._ext`` when no other finder does."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname == "mmcv._ext":
            return importlib.machinery.ModuleSpec(fullname, self)
        return None

    def create_module(self, spec):
        module = types.ModuleType(spec.name, "mmcv._ext served by torchvision: nms only.")
        module.nms = _nms
        module.__getattr__ = _missing_operator
        return module

    def exec_module(self, module):
        """Nothing to run: the module is complete when it is created."""


def _nms(boxes, scores, iou_threshold: float, offset: int = 0):
    """Stand-in for mmcv's ``nms``: indices of the kept boxes (x1, y1, x2, y2), best score first.

    ``offset=1`` counts pixels inclusively (width = x2 - x1 + 1), which is the same as moving the far corner by one.
    """
    from torchvision.ops import nms

    return nms(boxes + boxes.new_tensor([0, 0, offset, offset]), scores, float(iou_threshold))


def _missing_operator(name: str):
    if name.startswith("__"):
        raise AttributeError(name)

    def operator(*args, **kwargs):
        raise NotImplementedError(f"mmcv operator `{name}` is not available: {_FULL_BUILD}")

    return operator


def _complete_config_packages() -> None:
    """Let ``_base_ = ['mmseg::…']`` and ``['mgca_mm::…']`` resolve.

    Why: MMEngine maps a config's package prefix to a distribution by a fixed table, in which mmseg stands under its
    old distribution name and plugins do not stand at all. When: until the table can be extended by an entry point.
    """
    from mmengine.config.utils import MODULE2PACKAGE

    MODULE2PACKAGE["mmseg"] = "mmseg"
    MODULE2PACKAGE["mgca_mm"] = "mgca_mm"
