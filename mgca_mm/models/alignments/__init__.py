"""A pretraining method is a dict of alignments; each maps the features of both modalities to losses."""

from .base import Alignment
from .captioning import CaptioningAlignment
from .instance import InstanceAlignment
from .local import LocalAlignment
from .location_captioning import LocationCaptioningAlignment
from .matching import MatchingAlignment
from .orthogonal import OrthogonalAlignment
from .prototype import PrototypeAlignment
from .sigmoid import SigmoidAlignment
from .targets import IdenticalReports, LabelSimilarity, ReportSimilarity
from .token import TokenAlignment

__all__ = [
    "Alignment",
    "CaptioningAlignment",
    "IdenticalReports",
    "InstanceAlignment",
    "LabelSimilarity",
    "LocalAlignment",
    "LocationCaptioningAlignment",
    "MatchingAlignment",
    "OrthogonalAlignment",
    "PrototypeAlignment",
    "ReportSimilarity",
    "SigmoidAlignment",
    "TokenAlignment",
]
