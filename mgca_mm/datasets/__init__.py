from .image_report import ImageReportDataset, require_prepared
from .transforms import LoadRadiograph, PackImageReportInputs, ResizeAndPad, TokenizeReport

__all__ = [
    "ImageReportDataset",
    "LoadRadiograph",
    "PackImageReportInputs",
    "ResizeAndPad",
    "TokenizeReport",
    "require_prepared",
]
