"""DICOM files in the forms radiographs come in: transfer syntaxes, bit depths, windows and inverted grays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from .encode import encode_image
from .study import PhantomStudy


def write_dicom(path: Path, pixels: np.ndarray, kind: str = "jpeg_baseline", **attributes: object) -> None:
    """Write a radiograph, and the folders above; the same arguments give the same bytes.

    Args:
        path: The file.
        pixels: The grays to be displayed, uint8 (H, W), dense structures bright. GDCM's encoders, of ``jpeg_lossless``,
            ``jpeg_ls`` and ``jpeg_2000``, want sides of 64 pixels or more and an even number of pixels.
        kind: One of ``FORMS``.
        **attributes: DICOM attributes by keyword, ``SOPInstanceUID`` among them.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    # Our own, for pydicom would write its version.
    dataset.file_meta.ImplementationClassUID = make_uid("mgca_mm.phantom")
    dataset.file_meta.ImplementationVersionName = "MGCA_MM_PHANTOM"
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    _WRITERS[kind](path, pixels, dataset)


def describe(study: PhantomStudy, view: str) -> dict[str, object]:
    """The attributes that describe the patient and the examination."""
    return {
        "StudyDate": str(study.date),
        "StudyTime": study.time,
        "Modality": "CR",
        "ConversionType": "WSD",
        "SeriesDescription": f"view: {view}",
        "PatientSex": study.anatomy.sex,
        "PatientAge": f"{study.anatomy.age:03d}Y",
        "BodyPartExamined": "CHEST",
        "ViewPosition": view,
    }


def make_uid(*names: object) -> str:
    """A unique identifier that depends on the names only."""
    return str(generate_uid(entropy_srcs=["/".join(map(str, names))]))


def _save(path: Path, dataset: Dataset, syntax: UID) -> None:
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)


def _write_jpeg_baseline(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
    dataset.set_pixel_data(pixels, "MONOCHROME2", 8, generate_instance_uid=False)
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = encapsulate([encode_image(pixels, ".jpg")])
    _save(path, dataset, JPEGBaseline8Bit)


def _write_monochrome1(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
    """Low values are displayed bright, so the values are inverted."""
    dataset.set_pixel_data(255 - pixels, "MONOCHROME1", 8, generate_instance_uid=False)
    _save(path, dataset, ExplicitVRLittleEndian)


def _write_window_12bit(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
    """Twelve bits in sixteen, a modality rescale and a window.

    A gray g is stored as 200 + 14 g, black and white far outside of the window, as in detectors' files: a reader that
    scales by the extremes instead of the window shows another image.
    """
    stored = 200 + 14 * pixels.astype(np.uint16)
    stored[pixels == 0], stored[pixels == 255] = 0, 4095
    dataset.set_pixel_data(stored, "MONOCHROME2", 12, generate_instance_uid=False)
    slope, intercept = 2, -1000
    darkest, brightest = (slope * (200 + 14 * gray) + intercept for gray in (0, 255))
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, intercept, "US"
    # The window of the LINEAR function runs from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2.
    dataset.WindowCenter = (darkest + brightest) / 2 + 0.5
    dataset.WindowWidth = brightest - darkest + 1
    _save(path, dataset, ExplicitVRLittleEndian)


def _write_full_16bit(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
    """All sixteen bits in use and no window: the range of the stored values is what is displayed."""
    dataset.set_pixel_data(257 * pixels.astype(np.uint16), "MONOCHROME2", 16, generate_instance_uid=False)
    _save(path, dataset, ExplicitVRLittleEndian)


def _write_implicit_vr(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
    dataset.set_pixel_data(pixels, "MONOCHROME2", 8, generate_instance_uid=False)
    _save(path, dataset, ImplicitVRLittleEndian)


def _write_rle(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
    dataset.set_pixel_data(pixels, "MONOCHROME2", 8, generate_instance_uid=False)
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)
    _save(path, dataset, RLELossless)


def _write_by_gdcm(syntax: UID) -> Callable[[Path, np.ndarray, Dataset], None]:
    """A writer for a lossless transfer syntax that pydicom decodes by GDCM but does not encode."""

    def write_compressed(path: Path, pixels: np.ndarray, dataset: Dataset) -> None:
        import gdcm  # slow to import, and used in some files only

        dataset.set_pixel_data(pixels, "MONOCHROME2", 8, generate_instance_uid=False)
        _save(path, dataset, ExplicitVRLittleEndian)
        reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
        reader.SetFileName(str(path))
        done = reader.Read()
        change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
        change.SetInput(reader.GetImage())
        done = done and change.Change()
        writer.SetFileName(str(path))  # empties the file, so not before it is read
        writer.SetFile(reader.GetFile())
        writer.SetImage(change.GetOutput())
        if not (done and writer.Write()):
            raise RuntimeError(f"{path}: GDCM cannot encode {syntax.name}")
        # Of GDCM's file the pixels only: its header names GDCM's version.
        dataset.PixelData = dcmread(path).PixelData
        _save(path, dataset, syntax)

    return write_compressed


_WRITERS: dict[str, Callable[[Path, np.ndarray, Dataset], None]] = {
    "jpeg_baseline": _write_jpeg_baseline,
    "monochrome1": _write_monochrome1,
    "window_12bit": _write_window_12bit,
    "full_16bit": _write_full_16bit,
    "implicit_vr": _write_implicit_vr,
    "rle": _write_rle,
    "jpeg_lossless": _write_by_gdcm(JPEGLosslessSV1),
    "jpeg_ls": _write_by_gdcm(JPEGLSLossless),
    "jpeg_2000": _write_by_gdcm(JPEG2000Lossless),
}
FORMS = tuple(_WRITERS)
