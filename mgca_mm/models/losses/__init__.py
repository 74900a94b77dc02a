from .cross_entropy_dice import CrossEntropyDiceLoss
from .focal_log_dice import FocalLogDiceLoss
from .info_nce import InfoNCELoss
from .sinkhorn import sinkhorn_codes
from .swapped_prediction import SwappedPredictionLoss
from .token_info_nce import TokenInfoNCELoss
from .triplet import TripletLoss

__all__ = [
    "CrossEntropyDiceLoss",
    "FocalLogDiceLoss",
    "InfoNCELoss",
    "SwappedPredictionLoss",
    "TokenInfoNCELoss",
    "TripletLoss",
    "sinkhorn_codes",
]
