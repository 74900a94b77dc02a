from .index import EmbeddingIndex, Match
from .inferencer import RadiographInferencer, config_beside

__all__ = ["EmbeddingIndex", "Match", "RadiographInferencer", "config_beside"]
