"""Body coordinates, splines and the few drawing primitives every structure of the phantom is made of.

Body coordinates are in units of about half a chest width: x grows to the image's right (the patient's *left* in a
frontal view, *posterior* in a lateral one), y grows downwards, and the origin lies on the midline near the carina.
Shapes are drawn at the resolution of the image, with sub-pixel vertices, on uint8 canvases, because that is where
OpenCV anti-aliases.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

_SHIFT = 4  # fractional bits of the vertices handed to OpenCV


@dataclass(frozen=True)
class Warp:
    """A smooth one-to-one displacement of body coordinates: a stretch, a taper, a droop and waves."""

    waves: np.ndarray  # (K, 5): wave vector (2), phase, displacement (2) of each
    stretch: tuple[float, float] = (1.0, 1.0)  # horizontally and vertically
    taper: float = 0.0  # relative gain of width per unit downwards
    droop: float = 0.0  # descent per squared unit from the midline

    @staticmethod
    def waves_of(
        rng: np.random.Generator, shortest: float, longest: float, steepness: float, count: int = 5
    ) -> np.ndarray:
        """Draw waves (K, 5) of lengths in body units; below a total steepness of 1 nothing folds over."""
        number = 2 * np.pi / rng.uniform(shortest, longest, count)
        toward, along = rng.uniform(0, 2 * np.pi, (2, count))
        size = steepness / count / number
        vectors = (number * np.cos(toward), number * np.sin(toward), rng.uniform(0, 2 * np.pi, count))
        return np.stack([*vectors, size * np.cos(along), size * np.sin(along)], axis=1)

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Displace points (..., 2)."""
        x, y = points[..., 0], points[..., 1]
        points = np.stack([x * (1 + self.taper * y), y + self.droop * x * x], axis=-1) * self.stretch
        return points + np.sin(points @ self.waves[:, :2].T + self.waves[:, 2]) @ self.waves[:, 3:]


@dataclass(frozen=True)
class BodyFrame:
    """The transform from body coordinates to the pixels of one image: a similarity, after warps in varied bodies."""

    height: int  # of the image, in pixels
    width: int
    scale: float  # pixels per body unit
    angle: float  # in-plane rotation in radians
    shift: tuple[float, float]  # displacement (x, y) of the body's center from the image's, in body units
    warps: tuple[Warp, ...] = ()  # applied to body coordinates, one after the other

    @cached_property
    def _affine(self) -> tuple[np.ndarray, np.ndarray]:
        cos, sin = np.cos(self.angle) * self.scale, np.sin(self.angle) * self.scale
        center = np.array([self.width / 2 + self.shift[0] * self.scale, self.height / 2 + self.shift[1] * self.scale])
        return np.array([[cos, sin], [-sin, cos]]), center

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Map body coordinates (..., 2) to pixel coordinates (..., 2)."""
        for warp in self.warps:
            points = warp(points)
        rotation, center = self._affine
        return points @ rotation + center

    def vertices(self, points: np.ndarray) -> np.ndarray:
        """Map body coordinates to the fixed-point int32 vertices that OpenCV draws."""
        return np.rint(self.to_pixels(points) * (1 << _SHIFT)).astype(np.int32)

    def canvas(self) -> np.ndarray:
        """An empty uint8 (H, W) drawing."""
        return np.zeros((self.height, self.width), np.uint8)


@dataclass
class Scene:
    """The maps (H, W) float32 whose weighted sum is the attenuation of one view; findings change them in place.

    Thicknesses are relative to the deepest soft tissue path of an average chest (1.0).
    """

    frame: BodyFrame
    view: str  # 'frontal' or 'lateral'
    body: np.ndarray  # thickness of the body along the ray
    air: np.ndarray  # the part of it which is aerated lung (or pleural air, bowel gas, airway)
    parenchyma: np.ndarray  # soft tissue inside the lung: vessels, interstitium, pleural lines
    bone: np.ndarray
    metal: np.ndarray  # implanted or foreign dense material
    heart: np.ndarray  # its silhouette (bool)
    outlines: dict[str, np.ndarray]  # side → the lung's contour (N, 2) in body coordinates
    lungs: dict[str, np.ndarray]  # side → the drawn outline, float32 in [0, 1]
    hila: dict[str, tuple[float, float]]  # side → root of the lung in body coordinates
    # (side, across, down, depth) → body coordinates; the last three are relative lung coordinates in [0, 1] (medial to
    # lateral, apex to diaphragm, anterior to posterior), of which a view uses two.
    place: Callable[[str, float, float, float], tuple[float, float]]


@lru_cache(maxsize=64)
def _spline_basis(count: int, samples: int) -> np.ndarray:
    """Matrix (count * samples, count) of a closed Catmull-Rom spline through ``count`` control points."""
    t = np.arange(samples) / samples
    weights = (-t / 2 + t**2 - t**3 / 2, 1 - 2.5 * t**2 + 1.5 * t**3, t / 2 + 2 * t**2 - 1.5 * t**3, (t**3 - t**2) / 2)
    basis = np.zeros((count * samples, count))
    for segment in range(count):
        for offset, weight in enumerate(weights):
            basis[segment * samples : (segment + 1) * samples, (segment + offset - 1) % count] += weight
    return basis


def closed_spline(points: list[tuple[float, float]] | np.ndarray, samples: int = 6) -> np.ndarray:
    """Smooth closed contour (N * samples, 2) through control points (N, 2); a doubled point makes a corner."""
    return _spline_basis(len(points), samples) @ np.asarray(points, dtype=np.float64)


def open_spline(points: list[tuple[float, float]] | np.ndarray, samples: int = 8) -> np.ndarray:
    """Smooth curve ((N - 1) * samples + 1, 2) from the first to the last of N control points."""
    there_and_back = np.concatenate([points, points[-2:0:-1]])
    return closed_spline(there_and_back, samples)[: (len(points) - 1) * samples + 1]


def disc(center: tuple[float, float], radii: tuple[float, float], angle: float = 0.0) -> np.ndarray:
    """Contour (32, 2) of an ellipse in body coordinates."""
    t = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    x, y = radii[0] * np.cos(t), radii[1] * np.sin(t)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([center[0] + cos * x - sin * y, center[1] + sin * x + cos * y], axis=1)


def blob(
    rng: np.random.Generator, center: tuple[float, float], radii: tuple[float, float], irregular: float
) -> np.ndarray:
    """Contour of an irregular patch in body coordinates."""
    angle = np.linspace(0, 2 * np.pi, 10, endpoint=False)
    radius = np.clip(rng.normal(1, irregular, 10), 0.4, 1.8)
    ring = np.stack([radii[0] * radius * np.cos(angle), radii[1] * radius * np.sin(angle)], axis=1)
    turn = rng.uniform(0, 2 * np.pi) if irregular else 0.0
    cos, sin = np.cos(turn), np.sin(turn)
    return closed_spline(ring @ np.array([[cos, sin], [-sin, cos]]) + center)


def as_map(canvas: np.ndarray) -> np.ndarray:
    """A uint8 drawing as a float32 map in [0, 1]."""
    return canvas.astype(np.float32) * np.float32(1 / 255)


def fill(frame: BodyFrame, *contours: np.ndarray) -> np.ndarray:
    """Draw filled contours; float32 (H, W) in [0, 1]."""
    canvas = frame.canvas()
    for contour in contours:  # one by one: in a single call overlapping contours would cancel (even-odd rule)
        cv2.fillPoly(canvas, [frame.vertices(contour)], 255, cv2.LINE_AA, _SHIFT)
    return as_map(canvas)


def stroke(
    frame: BodyFrame,
    lines: list[np.ndarray] | np.ndarray,
    width: float,
    canvas: np.ndarray | None = None,
    level: float = 1,
) -> np.ndarray:
    """Draw open polylines (N, 2) of one width and of a value in [0, 1] on a uint8 (H, W) canvas, which is returned.

    Later strokes overwrite earlier ones. Below one pixel a line is drawn fainter instead of thinner.
    """
    canvas = frame.canvas() if canvas is None else canvas
    pixels = width * frame.scale
    value = 255 * level * min(1.0, pixels)
    # One transformation for all lines: there are hundreds of them in an image.
    ends = np.cumsum([len(line) for line in lines])[:-1]
    vertices = np.split(frame.vertices(np.concatenate(list(lines))), ends)
    cv2.polylines(canvas, vertices, False, value, max(1, round(pixels)), cv2.LINE_AA, _SHIFT)
    return canvas


def rounded(frame: BodyFrame, silhouette: np.ndarray, radius: float, reduce: int = 2) -> np.ndarray:
    """Thickness of a body with the given silhouette whose edges are rounded like a circle's.

    With d the distance to the edge in units of ``radius`` (in body units), the relative chord is sqrt(d (2 - d)), 1 for
    d > 1. Silhouette and thickness are float32 (H, W) in [0, 1]; the slowly varying map is computed ``reduce`` times
    smaller.
    """
    # Linear, not area interpolation: ten times faster for sizes that are no multiples, and what follows is smooth.
    small = cv2.resize(silhouette, (frame.width // reduce, frame.height // reduce), interpolation=cv2.INTER_LINEAR)
    # Beyond the image's border the body goes on: distances count to its own edge only, so replicate the border.
    inside = cv2.copyMakeBorder((small > 0.5).astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)[1:-1, 1:-1]
    distance = np.minimum(distance * np.float32(reduce / (radius * frame.scale)), 1)
    chord = cv2.resize(np.sqrt(distance * (2 - distance)), (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
    return chord * silhouette


def blur(frame: BodyFrame, image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur by ``sigma`` body units; wide blurs are computed on a reduced image."""
    pixels = sigma * frame.scale
    reduce = 4 if pixels > 8 else 2 if pixels > 3 else 1
    if reduce > 1:
        size = (frame.width // reduce, frame.height // reduce)
        small = cv2.GaussianBlur(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), (0, 0), pixels / reduce)
        return cv2.resize(small, (frame.width, frame.height), interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(image, (0, 0), max(pixels, 0.3))


def smooth_noise(frame: BodyFrame, rng: np.random.Generator, grain: float) -> np.ndarray:
    """Unit-variance random field float32 (H, W) with grains of about ``grain`` body units."""
    cell = max(grain * frame.scale, 1.0)
    shape = (int(frame.height / cell) + 4, int(frame.width / cell) + 4)
    coarse = rng.standard_normal(shape, dtype=np.float32)
    field_ = cv2.resize(coarse, (round(shape[1] * cell), round(shape[0] * cell)), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(field_[: frame.height, : frame.width])


def fractal_noise(frame: BodyFrame, rng: np.random.Generator, grain: float, octaves: int, decay: float) -> np.ndarray:
    """Random field float32 (H, W) of about unit variance; octave after octave half the grain, ``decay`` as strong."""
    weights = decay ** np.arange(octaves)
    weights = (weights / np.sqrt((weights**2).sum())).astype(np.float32)
    field_ = np.zeros((2, 2), np.float32)
    for octave, weight in enumerate(weights):
        cell = max(grain * frame.scale / 2**octave, 1.0)
        shape = (int(frame.height / cell) + 2, int(frame.width / cell) + 2)
        field_ = cv2.resize(field_, shape[::-1], interpolation=cv2.INTER_CUBIC)
        field_ += weight * rng.standard_normal(shape, dtype=np.float32)
    return cv2.resize(field_, (frame.width, frame.height), interpolation=cv2.INTER_CUBIC)
