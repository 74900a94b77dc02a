"""A pretraining method is a dict of alignments; each maps the features of both modalities to losses."""

from .base import Alignment
from .instance import InstanceAlignment
from .prototype import PrototypeAlignment
from .sigmoid import SigmoidAlignment
from .token import TokenAlignment

__all__ = ["Alignment", "InstanceAlignment", "PrototypeAlignment", "SigmoidAlignment", "TokenAlignment"]
