from .formatting import PackImageReportInputs
from .image import ResizeAndPad
from .loading import LoadRadiograph
from .report import TokenizeReport

__all__ = ["LoadRadiograph", "PackImageReportInputs", "ResizeAndPad", "TokenizeReport"]
