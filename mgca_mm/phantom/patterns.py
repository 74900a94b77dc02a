"""Other painters of the same findings for the varied appearance: patterns, edges, densities and textures at random.

As in ``findings.py``, each changes the scene's maps and returns a weight whose part above ``MASK_LEVEL`` is the mask. A
pattern stays within the side that the report names and is centred in the zone.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .anatomy import SIDES, sign_of
from .findings import MASK_LEVEL, PAINTERS, Finding, flood, lung_of
from .geometry import Scene, Warp, as_map, blob, blur, disc, fill, fractal_noise, open_spline, rounded, stroke

_PATTERN = 1  # a finding's second stream of random numbers
_RIGID = ("cardiomegaly", "pneumothorax")  # bounded by the scene's own contours


def paint_varied(scene: Scene, finding: Finding) -> np.ndarray:
    """Draw a finding into the scene in one of its patterns and return its mask, bool (H, W).

    The pattern's shapes are bent by a warp of the finding's own, and what it changes is scaled by a random strength.
    """
    rng = np.random.default_rng([finding.texture, _PATTERN])
    choices = (PAINTERS[finding.kind], *_PATTERNS.get(finding.kind, ()))
    painter = choices[int(rng.integers(len(choices)))]
    strength = np.float32(np.exp(rng.uniform(np.log(0.8), np.log(1.2))))
    frame = scene.frame
    before = {name: getattr(scene, name).copy() for name in ("body", "air", "parenchyma", "metal")}
    if finding.kind not in _RIGID:
        bend = Warp(Warp.waves_of(rng, 0.3, 2.0, 0.45))
        scene.frame = replace(frame, warps=(bend, *frame.warps))
    weight = painter(scene, finding, rng)
    scene.frame = frame
    for name, old in before.items():
        setattr(scene, name, np.maximum(old + strength * (getattr(scene, name) - old), 0))
    return weight > MASK_LEVEL


def _opacify(
    scene: Scene, finding: Finding, weight: np.ndarray, rng: np.random.Generator, strengths: tuple[float, float, float]
) -> None:
    """Flood the lung by the finding's weight with a texture from none to coarse, at its severity's strength."""
    grain = fractal_noise(scene.frame, rng, rng.uniform(0.05, 0.25), 4, rng.uniform(0.4, 0.9))
    textured = np.clip(weight * (1 + rng.uniform(0, 0.35) * grain), 0, 1)
    flood(scene, strengths[finding.severity - 1] * textured)


def _bronchi(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Air bronchograms that run outwards from the hilum through the finding's place."""
    root = np.array(scene.hila[finding.side])
    target = np.array(scene.place(finding.side, *finding.position))
    t = np.linspace(0.25, 1.5, 7)[:, None]
    rays = [root + t * (target - root + rng.normal(0, 0.14, 2)) for _ in range(rng.integers(1, 6))]
    return rng.uniform(0.0, 0.35) * as_map(stroke(scene.frame, rays, rng.uniform(0.010, 0.024)))


def _below(scene: Scene, y: float, slope: float, softness: float) -> np.ndarray:
    """1 below the line through (0, y) and 0 above it."""
    x = np.linspace(-2, 2, 17)
    line = np.stack([x, y + slope * x], axis=1)
    return blur(scene.frame, fill(scene.frame, np.concatenate([line, line[::-1] * (1, 0) + (0, 4)])), softness)


def _lobar(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A consolidated part of a lobe: bounded sharply by a fissure, or fading."""
    x, y = scene.place(finding.side, *finding.position)
    half = {1: 0.11, 2: 0.17, 3: 0.26}[finding.severity] * rng.uniform(0.8, 1.3)
    slope = rng.uniform(-0.2, 0.4) * (sign_of(finding.side) if scene.view == "frontal" else 1)
    edges = [0.008 if rng.random() < 0.5 else rng.uniform(0.03, 0.10) for _ in range(2)]
    middle = y - slope * x
    weight = _below(scene, middle - half, slope, edges[0]) * (1 - _below(scene, middle + half, slope, edges[1]))
    if rng.random() < 0.6:  # a segment of it
        segment = blob(rng, (x, y), (rng.uniform(1.0, 1.6) * half, 2 * half), 0.15)
        weight *= blur(scene.frame, fill(scene.frame, segment), rng.uniform(0.03, 0.09))
    weight *= lung_of(scene, finding)
    _opacify(scene, finding, weight * (1 - _bronchi(scene, finding, rng)), rng, (0.60, 0.75, 0.90))
    return weight


def _cloud(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """One irregular opacity, from round and sharp as in children to ill-defined."""
    center = scene.place(finding.side, *finding.position)
    radius = {1: 0.14, 2: 0.20, 3: 0.30}[finding.severity] * rng.uniform(0.8, 1.3)
    shape = fill(scene.frame, blob(rng, center, (radius * rng.uniform(0.8, 1.3), radius), rng.uniform(0.05, 0.3)))
    weight = blur(scene.frame, shape, rng.uniform(0.01, 0.4 * radius)) * lung_of(scene, finding)
    _opacify(scene, finding, weight * (1 - _bronchi(scene, finding, rng)), rng, (0.60, 0.75, 0.90))
    return weight


def _region(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A smooth weight around a finding's place, for patterns finer than their extent."""
    center = scene.place(finding.side, *finding.position)
    radius = {1: 0.20, 2: 0.27, 3: 0.38}[finding.severity] * rng.uniform(0.85, 1.25)
    shape = fill(scene.frame, blob(rng, center, (0.9 * radius, 1.1 * radius), 0.15))
    return np.minimum(1.3 * blur(scene.frame, shape, 0.3 * radius), 1) * lung_of(scene, finding)


def _net(scene: Scene, weight: np.ndarray, center: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Reticular lines and small rings around a center, within a weight."""
    count = int(rng.integers(60, 200))
    start = np.array(center) + rng.normal(0, 0.25, (count, 1, 2))
    angle = rng.uniform(0, np.pi, (count, 1)) + rng.normal(0, 0.3, (count, 1)) * np.arange(4)
    step = rng.uniform(0.012, 0.035, (count, 1, 1)) * np.stack([np.cos(angle), np.sin(angle)], axis=2)
    lines = [*(start + np.cumsum(step, axis=1))]
    radii = rng.uniform(0.012, 0.03, count)[::4]
    rings = [disc(tuple(c), (r, r)) for c, r in zip(start[::4, 0], radii, strict=True)]
    return as_map(stroke(scene.frame, lines + rings, rng.uniform(0.006, 0.014))) * weight


def _interstitial(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A reticular pattern over ground glass."""
    region = _region(scene, finding, rng)
    center = scene.place(finding.side, *finding.position)
    scene.parenchyma += rng.uniform(0.04, 0.12) * _net(scene, region, center, rng)
    _opacify(scene, finding, region, rng, (0.28, 0.40, 0.52))
    return region


def _patches(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Few large or many small patches, ill-defined or distinct."""
    frame, region = scene.frame, _region(scene, finding, rng)
    count = int(rng.integers(4, 26))
    centers = np.array(scene.place(finding.side, *finding.position)) + rng.normal(0, 0.17, (count, 2))
    size = rng.uniform(0.6, 1.2) * 0.22 / np.sqrt(count)
    spots = fill(frame, *(blob(rng, tuple(c), (size * rng.uniform(0.7, 1.6), size), 0.2) for c in centers))
    spots = np.minimum(1.4 * blur(frame, spots, rng.uniform(0.008, 0.04)), 1) * region
    _opacify(scene, finding, np.maximum(spots, rng.uniform(0, 0.4) * region), rng, (0.60, 0.70, 0.85))
    return region


def _peribronchial(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Streaks from the hilum along the bronchi, with cuffs around them."""
    frame, lung = scene.frame, lung_of(scene, finding)
    root = np.array(scene.hila[finding.side])
    target = np.array(scene.place(finding.side, *finding.position))
    t = np.linspace(0, 1, 6)[:, None]
    spread = {1: 0.09, 2: 0.13, 3: 0.18}[finding.severity]
    ends = target + rng.normal(0, spread, (4 + 4 * finding.severity, 2))
    bends = rng.normal(0, 0.05, (len(ends), 2))
    starts = root + rng.normal(0, 0.05, (len(ends), 2))
    streaks = [a + t * (b - a) + np.sin(np.pi * t) * bend for a, b, bend in zip(starts, ends, bends, strict=True)]
    fine = blur(frame, as_map(stroke(frame, streaks, rng.uniform(0.02, 0.05))), rng.uniform(0.010, 0.035))
    wide = np.minimum(2 * blur(frame, as_map(stroke(frame, streaks, 0.09)), 0.05), 1) * lung
    _opacify(scene, finding, np.maximum(fine, 0.35 * wide) * lung, rng, (0.50, 0.60, 0.75))
    return wide


def _peripheral(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Ground glass along the pleura."""
    lung = lung_of(scene, finding)
    rim = lung * (1 - rounded(scene.frame, lung, rng.uniform(0.25, 0.45)))
    weight = np.minimum(2.2 * rim, 1) * _region(scene, replace(finding, position=(0.95, *finding.position[1:])), rng)
    _opacify(scene, finding, weight, rng, (0.50, 0.60, 0.75))
    return weight


def _diffuse(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Edema of nearly the whole lungs, densest centrally and at the bases."""
    lung = lung_of(scene, finding)
    bottom = max(outline[:, 1].max() for outline in scene.outlines.values())
    level = bottom - {1: 0.7, 2: 0.9, 3: 1.2}[finding.severity] * rng.uniform(0.85, 1.15)
    extent = _below(scene, level, 0.0, 0.2) * lung
    for side in SIDES:
        x, y = scene.place(side, 0.5, 0.65, 0.5)
        scene.parenchyma += rng.uniform(0.03, 0.10) * _net(scene, extent * scene.lungs[side], (x, y), rng)
    scene.parenchyma *= 1 + rng.uniform(0, 0.5) * extent
    _opacify(scene, finding, extent, rng, (0.28, 0.42, 0.62))
    return extent


def _fluid(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """Fluid from a blunted angle to the whole side, free with a meniscus or layering behind the lung as haze."""
    lung = lung_of(scene, finding)
    outline = scene.outlines[finding.side]
    bottom, top = outline[:, 1].max(), outline[:, 1].min()
    reach = {1: (0.26, 0.48), 2: (0.5, 0.85), 3: (0.9, bottom - top)}[finding.severity]
    outward = sign_of(finding.side) if scene.view == "frontal" else 1
    t = np.linspace(0, 1, 16)
    level = rng.uniform(0.35, 0.9)
    climb = level + (1 - level) * t ** rng.uniform(1.2, 4)
    surface = np.stack([outward * (0.05 + 1.2 * t), bottom - rng.uniform(*reach) * climb], axis=1)
    basin = np.concatenate([surface, [(outward * 1.4, bottom + 0.5), (outward * -0.2, bottom + 0.5)]])
    if scene.view == "lateral":
        basin = basin * (1.6, 1.0) - (1.0, 0.0)
    weight = blur(scene.frame, fill(scene.frame, basin), rng.uniform(0.008, 0.09)) * lung
    flood(scene, rng.uniform(0.75, 1.0) * weight)
    scene.parenchyma *= 1 - rng.uniform(0.4, 1.0) * weight
    return weight


def _lesion(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """A nodule of any edge, smooth, lobulated or spiculated, now and then with a cavity or calcified."""
    frame = scene.frame
    center = scene.place(finding.side, *finding.position)
    radius = {1: 0.055, 2: 0.085, 3: 0.135}[finding.severity] * rng.uniform(0.85, 1.3)
    shape = fill(frame, blob(rng, center, (radius * rng.uniform(0.85, 1.2), radius), rng.uniform(0, 0.2)))
    shape = blur(frame, shape, rng.uniform(0.004, 0.35 * radius))
    drawn = rounded(frame, shape, rng.uniform(0.3, 1.0) * radius, 1)
    if rng.random() < 0.2:
        drawn = drawn * (1 - rng.uniform(0.5, 0.9) * fill(frame, disc(center, (0.5 * radius, 0.55 * radius))))
    if rng.random() < 0.3:
        tips = disc(center, (1.6 * radius, 1.6 * radius), rng.uniform(0, 1))[::3]
        spicules = [np.array([center, tip]) for tip in tips]
        drawn = np.maximum(drawn, rng.uniform(0.2, 0.6) * as_map(stroke(frame, spicules, 0.010)))
    scene.parenchyma += rng.uniform(0.26, 0.50) * drawn
    return shape


def _cables(scene: Scene, finding: Finding, rng: np.random.Generator) -> np.ndarray:
    """The device; monitoring leads with more cables, which cross the picture in wide curves."""
    shape = PAINTERS["foreign_object"](scene, finding, rng)
    if finding.device != "ecg_leads":
        return shape
    cables = []
    for _ in range(rng.integers(1, 8)):
        points = np.cumsum(np.concatenate([rng.uniform(-1.2, 1.2, (1, 2)), rng.normal(0, 0.5, (3, 2))]), axis=0)
        cables.append(open_spline(points))
    drawing = as_map(stroke(scene.frame, cables, rng.uniform(0.010, 0.022)))
    scene.metal += rng.uniform(0.15, 0.4) * drawing
    return np.maximum(shape, drawing)


_PATTERNS: dict[str, tuple[Callable[[Scene, Finding, np.random.Generator], np.ndarray], ...]] = {
    "consolidation": (_lobar, _lobar, _cloud, _cloud),
    "pneumonia": (_patches, _interstitial, _peribronchial, _peripheral),
    "edema": (_diffuse,),
    "pleural_effusion": (_fluid, _fluid),
    "nodule": (_lesion, _lesion),
    "foreign_object": (_cables, _cables),
}
