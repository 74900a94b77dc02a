"""What the varied appearance adds to a scene before its findings: textures, limbs, bowel gas, folds and supports.

None of it is a finding or a device, so reports and labels say nothing of it.
"""

import numpy as np

from .anatomy import Anatomy, diaphragm
from .geometry import Scene, as_map, blob, blur, disc, fill, fractal_noise, open_spline, rounded, stroke


def enrich(scene: Scene, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Add to the scene, in place, what is drawn anew for every image."""
    frame, habitus = scene.frame, anatomy.habitus
    if scene.view == "frontal":
        _limbs(scene, anatomy, rng)
        _bowel(scene, anatomy, rng)
    tissue = fractal_noise(frame, rng, rng.uniform(0.2, 0.7), 5, rng.uniform(0.4, 0.8))
    scene.body *= 1 + habitus.tissue_texture * tissue
    alveoli = fractal_noise(frame, rng, rng.uniform(0.03, 0.22), 5, rng.uniform(0.5, 0.85))
    scene.air *= 1 + habitus.aeration_texture * alveoli
    scene.parenchyma *= np.maximum(1 + 0.5 * fractal_noise(frame, rng, 0.5, 3, 0.6), 0.1)
    scene.bone *= np.maximum(1 + habitus.bone_texture * fractal_noise(frame, rng, 0.12, 4, 0.8), 0)
    _folds(scene, rng)
    _supports(scene, rng)


def _limbs(scene: Scene, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Arms, raised or along the body, with their bones, and a head that reaches into the picture."""
    frame, child = scene.frame, anatomy.habitus.child
    width = anatomy.breadth * anatomy.habitus.girdle
    thick = rng.uniform(0.12, 0.20) + 0.3 * anatomy.fat
    top = -0.80 + anatomy.habitus.shoulders
    arms, bones = [], []
    for sign in (-1, 1):
        draw = rng.random()
        if draw < 0.2:
            continue  # out of the picture
        if draw < (0.75 if child else 0.4):  # raised
            lift = rng.uniform(0.3, 1.5)
            course = [(0.92, top), (1.2, top - 0.28 * lift), (1.7, top - 0.8 * lift)]
        else:
            out = rng.uniform(0, 0.5)
            course = [(0.98, top), (1.16 + 0.4 * out, -0.3), (1.22 + out, 0.6), (1.25 + 1.3 * out, 1.8)]
        line = np.array(course) * (sign * width, 1.0)
        along = np.gradient(line, axis=0)
        normal = thick * along[:, ::-1] * (-1, 1) / np.linalg.norm(along, axis=1, keepdims=True)
        arms.append(np.concatenate([line - normal, (line + normal)[::-1]]))
        bones.append(line)
    arm = rounded(frame, fill(frame, *arms), thick, reduce=2) * rng.uniform(0.35, 0.8)
    scene.body = np.maximum(scene.body, arm)
    if bones:
        caliber, density = rng.uniform(0.06, 0.11), rng.uniform(0.05, 0.2)
        shaft = stroke(frame, bones, caliber)
        stroke(frame, bones, 0.5 * caliber, shaft, rng.uniform(0.4, 0.8))
        heads = fill(frame, *(disc(tuple(line[0]), (0.9 * caliber, 1.1 * caliber)) for line in bones))
        scene.bone += density * np.maximum(as_map(shaft), 0.8 * heads)
    if rng.random() < (0.6 if child else 0.25):
        size, chin = rng.uniform(0.34, 0.55), rng.uniform(-1.2, -0.85 if child else -1.0)
        center = (rng.normal(0, 0.12), chin - size)
        scene.body += rng.uniform(0.2, 0.6) * rounded(frame, fill(frame, disc(center, (size, size))), size, 4)
        jaw = disc(center, (0.9 * size, 0.92 * size))[2:15]
        scene.bone += rng.uniform(0, 0.25) * as_map(stroke(frame, [jaw], 0.06))


def _bowel(scene: Scene, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Gas in loops below the diaphragm, more of it in children."""
    lung = np.maximum(scene.lungs["left"], scene.lungs["right"])
    top = max(diaphragm(anatomy, side)[0] for side in scene.lungs) + 0.16
    loops = []
    for _ in range(rng.poisson(6 if anatomy.habitus.child else 1.5)):
        radius = rng.uniform(0.04, 0.13)
        center = (rng.normal(0.25, 0.3), top + radius + rng.exponential(0.2))
        loops.append(blob(rng, center, (radius * rng.uniform(0.8, 2.0), radius), 0.12))
    gas = blur(scene.frame, fill(scene.frame, *loops), rng.uniform(0.006, 0.03)) * (1 - lung)
    scene.air += rng.uniform(0.08, 0.35) * gas


def _folds(scene: Scene, rng: np.random.Generator) -> None:
    """Folds of skin and of clothes: faint lines, and steps that are sharp on one side."""
    frame = scene.frame
    for _ in range(rng.poisson(2.0)):
        start, end = rng.uniform(-1.2, 1.2, (2, 2))
        middle = (start + end) / 2 + rng.normal(0, 0.15, 2)
        line = open_spline([start, middle, end])
        width = rng.uniform(0.006, 0.05)
        scene.body += rng.uniform(-0.04, 0.05) * as_map(stroke(frame, [line], width)) * (scene.body > 0.1)
    for _ in range(rng.poisson(1.2)):
        center, size = rng.uniform(-1.3, 1.3, 2), rng.uniform(0.3, 1.2, 2)
        step = fill(frame, blob(rng, tuple(center), tuple(size), 0.15))
        step = step - blur(frame, step, rng.uniform(0.04, 0.2))
        scene.body += rng.uniform(-0.08, 0.08) * step * (scene.body > 0.1)


def _supports(scene: Scene, rng: np.random.Generator) -> None:
    """Straps, cushions and tables, in front of the body or behind it."""
    frame = scene.frame
    if rng.random() < 0.3:  # straps over the shoulders
        x, width = rng.uniform(0.3, 0.8), rng.uniform(0.03, 0.14)
        for sign in (-1, 1):
            line = np.array([(x, -1.4), (x + rng.normal(0, 0.05), -0.6), (x + rng.normal(0, 0.2), 1.8)]) * (sign, 1.0)
            scene.bone += rng.uniform(0.01, 0.06) * as_map(stroke(frame, [line], width))
    if rng.random() < 0.15:
        level, turn = rng.uniform(-1.6, 1.6), rng.normal(0, 0.3)
        edge = np.array([(-3.0, level - 3 * turn), (3.0, level + 3 * turn)])
        far = np.array([0.0, 4.0 if level > 0 else -4.0])
        plane = np.concatenate([edge, edge[::-1] + far])
        if rng.random() < 0.5:
            plane = plane[:, ::-1]
        scene.bone += rng.uniform(0.01, 0.10) * fill(frame, plane)
