from .alignment_loss import AlignmentLoss
from .classification import AUROC, ClassificationLoss, Top1Accuracy
from .detection import DetectionMAP
from .grounding import PhraseGrounding
from .report_generation import ReportGeneration
from .retrieval import ClassRetrieval, ImageReportRetrieval, rank_of_best_match
from .segmentation import PerImageDice
from .segmentation_loss import SegmentationLoss

__all__ = [
    "AUROC",
    "AlignmentLoss",
    "ClassRetrieval",
    "ClassificationLoss",
    "DetectionMAP",
    "ImageReportRetrieval",
    "PerImageDice",
    "PhraseGrounding",
    "ReportGeneration",
    "SegmentationLoss",
    "Top1Accuracy",
    "rank_of_best_match",
]
