from .alignments import InstanceAlignment, PrototypeAlignment, SigmoidAlignment, TokenAlignment
from .attention import CrossModalAttention, SimilarityAttention
from .data_preprocessor import ImageReportDataPreprocessor
from .image_encoders import ImageEncoder
from .losses import FocalLogDiceLoss, InfoNCELoss, SwappedPredictionLoss, TokenInfoNCELoss
from .pretrainer import ImageReportPretrainer
from .projectors import Projector
from .text_encoders import ReleasedWordMerging, TextEncoder, WordMerging

__all__ = [
    "CrossModalAttention",
    "FocalLogDiceLoss",
    "ImageEncoder",
    "ImageReportDataPreprocessor",
    "ImageReportPretrainer",
    "InfoNCELoss",
    "InstanceAlignment",
    "Projector",
    "PrototypeAlignment",
    "ReleasedWordMerging",
    "SigmoidAlignment",
    "SimilarityAttention",
    "SwappedPredictionLoss",
    "TextEncoder",
    "TokenAlignment",
    "TokenInfoNCELoss",
    "WordMerging",
]
