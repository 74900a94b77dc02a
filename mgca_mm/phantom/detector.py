"""From thickness maps to gray values: Beer-Lambert attenuation, scatter, noise, film curve, collimation, markers."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from .geometry import BodyFrame, Scene, blur

_HEADROOM = 0.33  # by which soft tissue is denser than middle gray
_DEPTH = 2.2  # optical depth of the reference thickness of soft tissue at chest X-ray energies


@dataclass(frozen=True)
class Exposure:
    """How one image was taken and developed: nuisance that says nothing about the patient."""

    angle: float  # in-plane rotation in radians
    zoom: float  # magnification
    shift: tuple[float, float]  # displacement (x, y) in body units
    dose: float  # photons per pixel behind nothing, in thousands; sets the noise
    scatter: float  # fraction of scattered radiation
    blur: float  # focal blur in body units
    level: float  # error of the automatic exposure, in thickness of soft tissue
    contrast: float  # slope of the film curve
    gamma: float  # exponent of the display
    collimation: tuple[float, float, float, float]  # unexposed border (left, top, right, bottom), fractions
    marker: str  # text of the side marker
    marker_at: tuple[float, float]  # its relative position (x, y) in the image
    tilt: tuple[float, float]  # background gradient (x, y), for instance the heel effect
    black: float = 0.0  # fraction of unattenuated radiation's gray that the display's window cuts off

    @classmethod
    def sample(cls, rng: np.random.Generator, view: str) -> "Exposure":
        """Draw the exposure of one image; bedside (AP) images vary more."""
        bedside = view == "AP"
        collimation = rng.uniform(0.0, 0.045, 4) * (rng.random(4) < 0.3)
        left_marker = rng.random() < 0.6
        x = (0.72 if view == "LATERAL" else rng.uniform(0.80, 0.88)) if left_marker else rng.uniform(0.05, 0.12)
        return cls(
            angle=float(np.deg2rad(np.clip(rng.normal(0, 2.6 if bedside else 1.8), -5, 5))),
            zoom=float(rng.uniform(0.86, 1.06)),
            shift=(float(rng.normal(0, 0.045)), float(rng.normal(0.02, 0.04))),
            dose=float(rng.uniform(1.2, 4.0) if bedside else rng.uniform(3.0, 9.0)),
            scatter=float(rng.uniform(0.15, 0.40) if bedside else rng.uniform(0.08, 0.25)),
            blur=float(rng.uniform(0.002, 0.007)),
            level=float(rng.normal(0.0, 0.07)),
            contrast=float(rng.uniform(2.9, 5.4)),
            gamma=float(np.exp(rng.normal(0, 0.16))),
            collimation=tuple(float(c) for c in collimation),
            marker=("L" if left_marker else "R") if view != "LATERAL" else "L LAT" if left_marker else "LAT",
            marker_at=(float(x), float(rng.uniform(0.06, 0.16))),
            tilt=(float(rng.normal(0, 0.05)), float(rng.normal(0, 0.05))),
        )

    def varied(self, rng: np.random.Generator) -> "Exposure":
        """The same image taken and developed by anyone, of the whole trunk or tight on the lungs."""
        return replace(
            self,
            angle=float(np.deg2rad(np.clip(rng.normal(0, 4), -12, 12))),
            zoom=float(np.exp(rng.uniform(np.log(0.80), np.log(1.36)))),
            shift=(float(rng.normal(0, 0.07)), float(rng.normal(0.02, 0.08))),
            dose=float(np.exp(rng.uniform(np.log(2), np.log(60)))),
            scatter=float(rng.uniform(0.03, 0.6)),
            blur=float(np.exp(rng.uniform(np.log(0.001), np.log(0.010)))),
            level=float(rng.normal(0.0, 0.09)),
            contrast=float(np.exp(rng.uniform(np.log(1.7), np.log(5.0)))),
            gamma=float(np.exp(rng.normal(0, 0.25))),
            tilt=(float(rng.normal(0, 0.11)), float(rng.normal(0, 0.11))),
            black=float(min(rng.uniform(0, 1.8), 1)),
        )


def expose(scene: Scene, exposure: Exposure, rng: np.random.Generator) -> np.ndarray:
    """Take the radiograph of a scene.

    The rays' attenuation is A = sum of thicknesses, the detected intensity I = exp(-A) + s G(exp(-A)) with scatter
    fraction s and a wide blur G, plus quantum noise of variance proportional to I, which alone takes ``rng``. The
    displayed gray, uint8 (H, W), is a sigmoid film curve of -log I, dense structures bright.
    """
    frame = scene.frame
    attenuation = np.maximum(scene.body - scene.air, 0.0) + scene.parenchyma + scene.bone + scene.metal
    intensity = cv2.exp(-_DEPTH * attenuation)
    intensity = cv2.GaussianBlur(intensity, (0, 0), max(exposure.blur * frame.scale, 0.35))
    intensity += exposure.scatter * blur(frame, intensity, 0.22)
    noise = rng.standard_normal(intensity.shape, dtype=np.float32)
    noise *= np.float32(1 / np.sqrt(1000 * exposure.dose))
    intensity += noise * cv2.sqrt(intensity)
    density = cv2.log(np.maximum(intensity, 1e-3)) * np.float32(-1 / _DEPTH)

    # Automatic exposure: the level follows the soft tissue in the middle of the image. The lungs would not do: what
    # fills them would darken the rest of the image.
    h, w = frame.height, frame.width
    tissue = np.quantile(density[h // 6 : -h // 6 : 4, w // 6 : -w // 6 : 4], 0.8)
    x = np.linspace(-exposure.tilt[0], exposure.tilt[0], w, dtype=np.float32)
    y = np.linspace(-exposure.tilt[1], exposure.tilt[1], h, dtype=np.float32)
    density += (x[None, :] + y[:, None]) - np.float32(tissue - _HEADROOM + exposure.level)
    gray = 1 / (1 + cv2.exp(-exposure.contrast * density))
    if exposure.black:
        air = _HEADROOM - exposure.level - tissue
        cut = exposure.black * np.float32(1 / (1 + np.exp(-exposure.contrast * air)))
        gray = np.maximum(gray - cut, 0) / (1 - cut)
    pixels = (255 * cv2.pow(gray, exposure.gamma)).astype(np.uint8)
    _collimate(pixels, exposure)
    _mark(pixels, frame, exposure)
    return pixels


def _collimate(pixels: np.ndarray, exposure: Exposure) -> None:
    height, width = pixels.shape
    left, top, right, bottom = exposure.collimation
    pixels[: round(top * height)] = 0
    pixels[height - round(bottom * height) :] = 0
    pixels[:, : round(left * width)] = 0
    pixels[:, width - round(right * width) :] = 0


def _mark(pixels: np.ndarray, frame: BodyFrame, exposure: Exposure) -> None:
    size = min(frame.height, frame.width) / 256
    x, y = exposure.marker_at
    origin = (round(x * frame.width), round(y * frame.height) + round(10 * size))
    font, thickness = cv2.FONT_HERSHEY_SIMPLEX, max(1, round(size))
    cv2.putText(pixels, exposure.marker, origin, font, 0.5 * size, 245, thickness, cv2.LINE_AA)
