"""DICOM files in the forms radiographs come in: transfer syntaxes, bit depths, windows and inverted grays."""

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
    syntax, store = _FORMS[kind]
    store(dataset, pixels)
    if syntax in _BY_GDCM:
        dataset.PixelData = _compress(path, dataset, syntax)
    _save(path, dataset, syntax)


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


def _store(dataset: Dataset, values: np.ndarray, interpretation: str = "MONOCHROME2", bits: int = 8) -> None:
    dataset.set_pixel_data(values, interpretation, bits, generate_instance_uid=False)


def _store_jpeg_baseline(dataset: Dataset, pixels: np.ndarray) -> None:
    _store(dataset, pixels)
    dataset.LossyImageCompression = "01"
    dataset.LossyImageCompressionMethod = "ISO_10918_1"
    dataset.PixelData = encapsulate([encode_image(pixels, ".jpg")])


def _store_monochrome1(dataset: Dataset, pixels: np.ndarray) -> None:
    """Low values are displayed bright, so the values are inverted."""
    _store(dataset, 255 - pixels, "MONOCHROME1")


def _store_window_12bit(dataset: Dataset, pixels: np.ndarray) -> None:
    """Twelve bits in sixteen, a modality rescale and a window.

    A gray g is stored as 200 + 14 g, black and white far outside of the window, as in detectors' files: a reader that
    scales by the extremes instead of the window shows another image.
    """
    stored = 200 + 14 * pixels.astype(np.uint16)
    stored[pixels == 0], stored[pixels == 255] = 0, 4095
    _store(dataset, stored, bits=12)
    slope, intercept = 2, -1000
    darkest, brightest = (slope * (200 + 14 * gray) + intercept for gray in (0, 255))
    dataset.RescaleSlope, dataset.RescaleIntercept, dataset.RescaleType = slope, intercept, "US"
    # The window of the LINEAR function runs from center - 0.5 - (width - 1) / 2 to center - 0.5 + (width - 1) / 2.
    dataset.WindowCenter = (darkest + brightest) / 2 + 0.5
    dataset.WindowWidth = brightest - darkest + 1


def _store_full_16bit(dataset: Dataset, pixels: np.ndarray) -> None:
    """All sixteen bits in use and no window: nearly the range of the stored values is what is displayed."""
    _store(dataset, 257 * pixels.astype(np.uint16), bits=16)


def _store_rle(dataset: Dataset, pixels: np.ndarray) -> None:
    _store(dataset, pixels)
    dataset.compress(RLELossless, encoding_plugin="pydicom", generate_instance_uid=False)


def _compress(path: Path, dataset: Dataset, syntax: UID) -> bytes:
    """The pixels in a lossless transfer syntax that pydicom decodes by GDCM but does not encode."""
    import gdcm  # slow to import, and used in some files only

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
    return dcmread(path).PixelData  # of GDCM's file the pixels only: its header names GDCM's version


_BY_GDCM = (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)
# Form → its transfer syntax, and what puts the pixels into the data set.
_FORMS: dict[str, tuple[UID, Callable[[Dataset, np.ndarray], None]]] = {
    "jpeg_baseline": (JPEGBaseline8Bit, _store_jpeg_baseline),
    "monochrome1": (ExplicitVRLittleEndian, _store_monochrome1),
    "window_12bit": (ExplicitVRLittleEndian, _store_window_12bit),
    "full_16bit": (ExplicitVRLittleEndian, _store_full_16bit),
    "implicit_vr": (ImplicitVRLittleEndian, _store),
    "rle": (RLELossless, _store_rle),
    "jpeg_lossless": (JPEGLosslessSV1, _store),
    "jpeg_ls": (JPEGLSLossless, _store),
    "jpeg_2000": (JPEG2000Lossless, _store),
}
FORMS = tuple(_FORMS)
