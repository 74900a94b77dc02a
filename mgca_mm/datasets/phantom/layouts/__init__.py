"""Writers of the phantom in the directory layouts of public data sets, one module a layout."""

from .mimic_cxr import Options, write_mimic_cxr

LAYOUTS = {"mimic_cxr": write_mimic_cxr}

__all__ = ["LAYOUTS", "Options", "write_mimic_cxr"]
