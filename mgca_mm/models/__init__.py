from .alignments import (
    Alignment,
    CaptioningAlignment,
    IdenticalReports,
    InstanceAlignment,
    LabelSimilarity,
    LocalAlignment,
    LocationCaptioningAlignment,
    MatchingAlignment,
    OrthogonalAlignment,
    PrototypeAlignment,
    ReportSimilarity,
    SigmoidAlignment,
    TokenAlignment,
)
from .attention import CrossModalAttention, SimilarityAttention
from .data_preprocessor import ImageReportDataPreprocessor
from .decoders import LSTMDecoder, MemoryTransformerDecoder
from .grounding import PhraseGrounder
from .image_encoders import ImageEncoder
from .losses import (
    CrossEntropyDiceLoss,
    FocalLogDiceLoss,
    InfoNCELoss,
    SwappedPredictionLoss,
    TokenInfoNCELoss,
    TripletLoss,
)
from .masked_record import MaskedRecordDataPreprocessor, MaskedRecordModel
from .pooling import WeldonPooling
from .pretrainer import ImageReportPretrainer
from .projectors import LinearProjector, Projector
from .text_encoders import ReleasedWordMerging, TextEncoder, WordMerging
from .zero_shot import ZeroShotClassifier

__all__ = [
    "Alignment",
    "CaptioningAlignment",
    "CrossEntropyDiceLoss",
    "CrossModalAttention",
    "FocalLogDiceLoss",
    "IdenticalReports",
    "ImageEncoder",
    "ImageReportDataPreprocessor",
    "ImageReportPretrainer",
    "InfoNCELoss",
    "InstanceAlignment",
    "LSTMDecoder",
    "LabelSimilarity",
    "LinearProjector",
    "LocalAlignment",
    "LocationCaptioningAlignment",
    "MaskedRecordDataPreprocessor",
    "MaskedRecordModel",
    "MatchingAlignment",
    "MemoryTransformerDecoder",
    "OrthogonalAlignment",
    "PhraseGrounder",
    "Projector",
    "PrototypeAlignment",
    "ReleasedWordMerging",
    "ReportSimilarity",
    "SigmoidAlignment",
    "SimilarityAttention",
    "SwappedPredictionLoss",
    "TextEncoder",
    "TokenAlignment",
    "TokenInfoNCELoss",
    "TripletLoss",
    "WeldonPooling",
    "WordMerging",
    "ZeroShotClassifier",
]
