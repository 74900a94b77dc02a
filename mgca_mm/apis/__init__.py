from .index import EmbeddingIndex, Match
from .inferencer import RadiographInferencer
from .models import get_model, list_models
from .run_folder import config_beside
from .stock_configs import swap_backbone

__all__ = [
    "EmbeddingIndex",
    "Match",
    "RadiographInferencer",
    "config_beside",
    "get_model",
    "list_models",
    "swap_backbone",
]
