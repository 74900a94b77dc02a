from .index import EmbeddingIndex, Match
from .inferencer import RadiographInferencer, config_beside
from .models import get_model, list_models

__all__ = ["EmbeddingIndex", "Match", "RadiographInferencer", "config_beside", "get_model", "list_models"]
