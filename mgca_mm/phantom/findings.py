"""The findings: what they are and how each changes the thickness maps of a scene.

A painter takes a scene, a finding and the finding's own random generator, changes the scene in place and returns a
weight map in [0, 1] whose part above ``MASK_LEVEL`` is the finding's mask. The generator is seeded by the finding, not
by the image, so that the same lesion keeps its texture from study to study and so that taking one finding away leaves
everything else of the image as it was.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .anatomy import SIDES, sign_of
from .devices import DEVICES
from .geometry import Scene, as_map, blur, disc, fill, rounded, smooth_noise, stroke

KINDS = (
    "cardiomegaly",
    "pleural_effusion",
    "consolidation",
    "atelectasis",
    "edema",
    "pneumothorax",
    "nodule",
    "pneumonia",
    "foreign_object",
)
ZONES = ("upper", "mid", "lower")
MASK_LEVEL = 0.30


@dataclass(frozen=True)
class Finding:
    """One finding of one study."""

    kind: str  # one of KINDS
    side: str | None = None  # 'left', 'right', 'bilateral' (edema) or None where a side makes no sense
    zone: str | None = None  # one of ZONES or None
    severity: int = 0  # 1 (mild, small), 2 (moderate) or 3 (severe, large); 0 for foreign objects
    position: tuple[float, float, float] = (0.5, 0.5, 0.5)  # relative lung coordinates, see Scene.place
    texture: int = 0  # seed of the finding's own texture
    device: str | None = None  # for foreign objects, a key of devices.DEVICES
    trend: str | None = None  # 'new', 'worse', 'better' or 'same' since the previous study; None in a first one


def paint(scene: Scene, finding: Finding) -> np.ndarray:
    """Draw a finding into the scene and return its mask, bool (H, W)."""
    return PAINTERS[finding.kind](scene, finding, np.random.default_rng(finding.texture)) > MASK_LEVEL


def flood(scene: Scene, weight: np.ndarray) -> None:
    """Replace the fraction ``weight`` of the lung's air by fluid or cells."""
    scene.air *= 1 - weight


def lung_of(scene: Scene, finding: Finding) -> np.ndarray:
    """The drawn outline of the finding's side, or of both."""
    if finding.side in SIDES:
        return scene.lungs[finding.side]
    return np.maximum(scene.lungs["left"], scene.lungs["right"])


def _cardiomegaly(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """The scene was built around the large heart already: only its silhouette is left to report."""
    return scene.heart.astype(np.float32)


def _pleural_effusion(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Fluid from the costophrenic angle up to a meniscus that climbs along the chest wall."""
    outline = scene.outlines[finding.side]
    bottom = outline[:, 1].max()
    height = {1: 0.40, 2: 0.62, 3: 0.98}[finding.severity] * rng.uniform(0.92, 1.08)
    t = np.linspace(0, 1, 16)
    if scene.view == "frontal":
        inner, outer = 0.1 * sign_of(finding.side), sign_of(finding.side) * 1.3
        climb = 0.62 + 0.38 * t**2.5
    else:
        inner, outer = -0.9, 0.9
        climb = 0.62 + 0.38 * (0.3 * (1 - t) ** 3 + t**3)
    surface = np.stack([inner + (outer - inner) * t, bottom - height * climb], axis=1)
    basin = np.concatenate([surface, [(outer, bottom + 0.3), (inner, bottom + 0.3)]])
    weight = blur(scene.frame, fill(scene.frame, basin), 0.012) * lung_of(scene, finding)
    flood(scene, (0.97 if scene.view == "frontal" else 0.75) * weight)
    scene.parenchyma *= 1 - 0.8 * weight
    return weight


def _consolidation(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A dense, cloudy opacity with air bronchograms."""
    center = scene.place(finding.side, *finding.position)
    radius = {1: 0.17, 2: 0.23, 3: 0.31}[finding.severity]
    shape = disc(center, (radius * rng.uniform(0.9, 1.25), radius), rng.uniform(-0.6, 0.6))
    cloud = blur(scene.frame, fill(scene.frame, shape), 0.07)
    cloud = np.clip(1.7 * cloud + 0.22 * (smooth_noise(scene.frame, rng, 0.07) - 1) * cloud, 0, 1)
    cloud *= lung_of(scene, finding)
    angles = rng.uniform(-0.5, 0.5) + np.array([-0.5, 0.0, 0.5])
    rays = [np.linspace((-0.8, -0.8), (0.8, 0.8), 5) * radius * (np.cos(a), np.sin(a)) + center for a in angles]
    bronchi = 0.3 * as_map(stroke(scene.frame, rays, 0.018))
    flood(scene, {1: 0.55, 2: 0.70, 3: 0.85}[finding.severity] * cloud * (1 - bronchi))
    return cloud


def _pneumonia(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Scattered, ill-defined patches around a center, some of them confluent."""
    across, down, depth = finding.position
    count = {1: 5, 2: 8, 3: 13}[finding.severity]
    spread = {1: 0.11, 2: 0.16, 3: 0.22}[finding.severity]
    center = np.array(scene.place(finding.side, across, down, depth))
    centers = center + rng.normal(0, spread, (count, 2)) * (0.8, 1.0)
    radii = rng.uniform(0.045, 0.10, count)
    patches = fill(scene.frame, *(disc(tuple(c), (r * 1.2, r)) for c, r in zip(centers, radii, strict=True)))
    grain = np.clip(1 + 0.28 * smooth_noise(scene.frame, rng, 0.04), 0.3, 1.5)
    weight = np.minimum(1.4 * blur(scene.frame, patches, 0.04) * grain, 1) * lung_of(scene, finding)
    flood(scene, {1: 0.50, 2: 0.60, 3: 0.70}[finding.severity] * weight)
    # The mask is the affected region, not each grain of it.
    return np.minimum(1.6 * blur(scene.frame, patches, 0.045), 1) * lung_of(scene, finding)


def _atelectasis(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Plate-like bands; when severe, a wedge of collapsed lung that points to the hilum."""
    frame = scene.frame
    x, y = scene.place(finding.side, *finding.position)
    sign = sign_of(finding.side) if scene.view == "frontal" else 1
    bands = []
    for band in range(1 + finding.severity):
        length = rng.uniform(0.20, 0.30)
        slope = sign * rng.uniform(-0.15, 0.5)
        t = np.linspace(-1, 1, 6)
        dy = (band - 0.5 * finding.severity) * 0.085 + rng.normal(0, 0.012)
        bands.append(np.stack([x + length * t, y + dy + slope * length * t + 0.03 * (1 - t**2)], axis=1))
    width = {1: 0.022, 2: 0.028, 3: 0.034}[finding.severity]
    plates = blur(frame, as_map(stroke(frame, bands, width)), 0.008)
    if finding.severity == 3:
        hilum = scene.hila[finding.side]
        wedge = np.array([(hilum[0], hilum[1] + 0.2), (x - 0.26, y + 0.16), (x + 0.26, y + 0.16)])
        plates = np.maximum(plates, 0.85 * blur(frame, fill(frame, wedge), 0.02))
    weight = plates * lung_of(scene, finding)
    haze = blur(frame, fill(frame, *(disc(tuple(b.mean(axis=0)), (0.24, 0.06)) for b in bands)), 0.06)
    flood(scene, np.minimum(0.68 * weight + 0.20 * haze * lung_of(scene, finding), 0.9))
    return weight + 0.6 * (haze > 0.35) * lung_of(scene, finding)


def _edema(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Perihilar haze, congested vessels and septal lines at the bases, on both sides."""
    frame = scene.frame
    reach = {1: 0.33, 2: 0.40, 3: 0.48}[finding.severity] * rng.uniform(0.85, 1.1)
    wings = []
    for side in SIDES:
        x, y = scene.hila[side]
        out = 0.16 * sign_of(side) if scene.view == "frontal" else 0.0
        wings.append(disc((x + out, y + 0.14), (reach, 1.35 * reach)))
    haze = blur(frame, fill(frame, *wings), 0.13)
    lung = lung_of(scene, finding)
    extent = np.minimum(1.25 * haze, 1) * lung
    haze = np.clip(extent * (1 + 0.16 * smooth_noise(frame, rng, 0.05)), 0, 1)
    septa = []
    for side in SIDES:
        for down in rng.uniform(0.72, 0.98, 3 + 3 * finding.severity):
            x, y = scene.place(side, 1.08, float(down), 0.9)
            inward = -0.10 * (sign_of(side) if scene.view == "frontal" else 1)
            septa.append(np.array([(x, y), (x + inward, y + 0.01)]))
    scene.parenchyma *= 1 + (0.05 + 0.13 * finding.severity) * np.minimum(2 * haze, 1)
    scene.parenchyma += 0.13 * as_map(stroke(frame, septa, 0.012)) * lung
    flood(scene, {1: 0.24, 2: 0.36, 3: 0.52}[finding.severity] * haze)
    return extent


def _pneumothorax(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Air without vessels between the chest wall and a retracted lung, whose pleura shows as a thin line."""
    frame = scene.frame
    outline = scene.outlines[finding.side]
    hilum = np.array(scene.hila[finding.side])
    shrink = {1: 0.20, 2: 0.33, 3: 0.55}[finding.severity] * rng.uniform(0.92, 1.08)
    # Air rises: the lung retracts from the apex most and from the base least.
    top, bottom = outline[:, 1].min(), outline[:, 1].max() - 0.36  # from the dome down the lung stays in place
    height = np.clip((outline[:, 1] - top) / (bottom - top), 0, 1)
    factor = 1 - shrink * (1 - height**2)
    retracted = hilum + (outline - hilum) * factor[:, None]
    remaining = fill(frame, retracted)
    lung = scene.lungs[finding.side]
    medial = 0.0
    if scene.view == "frontal":  # towards the mediastinum the lung stays attached
        inner, outer = -0.3 * sign_of(finding.side), 0.1 * sign_of(finding.side)
        band = np.array([(inner, -2.0), (outer, -2.0), (outer, 2.0), (inner, 2.0)])
        medial = fill(frame, band + np.array([hilum[0], 0.0]))
    weight = lung * (1 - remaining) * (1 - medial)
    line = as_map(stroke(frame, [retracted], 0.016)) * lung * (1 - medial)
    scene.air *= 1 + 0.20 * weight - {1: 0.06, 2: 0.14, 3: 0.30}[finding.severity] * remaining * lung
    scene.parenchyma *= 1 - 0.95 * weight
    # Pleural air absorbs still less than aerated lung, whose tissue is part of the air map's complement.
    scene.body -= 0.10 * weight * (scene.body > 0.3)
    scene.parenchyma += 0.16 * line
    return weight


def _nodule(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A round, well-defined opacity."""
    center = scene.place(finding.side, *finding.position)
    radius = {1: 0.058, 2: 0.085, 3: 0.125}[finding.severity]
    shape = fill(scene.frame, disc(center, (radius * rng.uniform(0.92, 1.12), radius), rng.uniform(0, 3)))
    scene.parenchyma += {1: 0.30, 2: 0.32, 3: 0.35}[finding.severity] * rounded(scene.frame, shape, 0.8 * radius, 1)
    return shape


def _foreign_object(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    shape = np.zeros_like(scene.metal)
    for drawing, attenuation in DEVICES[finding.device][0](scene, finding.side, finding.position, rng):
        drawing = as_map(drawing) if drawing.dtype == np.uint8 else drawing
        scene.metal += attenuation * drawing
        shape = np.maximum(shape, drawing)
    return shape


PAINTERS: dict[str, Callable[[Scene, Finding, np.random.Generator], np.ndarray]] = {
    kind: globals()[f"_{kind}"] for kind in KINDS
}
