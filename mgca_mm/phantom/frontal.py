"""The frontal chest (PA or AP) as thickness maps."""

import cv2
import numpy as np

from .anatomy import APEX, SIDES, Anatomy, chest_wall, diaphragm, sign_of
from .geometry import BodyFrame, Scene, as_map, blur, closed_spline, disc, fill, rounded, stroke
from .habitus import Habitus

_MIRROR = np.array([-1.0, 1.0])
_CALIBERS = ((0.006, 0.26), (0.008, 0.34), (0.010, 0.45), (0.016, 0.65), (0.026, 0.95))  # of vessels: width, level


def frontal_scene(anatomy: Anatomy, heart_ratio: float, frame: BodyFrame, arms_down: bool) -> Scene:
    """Draw the normal frontal chest, with a cardiothoracic ratio that a finding may have changed.

    With the arms down, as in an AP view, the scapulae cover the lungs' outer parts.
    """
    habitus = anatomy.habitus
    outlines = {side: lung_outline(anatomy, side) for side in SIDES}
    lungs = {side: fill(frame, outlines[side]) for side in SIDES}
    shift = float(_shift(anatomy)[0])
    hila = {"right": (shift - 0.19, -0.10), "left": (shift + 0.19, -0.14)}
    heart = fill(frame, _heart_outline(anatomy, heart_ratio))
    mediastinum = np.maximum(heart, fill(frame, *_mediastinum(anatomy)))

    body = rounded(frame, fill(frame, _torso(anatomy)), 0.62 * habitus.edge, reduce=max(1, round(4 * habitus.edge)))
    depth = (0.82 + 0.35 * (anatomy.fat - 0.06) / 0.26) * habitus.depth
    air = 0.0
    for side in SIDES:
        turned = 1 + 0.13 * anatomy.rotated * sign_of(side)  # rotation lengthens the air path on one side
        air = air + (anatomy.aeration * turned) * rounded(frame, lungs[side], 0.24)
    soft = habitus.heart * (0.52 * mediastinum + 0.28 * rounded(frame, heart, 0.30))
    air = air * (1 - np.minimum(cv2.GaussianBlur(soft, (0, 0), max(0.7, habitus.heart_blur * frame.scale)), 0.95))
    air = np.maximum(air, 0.22 * habitus.airway * cv2.GaussianBlur(fill(frame, *_airways(anatomy)), (0, 0), 1.2))
    air = air + _stomach(anatomy, frame, lungs["left"])
    tissue = 0.25 * rounded(frame, heart, 0.35) + _breasts(anatomy, frame)
    lung_field = np.maximum(lungs["left"], lungs["right"])
    belly = fill(frame, np.array([(-2.0, 0.45), (2.0, 0.45), (2.0, 2.5), (-2.0, 2.5)]))
    tissue += 0.24 * habitus.belly * blur(frame, belly, 0.12) * (1 - lung_field) * body

    return Scene(
        frame=frame,
        view="frontal",
        body=depth * body + tissue,
        air=air,
        parenchyma=_vessels(anatomy, frame, hila, lung_field * (1 - 0.75 * mediastinum)),
        bone=_bones(anatomy, frame, lung_field * (1 - 0.45 * heart), arms_down),
        metal=np.zeros((frame.height, frame.width), np.float32),
        heart=heart > 0.5,
        outlines=outlines,
        lungs=lungs,
        hila=hila,
        place=lambda side, across, down, depth: _place(anatomy, side, across, down),
    )


def lung_outline(anatomy: Anatomy, side: str) -> np.ndarray:
    """Contour of one lung field in body coordinates, from the apex down the lateral wall and back."""
    dome, angle = diaphragm(anatomy, side)
    heights = (-0.90, -0.80, -0.58, -0.25, 0.12, 0.5 * (0.12 + angle))
    points = [(0.31, APEX)]
    points += [(float(chest_wall(y)), y) for y in heights if y < angle - 0.08]
    corner = (float(chest_wall(angle)) * 0.995, angle)
    points += [corner, corner]
    points += [(0.80, dome + 0.30 * (angle - dome)), (0.60, dome + 0.02), (0.42, dome - 0.005), (0.24, dome + 0.05)]
    points += [(0.10, dome + 0.12), (0.08, dome + 0.10), (0.09, 0.2), (0.10, -0.2), (0.11, -0.55), (0.17, -0.82)]
    return closed_spline(points) * (sign_of(side) * anatomy.breadth, 1.0)


def _place(anatomy: Anatomy, side: str, across: float, down: float) -> tuple[float, float]:
    """Relative lung coordinates to body coordinates, well within the lung field."""
    dome, _ = diaphragm(anatomy, side)
    y = APEX + 0.04 + down * (dome - APEX - 0.04)
    inner, outer = 0.24, float(chest_wall(y)) - 0.07
    return sign_of(side) * anatomy.breadth * (inner + across * max(outer - inner, 0.02)), y


def _shift(anatomy: Anatomy) -> np.ndarray:
    """Displacement (x, y) of the anterior structures when the patient is rotated."""
    return np.array([0.085 * anatomy.rotated, 0.0])


def _torso(anatomy: Anatomy) -> np.ndarray:
    """Neck, shoulders and flanks."""
    margin = 0.07 + anatomy.fat
    half = [(0.0, -1.9), (0.30, -1.6), (0.32, -1.25), (0.42, -1.10), (0.85, -1.02), (1.12, -0.86)]
    habitus = anatomy.habitus
    half = [(x * habitus.girdle, y + habitus.shoulders) if x > 0.8 else (x * habitus.neck, y) for x, y in half]
    half += [
        (1.10 * habitus.girdle, -0.55),
        (0.93 + margin, -0.25),
        (0.93 + margin, 0.25),
        (0.94 + margin, 0.8),
        (0.98 + margin, 1.7),
    ]
    right = np.array(half)
    return closed_spline(np.concatenate([right, right[::-1] * _MIRROR])) * (anatomy.breadth, 1.0)


def _heart_outline(anatomy: Anatomy, ratio: float) -> np.ndarray:
    dome = 0.5 * sum(diaphragm(anatomy, side)[0] for side in SIDES)
    width = ratio * 2 * float(chest_wall(dome)) * anatomy.breadth
    habitus = anatomy.habitus
    right, left = (0.34 - habitus.heart_shift) * width, (0.66 + habitus.heart_shift) * width
    top, base, apex = -0.26 + habitus.heart_top, dome + 0.05, dome + 0.05 + habitus.apex
    span = base - top
    points = [(-0.15, top), (-0.84 * right, top + 0.34 * span), (-right, top + 0.62 * span)]
    points += [(-0.82 * right, base - 0.02), (0.0, base + 0.08), (0.60 * left, apex + 0.10)]
    points += [(0.93 * left, apex + 0.01), (left, apex - 0.13), (0.95 * left, top + 0.66 * span)]
    points += [(0.76 * left, top + 0.42 * span), (0.47 * left, top + 0.20 * span), (0.18, top)]
    return closed_spline(points) + _shift(anatomy)


def _mediastinum(anatomy: Anatomy) -> list[np.ndarray]:
    """Great vessels above the heart, the aortic knob and the descending aorta."""
    shift = _shift(anatomy)
    band = closed_spline(
        [(-0.15, -1.3), (-0.13, -0.6), (-0.16, -0.2), (-0.12, 1.3), (0.12, 1.3), (0.16, -0.2), (0.12, -1.3)]
    )
    knob_radius, bow = (0.155, 0.16) if anatomy.tortuous_aorta else (0.105, 0.02)
    knob = disc((0.11 + 0.03 * anatomy.tortuous_aorta, -0.42), (knob_radius, knob_radius * 1.05))
    y = np.linspace(-0.42, 0.9, 12)
    center = 0.10 + bow * np.sin(np.pi * (y + 0.42) / 1.32)
    descending = np.concatenate([np.stack([center - 0.09, y], axis=1), np.stack([center + 0.09, y], axis=1)[::-1]])
    parts = [band * (anatomy.habitus.mediastinum, 1.0) + shift, knob + shift, descending + 0.5 * shift]
    if anatomy.habitus.thymus:
        size = anatomy.habitus.thymus
        sail = [(-0.8, -1.6), (0.9, -1.7), (1.5, -0.2), (1.2, 1.0), (0.3, 1.2), (-0.8, 1.3), (-1.2, 0.3)]
        parts.append(closed_spline(sail) * size + (0.0, -0.42))
    return parts


def _airways(anatomy: Anatomy) -> list[np.ndarray]:
    """Trachea and main bronchi as closed contours."""
    shift = _shift(anatomy)
    trachea = np.array([(-0.055, -1.5), (-0.05, -0.24), (0.05, -0.24), (0.055, -1.5)])
    right = np.array([(-0.05, -0.32), (-0.19, -0.12), (-0.15, -0.09), (0.0, -0.22)])
    left = np.array([(0.05, -0.32), (0.22, -0.15), (0.19, -0.11), (0.0, -0.22)])
    return [part + shift for part in (trachea, right, left)]


def _stomach(anatomy: Anatomy, frame: BodyFrame, lung: np.ndarray) -> np.ndarray:
    """Gas under the left hemidiaphragm."""
    dome, _ = diaphragm(anatomy, "left")
    size = 0.19 if anatomy.gastric_gas else 0.07
    # A dome of gas over a fluid level, just below the diaphragm.
    shape = [(-1.5, 0.9), (-1.3, -0.3), (-0.4, -0.9), (0.5, -0.8), (1.3, 0.0), (1.5, 0.9), (0.2, 1.0)]
    bubble = fill(frame, closed_spline(shape) * size + (0.44 * anatomy.breadth, dome + 0.08 + size))
    return (0.36 if anatomy.gastric_gas else 0.16) * blur(frame, bubble, 0.03) * (1 - lung)


def _breasts(anatomy: Anatomy, frame: BodyFrame) -> np.ndarray | float:
    if anatomy.sex != "F":
        return 0.0
    size = 0.30 + 0.5 * anatomy.fat
    shapes = [disc((sign * 0.52, 0.36), (size, size * 0.85)) for sign in (-1, 1)]
    return anatomy.habitus.breasts * (0.07 + 0.2 * anatomy.fat) * rounded(frame, fill(frame, *shapes), 0.25, reduce=4)


def _vessels(
    anatomy: Anatomy, frame: BodyFrame, hila: dict[str, tuple[float, float]], visible: np.ndarray
) -> np.ndarray:
    """Pulmonary vessels: generations of branches that thin out from the hila."""
    habitus = anatomy.habitus
    rng = np.random.default_rng(anatomy.texture)
    canvas = frame.canvas()
    trees = [_branches(rng, hila[side], sign_of(side), habitus) for side in SIDES]
    generations = [np.concatenate(branches) for branches in zip(*trees, strict=True)]
    for branches, (width, level) in zip(generations[::-1], _CALIBERS[-habitus.generations :], strict=True):
        stroke(frame, branches, width, canvas, level)
    radius = 0.125 if anatomy.prominent_hila else 0.07
    roots = fill(frame, *(disc(hila[side], (radius, radius * 1.5), 0.3 * sign_of(side)) for side in SIDES))
    vessels = 0.22 * habitus.vessels * cv2.GaussianBlur(as_map(canvas), (0, 0), 0.8)
    hilar = habitus.hila * (0.34 if anatomy.prominent_hila else 0.13) * blur(frame, roots, 0.028)
    return (vessels + hilar) * visible


def _branches(rng: np.random.Generator, root: tuple[float, float], sign: int, habitus: Habitus) -> list[np.ndarray]:
    """Polylines (N, 6, 2) of the generations of one lung's vascular tree."""
    start = np.array(root) + np.linspace(-1, 1, 9)[:, None] * (0.0, habitus.hilar_length)
    angle = np.linspace(-1.35, 1.25, 9) + rng.normal(0, 0.08, 9)
    length = rng.uniform(0.25, 0.42, 9)
    t = np.linspace(0, 1, 6)[None, :, None]
    generations = []
    for _ in range(habitus.generations):
        bend = rng.normal(0, habitus.wander, len(angle))
        first = np.stack([np.cos(angle) * sign, np.sin(angle)], axis=1)
        last = np.stack([np.cos(angle + bend) * sign, np.sin(angle + bend)], axis=1)
        step = (first[:, None] * (1 - t) + last[:, None] * t) * (length[:, None, None] * t)
        lines = start[:, None] + step
        generations.append(lines)
        # Each vessel gives off two: one at its end, one at two thirds of its way.
        start = np.concatenate([lines[:, -1], lines[:, 3]])
        angle = np.concatenate([angle + bend + 0.3, angle - 0.45]) + rng.normal(0, 0.2, 2 * len(bend))
        length = 0.72 * np.concatenate([length, length])
    return generations


def _bones(anatomy: Anatomy, frame: BodyFrame, clear: np.ndarray, arms_down: bool) -> np.ndarray:
    """Ribs, clavicles, spine and scapulae."""
    habitus = anatomy.habitus
    posterior, anterior = frame.canvas(), frame.canvas()
    back, front = _ribs(anatomy)
    for canvas, ribs, width in ((posterior, back, 0.062), (anterior, front, 0.07)):
        width *= habitus.rib_width
        stroke(frame, ribs, width, canvas, 1.0)
        stroke(frame, ribs, 0.5 * width, canvas, 0.62 * habitus.marrow)  # the marrow is less dense than the cortex
    ribs = anatomy.rib_strength * (0.17 * as_map(posterior) + 0.08 * habitus.anterior_ribs * as_map(anterior))
    # In front of the heart and the abdomen, their scatter drowns the ribs.
    bone = ribs * (habitus.ribs_below + (1 - habitus.ribs_below) * clear)

    clavicles = frame.canvas()
    lines = []
    for sign in (-1, 1):
        x = np.linspace(0.07, habitus.clavicle_end, 9)
        y = habitus.clavicle_y - habitus.clavicle_rise * x + 0.05 * np.sin(2 * np.pi * (x - 0.07) / 0.88)
        x = x + 0.10 * sign * anatomy.rotated * (1 - x)
        lines.append(np.stack([sign * x * anatomy.breadth, y], axis=1))
    stroke(frame, lines, 0.075, clavicles, 1.0)
    stroke(frame, lines, 0.04, clavicles, 0.6)
    bone += 0.22 * habitus.clavicles * as_map(clavicles)

    bone += 0.12 * habitus.spine * _spine(anatomy, frame)
    if anatomy.calcified_aorta:
        bone += 0.42 * _arch_rim(anatomy, frame)
    lateral = (0.0 if arms_down else 0.13) + habitus.scapulae_out
    blade = np.array([(0.62, -0.72), (0.93, -0.62), (0.86, -0.30), (0.76, 0.02), (0.70, -0.2)])
    scapulae = [closed_spline((blade + np.array([lateral, 0.0])) * (sign * anatomy.breadth, 1.0)) for sign in (-1, 1)]
    bone += 0.08 * habitus.scapulae * rounded(frame, fill(frame, *scapulae), 0.05)
    return cv2.GaussianBlur(bone, (0, 0), 0.6)


def _ribs(anatomy: Anatomy) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Center lines of the posterior ribs, from the spine to the wall, and of the anterior ones, back from there."""
    t = np.linspace(0, 1, 9)
    rise = anatomy.rib_slope
    root = anatomy.habitus.rib_root
    stretch = (1 + 0.06 * anatomy.lung_volume) * anatomy.habitus.rib_spacing
    posterior, anterior = [], []
    for rib in range(anatomy.habitus.ribs):
        y0 = -1.0 + 0.176 * stretch * rib
        drop = rise * (0.10 + 0.022 * rib)
        edge = float(chest_wall(y0 + drop)) + 0.02
        u = root + (edge - root) * np.sin(t * np.pi / 2)
        y = y0 - 0.05 * np.sin(np.pi * t) + drop * t**2.2
        posterior.append(np.stack([u, y], axis=1))
        if rib < 7:
            u = edge * (1 - 0.62 * t**1.3)
            anterior.append(np.stack([u, y[-1] + (0.10 + 0.24 * rise) * np.sin(t * np.pi / 2)], axis=1))
    sides = [(-anatomy.breadth, 1.0), (anatomy.breadth, 1.0)]
    return [rib * side for rib in posterior for side in sides], [rib * side for rib in anterior for side in sides]


def _spine(anatomy: Anatomy, frame: BodyFrame) -> np.ndarray:
    """Vertebral bodies with discs between them and the rims of the pedicles, along a possibly scoliotic curve."""
    width = anatomy.habitus.spine_width
    edges = np.linspace(-1.45, 1.45, 20)
    middle = 0.5 * (edges[1:] + edges[:-1])
    offset = 0.13 * anatomy.scoliosis * np.cos(np.pi * middle / 1.3)
    canvas = frame.canvas()
    columns = [np.array([(x, y - 0.05), (x, y + 0.05)]) for x, y in zip(offset, middle, strict=True)]
    stroke(frame, columns, 0.17 * width, canvas, 0.75)
    pedicles = [line + np.array([dx, 0.0]) for line in columns for dx in (-0.06 * width, 0.06 * width)]
    stroke(frame, pedicles, 0.035, canvas, 1.0)
    if anatomy.habitus.endplates:
        ends = [np.array([(x - 0.085 * width, y), (x + 0.085 * width, y)]) for x, y in zip(offset, edges, strict=False)]
        stroke(frame, ends, 0.045, canvas, 0.3)
        rims = [end + np.array([0.0, dy]) for end in ends for dy in (-0.03, 0.03)]
        stroke(frame, rims, 0.016, canvas, 0.3 + 0.7 * anatomy.habitus.endplates)
    return as_map(canvas)


def _arch_rim(anatomy: Anatomy, frame: BodyFrame) -> np.ndarray:
    """The calcified wall of the aortic knob."""
    radius = 0.145 if anatomy.tortuous_aorta else 0.098
    t = np.linspace(-1.9, 0.7, 14)
    rim = np.stack([0.11 + 0.03 * anatomy.tortuous_aorta + radius * np.cos(t), -0.42 + radius * np.sin(t)], axis=1)
    return as_map(stroke(frame, [rim + _shift(anatomy)], 0.030))
