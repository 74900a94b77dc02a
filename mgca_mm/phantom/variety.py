"""What the varied appearance adds to a scene before its findings: textures, limbs, bowel gas, folds and supports.

None of it is a finding or a device, so reports and labels say nothing of it.
"""

import numpy as np

from .anatomy import Anatomy, diaphragm
from .geometry import Scene, as_map, blob, blur, closed_spline, disc, fill, fractal_noise, rounded, stroke


def enrich(scene: Scene, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Add to the scene, in place, what is drawn anew for every image."""
    frame, habitus = scene.frame, anatomy.habitus
    if scene.view == "frontal":
        _limbs(scene, anatomy, rng)
        _bowel(scene, anatomy, rng)
    tissue = fractal_noise(frame, rng, rng.uniform(0.2, 0.7), 5, rng.uniform(0.4, 0.8))
    scene.body *= 1 + habitus.tissue_texture * tissue
    alveoli = fractal_noise(frame, rng, rng.uniform(0.06, 0.4), 4, rng.uniform(0.5, 0.9))
    scene.air *= 1 + habitus.aeration_texture * alveoli
    scene.parenchyma *= np.maximum(1 + 0.5 * fractal_noise(frame, rng, 0.5, 3, 0.6), 0.1)
    scene.bone *= np.maximum(1 + habitus.bone_texture * fractal_noise(frame, rng, 0.12, 4, 0.8), 0)
    _folds(scene, rng)
    _supports(scene, rng)


def _limbs(scene: Scene, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Arms, raised or along the body, with their bones, and a head that reaches into the picture."""
    frame, child = scene.frame, anatomy.habitus.child
    thick = 0.10 + 0.3 * anatomy.fat + rng.uniform(0, 0.06)
    arms, bones = [], []
    for sign in (-1, 1):
        draw = rng.random()
        top = -0.82 + anatomy.habitus.shoulders
        if draw < 0.25:
            continue  # out of the picture
        if draw < (0.75 if child else 0.40):  # raised
            course = [(0.98, top), (1.12 + rng.uniform(-0.1, 0.15), top - 0.35), (1.1 + rng.uniform(-0.35, 0.5), -2.2)]
        else:
            out = rng.uniform(0, 0.5)
            course = [(1.06, top), (1.2 + 0.4 * out, -0.3), (1.22 + out, 0.6), (1.25 + 1.3 * out, 1.8)]
        line = np.array(course) * (sign * anatomy.breadth, 1.0)
        normal = np.array([thick, 0.0])
        arms.append(np.concatenate([line - normal, (line + normal)[::-1]]))
        bones.append(line)
    arm = rounded(frame, fill(frame, *arms), thick, reduce=4) * rng.uniform(0.35, 0.7)
    scene.body = np.maximum(scene.body, arm)
    if bones:
        width = rng.uniform(0.07, 0.12)
        shaft = stroke(frame, bones, width)
        stroke(frame, bones, 0.5 * width, shaft, rng.uniform(0.4, 0.8))
        scene.bone += rng.uniform(0.05, 0.25) * as_map(shaft)
    if rng.random() < (0.6 if child else 0.25):
        size = rng.uniform(0.38, 0.55)
        center = (rng.normal(0, 0.15), -1.02 - size + rng.uniform(-0.30, 0.02 if child else -0.1))
        scene.body += rng.uniform(0.3, 0.8) * rounded(frame, fill(frame, disc(center, (size, 1.05 * size))), size, 4)
        jaw = disc(center, (0.9 * size, 0.95 * size))[3:14]
        scene.bone += rng.uniform(0, 0.3) * as_map(stroke(frame, [jaw], 0.06))


def _bowel(scene: Scene, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Gas in loops below the diaphragm, more of it in children."""
    lung = np.maximum(scene.lungs["left"], scene.lungs["right"])
    top = max(diaphragm(anatomy, side)[0] for side in scene.lungs) + 0.16
    loops = []
    for _ in range(rng.poisson(5 if anatomy.habitus.child else 1.5)):
        radius = rng.uniform(0.04, 0.13)
        center = (rng.normal(0.12, 0.4), top + radius + rng.exponential(0.3))
        loops.append(blob(rng, center, (radius * rng.uniform(0.8, 2.0), radius), 0.3))
    gas = blur(scene.frame, fill(scene.frame, *loops), rng.uniform(0.006, 0.03)) * (1 - lung)
    scene.air += rng.uniform(0.08, 0.35) * gas


def _folds(scene: Scene, rng: np.random.Generator) -> None:
    """Folds of skin and of clothes: faint lines, and steps that are sharp on one side."""
    frame = scene.frame
    for _ in range(rng.poisson(2.0)):
        start, end = rng.uniform(-1.2, 1.2, (2, 2))
        middle = (start + end) / 2 + rng.normal(0, 0.15, 2)
        line = closed_spline([tuple(start), tuple(middle), tuple(end), tuple(middle)], 8)[:17]
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
    if rng.random() < 0.35:
        level, turn = rng.uniform(-1.6, 1.6), rng.normal(0, 0.3)
        edge = np.array([(-3.0, level - 3 * turn), (3.0, level + 3 * turn)])
        far = np.array([0.0, 4.0 if level > 0 else -4.0])
        plane = np.concatenate([edge, edge[::-1] + far])
        if rng.random() < 0.5:
            plane = plane[:, ::-1]
        scene.bone += rng.uniform(0.02, 0.25) * fill(frame, plane)
