from .alignment_loss import AlignmentLoss
from .retrieval import ImageReportRetrieval, rank_of_best_match

__all__ = ["AlignmentLoss", "ImageReportRetrieval", "rank_of_best_match"]
