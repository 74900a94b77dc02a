"""Writers of the phantom in the directory layouts of public data sets, one module a layout."""

from collections.abc import Callable
from functools import partial

from . import (
    chexpert,
    chexpert_plus,
    covid_chestxray,
    covidx,
    iu_xray,
    mimic_cxr,
    montgomery,
    nih_chestxray14,
    object_cxr,
    padchest,
    rsna_pneumonia,
    shenzhen,
    siim_pneumothorax,
    vindr_cxr,
)
from .layout import APPEARANCES, PhantomOptions, write

_MODULES = (
    *(mimic_cxr, chexpert, rsna_pneumonia, covidx, object_cxr, siim_pneumothorax, iu_xray, covid_chestxray),
    *(chexpert_plus, padchest, nih_chestxray14),
    *(vindr_cxr, shenzhen, montgomery),
)

# Called as LAYOUTS[name](out, options, workers=1, progress=True); see layout.write.
LAYOUTS: dict[str, Callable[..., dict]] = {module.LAYOUT.name: partial(write, module.LAYOUT) for module in _MODULES}
write_mimic_cxr = LAYOUTS["mimic_cxr"]

__all__ = ["APPEARANCES", "LAYOUTS", "PhantomOptions", "write_mimic_cxr"]
