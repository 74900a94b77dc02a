"""From the stored values of a DICOM image to its display, by the equations of the standard (PS3.3 C.7.6.3, C.11).

All that is done to a gray value depends on the value alone, so it is done to each bit pattern that a pixel can have.
"""

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mgca_mm.errors import UserError

from .grays import cells_of, count_cells, look_up, shown_range, stretch

if TYPE_CHECKING:
    from pydicom import Dataset

_SAMPLED_ROWS = 256
_MAX_VIEWS = 16  # that are tried


def to_display(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Gray levels (H, W), uint8, of decoded pixels (H, W) of 8 or 16 bits.

    Raises:
        UserError: The rescale is not finite.
    """
    cells = cells_of(pixels)
    counts = count_cells(cells)
    kind = np.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{cells.itemsize}")
    values = np.arange(len(counts)).astype(cells.dtype).view(kind).astype(np.int64)
    ends = _padding_range(values, dataset)
    padding = _within(values, ends)
    counts[padding] = 0
    stored, bits = _stored_values(values, cells, counts, dataset)
    padding |= _within(stored, ends)
    counts[padding] = 0
    if ends and not counts.any():  # an image of nothing but padding is none: the attribute is wrong
        del dataset.PixelPaddingValue
        return to_display(pixels, dataset)
    shown = _display(stored, counts, bits, dataset)
    # PresentationLUTShape, which is INVERSE with MONOCHROME1 (C.8.11.3.1.2), says the same once more.
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        shown = 255 - shown
    shown[padding] = 0
    return look_up(shown, cells)


def stored_range(bits: int, signed: bool) -> tuple[int, int]:
    """Smallest and largest value some bits can hold."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)


def numbers(dataset: "Dataset", name: str) -> list[float]:
    """The values of an attribute that are numbers; none where it is missing or empty."""
    return [value for value in _values(dataset, name) if not math.isnan(value)]


def _values(dataset: "Dataset", name: str) -> list[float]:
    """The values of an attribute, NaN for one that is no number."""
    from pydicom.datadict import dictionary_VR

    try:
        value = dataset.get(name)
    except Exception:  # pydicom has many for a value that is not as its type should be, though others of it may be
        value = dataset.get_item(name).value if dictionary_VR(name) == "DS" else None
    if isinstance(value, bytes):
        value = value.split(b"\\")
    return [_number(each) for each in ([value] if isinstance(value, str | float | int) else value or ())]


def _number(value: object) -> float:
    try:
        return float(value.strip(b" \0") if isinstance(value, bytes) else value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _padding_range(values: np.ndarray, dataset: "Dataset") -> tuple[int, int] | None:
    """From which stored value to which a pixel is padding (C.7.5.1.1.2); the limit may be on either side."""
    ends = [numbers(dataset, name)[:1] for name in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    size = len(values)
    if not ends[0] or not all(-size / 2 <= end < size for end in (*ends[0], *ends[1])):
        return None
    # Some write a negative number as the unsigned one of the same bits, or the other way round.
    found = sorted(int(values[int(end) % size]) for end in (*ends[0], *ends[1]))
    return found[0], found[-1]


def _within(values: np.ndarray, ends: tuple[int, int] | None) -> np.ndarray:
    return (values >= ends[0]) & (values <= ends[1]) if ends else np.zeros(values.shape, bool)


def _stored_values(
    values: np.ndarray, cells: np.ndarray, counts: np.ndarray, dataset: "Dataset"
) -> tuple[np.ndarray, int]:
    """The stored value of each bit pattern, and how many bits such values have.

    Above the stored bits a pixel may have anything, as overlays of former times (PS3.5, 8.1.1). Yet some headers name
    fewer bits than the values have: then leaving bits out breaks the image up, which shows in its differences.
    """
    bits = dataset.BitsStored
    low, high = stored_range(bits, dataset.PixelRepresentation)
    if not counts[(values < low) | (values > high)].any():
        return values, bits
    above = int((numbers(dataset, "HighBit") or [bits - 1])[0]) + 1 - bits
    above = above if 0 < above <= 8 * cells.itemsize - bits else 0
    masked = (np.arange(len(values)) >> above) % 2**bits
    masked[masked > high] -= 2**bits
    sample = cells[:: -(-len(cells) // _SAMPLED_ROWS)]
    whole, broken_up = (
        np.abs(np.diff(np.where(counts > 0, table, 0)[sample], axis=1)).sum() for table in (values, masked)
    )
    return (values, 8 * cells.itemsize) if whole < broken_up and not above else (masked, bits)


def _display(stored: np.ndarray, counts: np.ndarray, bits: int, dataset: "Dataset") -> np.ndarray:
    """Modality LUT or rescale, then the first VOI LUT or window that shows more than one gray, or else the range."""
    signed = bool(dataset.PixelRepresentation)
    slope = (numbers(dataset, "RescaleSlope") or [1.0])[0] or 1.0
    intercept = (numbers(dataset, "RescaleIntercept") or [0.0])[0]
    lut = next(_luts(dataset, "ModalityLUTSequence", signed), None)
    gray = lut.of(stored) if lut else stored * slope + intercept
    if not np.isfinite(gray).all():
        raise UserError("RescaleSlope or RescaleIntercept is not finite; correct it in the header")
    present = counts > 0
    for shown in islice(_views(gray, dataset), _MAX_VIEWS):
        if np.ptp(shown[present]) or not np.ptp(gray[present]):
            return shown
    if bits <= 8 and not lut:
        low, high = sorted(slope * end + intercept for end in stored_range(bits, signed))
    else:
        low, high = shown_range(gray, counts)
    return stretch(gray, low, high)


def _views(gray: np.ndarray, dataset: "Dataset") -> Iterator[np.ndarray]:
    """What the VOI LUTs and windows of a header show of modality values, in order (C.11.2); unusable ones left out."""
    for lut in _luts(dataset, "VOILUTSequence", gray.min() < 0):
        # The entries may end below what the bits of the descriptor can hold, or above.
        yield stretch(lut.of(gray), 0, lut.entries.max())
    function = str(dataset.get("VOILUTFunction") or "").strip().upper()
    centers, widths = (_values(dataset, name) for name in ("WindowCenter", "WindowWidth"))
    if len(widths) == 1:  # for all of them
        widths *= len(centers)
    for center, width in zip(centers, widths, strict=False):
        if not np.isfinite([center, width]).all() or width <= 0:
            continue
        if function == "SIGMOID":
            yield stretch(1 / (1 + np.exp(-4 * (gray - center) / width)), 0, 1)
        elif function == "LINEAR_EXACT":
            yield stretch(gray, center - width / 2, center + width / 2)
        elif width > 1:
            yield stretch(gray, center - 0.5 - (width - 1) / 2, center - 0.5 + (width - 1) / 2)
        elif width == 1:
            yield np.where(gray > center - 0.5, 255, 0).astype(np.uint8)


class _Lut(NamedTuple):
    first: int  # the value that the first entry stands for; those below have it, too
    entries: np.ndarray

    def of(self, values: np.ndarray) -> np.ndarray:
        """The entries of some values (C.11.1.1)."""
        return self.entries[np.clip(np.rint(values) - self.first, 0, len(self.entries) - 1).astype(np.int64)]


def _luts(dataset: "Dataset", name: str, signed: bool) -> Iterator[_Lut]:
    """The LUTs of a sequence over values that may be negative or not; without those that lack entries."""
    for item in dataset.get(name) or ():
        descriptor, data = item.get("LUTDescriptor"), item.get("LUTData")
        if not isinstance(descriptor, Sequence) or len(descriptor) != 3 or not data:
            continue
        # As words (US) or their bytes (OW), in which 8-bit entries may stand in pairs.
        order = "<" if dataset.original_encoding[1] else ">"
        words = np.frombuffer(data, f"{order}u2") if isinstance(data, bytes) else np.array(data, ndmin=1) % 2**16
        length, first = int(descriptor[0]) % 2**16 or 2**16, int(descriptor[1]) % 2**16
        is_packed = len(words) < length and descriptor[2] <= 8
        entries = words.astype("<u2").view(np.uint8) if is_packed else words
        if len(entries) < length:
            continue
        # The first value has the sign of those it is for, whatever the element's type.
        yield _Lut(first - 2**16 if signed and first >= 2**15 else first, entries[:length].astype(np.int64))
