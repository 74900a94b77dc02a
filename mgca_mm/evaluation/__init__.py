from .alignment_loss import AlignmentLoss
from .classification import AUROC, ClassificationLoss, Top1Accuracy
from .detection import DetectionMAP
from .report_generation import ReportGeneration
from .retrieval import ImageReportRetrieval, rank_of_best_match
from .segmentation import PerImageDice
from .segmentation_loss import SegmentationLoss

__all__ = [
    "AUROC",
    "AlignmentLoss",
    "ClassificationLoss",
    "DetectionMAP",
    "ImageReportRetrieval",
    "PerImageDice",
    "ReportGeneration",
    "SegmentationLoss",
    "Top1Accuracy",
    "rank_of_best_match",
]
