from .focal_log_dice import FocalLogDiceLoss
from .info_nce import InfoNCELoss
from .sinkhorn import sinkhorn_codes
from .swapped_prediction import SwappedPredictionLoss
from .token_info_nce import TokenInfoNCELoss

__all__ = ["FocalLogDiceLoss", "InfoNCELoss", "SwappedPredictionLoss", "TokenInfoNCELoss", "sinkhorn_codes"]
