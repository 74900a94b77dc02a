"""The phantom: procedural chest radiographs with reports, labels, boxes and masks, all of them exact.

``sample_patient`` draws what is there, ``render`` draws it, ``layouts`` writes it as a public data set would be.
"""

from .anatomy import Anatomy
from .findings import KINDS, ZONES, Finding
from .render import VIEWS, PhantomImage, render
from .reports import Report, Statement
from .study import CHEXPERT_LABELS, PhantomStudy, sample_patient

__all__ = [
    "CHEXPERT_LABELS",
    "KINDS",
    "VIEWS",
    "ZONES",
    "Anatomy",
    "Finding",
    "PhantomImage",
    "PhantomStudy",
    "Report",
    "Statement",
    "render",
    "sample_patient",
]
