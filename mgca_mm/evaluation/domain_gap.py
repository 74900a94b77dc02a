"""Quantities of single radiographs by which made ones may differ from real ones."""

from itertools import pairwise

import cv2
import numpy as np

from mgca_mm.errors import UserError

_SMALLEST = 96  # pixels, so that the middle of what the borders leave holds the largest windows
_BLACK = 12  # gray that compression leaves in an unexposed border, at most
_OCTAVES = (32, 16, 8, 4, 2)  # pixels a cycle
_NOISE_WINDOW = 8
_LAPLACIANS = np.float32([[1, -2, 1], [-2, 4, -2], [1, -2, 1]]) / 6  # blind to planes; keeps the SD of white noise
_PROFILE = 16  # places along a side


def content(image: np.ndarray) -> np.ndarray:
    """The part (h, w) of an image within its black borders; the image itself if less than half of a side is left."""
    rows, columns = (np.flatnonzero(image.max(axis=axis) > _BLACK) for axis in (1, 0))
    if not len(rows):
        return image
    inner = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return inner if min(np.divide(inner.shape, image.shape)) >= 0.5 else image


def middle(image: np.ndarray) -> np.ndarray:
    """The inner half of both sides, which in a frontal radiograph is mostly lungs and heart."""
    height, width = image.shape
    return image[height // 4 : height - height // 4, width // 4 : width - width // 4]


def power_spectrum(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Radial power spectral density of an image (H, W) under a Hann window.

    Returns:
        Frequencies (F,) in cycles a pixel, eight an octave up to 1/2, and the decadic logarithm (F,) of the mean power
        around each, in squared grays times squared pixels; NaN where an image is too small for any.
    """
    gray = image.astype(np.float32) - image.mean(dtype=np.float64)
    window = np.outer(np.hanning(gray.shape[0]), np.hanning(gray.shape[1]))
    power = np.abs(np.fft.rfft2(gray * window)) ** 2 / np.square(window).sum()
    distance = np.hypot(np.fft.fftfreq(gray.shape[0])[:, None], np.fft.rfftfreq(gray.shape[1])[None])
    edges = 0.5 * 2.0 ** (np.arange(-32, 1) / 8)
    bins = np.digitize(distance.ravel(), edges)
    count, total = (np.bincount(bins, each, len(edges) + 1)[1:-1] for each in (None, power.ravel()))
    with np.errstate(invalid="ignore"):
        return np.sqrt(edges[1:] * edges[:-1]), np.log10(total / count + 1e-6)


def measure(image: np.ndarray) -> dict[str, float]:
    """Quantities of a frontal radiograph (H, W) uint8, most of them in gray levels, named ``group/quantity``.

    Borders are left out but for their own size.

    Raises:
        UserError: The image is smaller than 96 pixels.
    """
    if min(image.shape) < _SMALLEST:
        raise UserError(
            f"Images of {min(image.shape)} pixels are too small to measure.\n"
            f"Prepare them with --image-size {_SMALLEST} or more."
        )
    inner = content(image)
    gray = inner.astype(np.float32)
    found = {f"border/{name}": inner.shape[axis] / image.shape[axis] for axis, name in enumerate(("height", "width"))}
    found["border/aspect"] = inner.shape[1] / inner.shape[0]
    for percent in (1, 5, 25, 50, 75, 95, 99):
        found[f"grays/{percent} %"] = float(np.percentile(gray, percent))
    deviation = float(gray.std())
    found |= {
        "grays/mean": float(gray.mean()),
        "grays/SD": deviation,
        "grays/skewness": float(((gray - gray.mean()) ** 3).mean() / max(deviation, 1e-3) ** 3),
        "grays/black": float((inner <= _BLACK).mean()),
        "grays/white": float((inner >= 250).mean()),
    }
    for name, part in (("whole", gray), ("middle", middle(gray))):
        frequencies, power = power_spectrum(part)
        known = np.isfinite(power) & (frequencies > 1 / _OCTAVES[0])
        found[f"spectrum/slope, {name}"] = float(np.polyfit(np.log10(frequencies[known]), power[known], 1)[0])
        for long, short in pairwise(_OCTAVES):
            within = known & (frequencies > 1 / long) & (frequencies < 1 / short)
            found[f"spectrum/{long}-{short} px, {name}"] = float(power[within].mean())
        noise = _local_noise(part)
        found[f"noise/10 %, {name}"], found[f"noise/50 %, {name}"] = np.percentile(noise, (10, 50)).tolist()
        bright = cv2.blur(part, (_NOISE_WINDOW, _NOISE_WINDOW)) > np.median(part)
        if bright.any() and not bright.all():
            ratio = np.percentile(noise[bright], 25) / max(np.percentile(noise[~bright], 25), 0.05)
            found[f"noise/bright to dark, {name}"] = float(np.log2(max(ratio, 0.05)))
        for side in (8, 16):
            mean, square = (cv2.blur(each, (side, side)) for each in (part, part * part))
            local = np.sqrt(np.maximum(square - mean * mean, 0))[side // 2 : -side // 2, side // 2 : -side // 2]
            for percent in (10, 50, 90):
                found[f"contrast/{side} px, {percent} %, {name}"] = float(np.percentile(local, percent))
        across, down = (cv2.Sobel(part, cv2.CV_32F, *order, scale=1 / 8)[1:-1, 1:-1] for order in ((1, 0), (0, 1)))
        steepness = np.hypot(across, down)
        found[f"edges/mean, {name}"] = float(steepness.mean())
        found[f"edges/99 %, {name}"] = float(np.percentile(steepness, 99))
        found[f"edges/density, {name}"] = float((steepness > 8).mean())
        found[f"edges/down to across, {name}"] = float(
            np.log2((down**2).mean() + 1e-3) - np.log2((across**2).mean() + 1e-3)
        )
    small = cv2.resize(gray, (_PROFILE, _PROFILE), interpolation=cv2.INTER_AREA)
    mirrored = np.corrcoef(small.ravel(), small[:, ::-1].ravel())[0, 1] if small.std() > 0 else 1.0
    lungs = float(np.r_[small[4:10, 3:6], small[4:10, 10:13]].mean())
    found |= {
        "layout/symmetry": float(mirrored),
        "layout/upper corners": float(np.r_[small[:3, :2], small[:3, -2:]].mean()),
        "layout/lower corners": float(np.r_[small[-3:, :2], small[-3:, -2:]].mean()),
        "layout/sides": float(np.c_[small[5:11, :1], small[5:11, -1:]].mean()),
        "layout/neck": float(small[:2, 7:9].mean()),
        "layout/lungs": lungs,
        "layout/mediastinum less lungs": float(small[4:10, 7:9].mean()) - lungs,
        "layout/abdomen less lungs": float(small[-2:, 4:12].mean()) - lungs,
    }
    for name, profile in (("row", small.mean(axis=1)), ("column", small.mean(axis=0))):
        found |= {f"profile/{name} {place}": float(value) for place, value in enumerate(profile)}
    return found


def _local_noise(gray: np.ndarray) -> np.ndarray:
    """Standard deviation (H, W) of the noise around each place (Immerkær, CVIU 1996)."""
    deviation = np.abs(cv2.filter2D(gray, -1, _LAPLACIANS)) * np.sqrt(np.pi / 2)
    return cv2.blur(deviation, (_NOISE_WINDOW, _NOISE_WINDOW))
