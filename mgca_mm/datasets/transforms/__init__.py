from .formatting import PackImageReportInputs
from .image import ResizeAndPad
from .labels import EncodeLabels
from .loading import LoadRadiograph
from .report import SampleSentence, TokenizeLocation, TokenizeReport
from .segmentation import RandomScaleRotate

__all__ = [
    "EncodeLabels",
    "LoadRadiograph",
    "PackImageReportInputs",
    "RandomScaleRotate",
    "ResizeAndPad",
    "SampleSentence",
    "TokenizeLocation",
    "TokenizeReport",
]
