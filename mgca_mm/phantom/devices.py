"""Foreign objects: implanted devices, lines, tubes and things which should not be there."""

from collections.abc import Callable

import numpy as np

from .anatomy import sign_of
from .geometry import Scene, closed_spline, disc, fill, open_spline, stroke

_Drawing = tuple[np.ndarray, float]  # uint8 or float drawing, attenuation


def _pacemaker(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    frame, jitter = scene.frame, rng.uniform(-0.03, 0.03, 2)
    if scene.view == "frontal":
        s = sign_of(side)
        box = (s * 0.60 + jitter[0], -0.60 + jitter[1])
        case = closed_spline([(-0.11, -0.09), (0.11, -0.10), (0.12, 0.06), (0.0, 0.11), (-0.12, 0.06)]) + box
        lead = [(box[0], box[1] - 0.09), (s * 0.45, -0.80), (s * 0.18 - 0.04, -0.66), (-0.10, -0.30), (-0.14, 0.10)]
        leads = [open_spline([*lead, (0.02, 0.42), (0.25, 0.46)]), open_spline([*lead, (-0.16, 0.24), (-0.06, 0.20)])]
    else:
        case = disc((-0.45, -0.62), (0.035, 0.11), 0.3)
        leads = [open_spline([(-0.45, -0.70), (-0.20, -0.80), (0.0, -0.4), (-0.05, 0.1), (-0.35, 0.42)])]
    return [(fill(frame, case), 0.9), (stroke(frame, leads, 0.020), 0.55)]


def _sternal_wires(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    heights = np.linspace(-0.55, 0.35, 5) + rng.normal(0, 0.01, 5)
    if scene.view == "frontal":
        wires = [disc((rng.normal(0, 0.008), y), (0.045, 0.028), rng.normal(0, 0.2)) for y in heights]
        wires = [np.concatenate([wire, wire[:1]]) for wire in wires]
    else:
        front = np.interp(heights, (-0.7, -0.3, 0.2, 0.6), (-0.34, -0.55, -0.62, -0.60)) - 0.05
        wires = [np.array([(x, y), (x - 0.05, y + 0.012)]) for x, y in zip(front, heights, strict=True)]
    return [(stroke(scene.frame, wires, 0.018), 0.75)]


def _central_line(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    """A catheter from the neck or the arm to the superior vena cava."""
    tip = (-0.13, -0.02 + rng.uniform(-0.08, 0.08))
    if scene.view == "frontal":
        s = sign_of(side)
        course = [(s * 1.15, -0.75), (s * 0.75, -0.78), (s * 0.40, -0.76), (-0.11 + 0.05 * (s > 0), -0.55), tip]
    else:
        course = [(-0.2, -1.1), (-0.08, -0.7), (-0.05, -0.35), (-0.05, tip[1])]
    return [(stroke(scene.frame, [open_spline(course)], 0.020), 0.42)]


def _port(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    if scene.view == "frontal":
        s = sign_of(side)
        chamber = (s * 0.56, -0.45 + rng.uniform(-0.06, 0.06))
        course = [chamber, (s * 0.42, -0.72), (s * 0.20, -0.86), (-0.11, -0.6), (-0.13, -0.05)]
    else:
        chamber = (-0.52, -0.45)
        course = [chamber, (-0.30, -0.85), (-0.08, -0.75), (-0.05, -0.1)]
    ring = disc(chamber, (0.065, 0.065))
    outline = stroke(scene.frame, [np.concatenate([ring, ring[:1]])], 0.025)
    return [(fill(scene.frame, ring), 0.28), (outline, 0.5), (stroke(scene.frame, [open_spline(course)], 0.018), 0.42)]


def _endotracheal_tube(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    end = -0.42 + rng.uniform(-0.08, 0.05)
    if scene.view == "frontal":
        walls = [np.array([(dx, -1.6), (dx + 0.005, end)]) for dx in (-0.028, 0.028)]
    else:
        walls = [np.array([(dx - 0.03, -1.6), (dx + 0.03, end)]) for dx in (-0.028, 0.028)]
    return [(stroke(scene.frame, walls, 0.016), 0.45)]


def _enteric_tube(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    if scene.view == "frontal":
        course = [(0.02, -1.6), (0.03, -0.9), (0.05, -0.2), (0.06, 0.45), (0.18, 0.72), (0.36, 0.86)]
    else:
        course = [(0.06, -1.6), (0.14, -0.9), (0.24, -0.2), (0.22, 0.45), (0.05, 0.72), (-0.1, 0.86)]
    return [(stroke(scene.frame, [open_spline(course)], 0.026), 0.40)]


def _chest_tube(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    if scene.view == "frontal":
        s = sign_of(side)
        course = [(s * 1.25, 0.42), (s * 0.92, 0.28), (s * 0.62, 0.05), (s * 0.46, -0.35), (s * 0.42, -0.66)]
    else:
        course = [(-0.3, 0.5), (0.0, 0.2), (0.22, -0.2), (0.2, -0.6)]
    return [
        (stroke(scene.frame, [open_spline(course)], 0.036), 0.42),
        (stroke(scene.frame, [open_spline(course)], 0.012), 0.3),
    ]


def _ecg_leads(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    if scene.view == "frontal":
        places = [(-0.72, -0.62), (0.72, -0.62), (-0.66, 0.48), (0.70, 0.50)]
        exits = [(-0.4, -1.5), (0.4, -1.5), (-0.95, 1.6), (0.95, 1.6)]
    else:
        places, exits = [(-0.62, -0.45), (-0.70, 0.40)], [(-0.5, -1.5), (-0.8, 1.6)]
    pads = [(x + rng.normal(0, 0.04), y + rng.normal(0, 0.04)) for x, y in places]
    wires = [
        open_spline([pad, ((pad[0] + end[0]) / 2 + rng.normal(0, 0.06), (pad[1] + end[1]) / 2), end])
        for pad, end in zip(pads, exits, strict=True)
    ]
    return [
        (fill(scene.frame, *(disc(p, (0.042, 0.042)) for p in pads)), 0.55),
        (stroke(scene.frame, wires, 0.014), 0.32),
    ]


def _coin(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    center = scene.place(side, *position)
    return [(fill(scene.frame, disc(center, (0.085, 0.085))), 0.95)]


def _button(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    x, y = scene.place(side, *position)
    ring = disc((x, y), (0.055, 0.055))
    holes = [disc((x + dx, y), (0.012, 0.012)) for dx in (-0.018, 0.018)]
    return [(fill(scene.frame, ring) * (1 - fill(scene.frame, *holes)), 0.6)]


def _necklace(scene: Scene, side: str, position: tuple, rng: np.random.Generator) -> list[_Drawing]:
    if scene.view == "frontal":
        chain = open_spline(
            [(-0.36, -1.3), (-0.30, -0.95), (0.0, -0.72 + rng.uniform(-0.08, 0.08)), (0.30, -0.95), (0.36, -1.3)]
        )
    else:
        chain = open_spline([(0.3, -1.25), (-0.1, -1.05), (-0.42, -0.80)])
    return [(stroke(scene.frame, [chain], 0.020), 0.7)]


# Name → (painter, whether it has a side).
DEVICES: dict[str, tuple[Callable[..., list[_Drawing]], bool]] = {
    "pacemaker": (_pacemaker, True),
    "sternal_wires": (_sternal_wires, False),
    "central_line": (_central_line, True),
    "port": (_port, True),
    "endotracheal_tube": (_endotracheal_tube, False),
    "enteric_tube": (_enteric_tube, False),
    "chest_tube": (_chest_tube, True),
    "ecg_leads": (_ecg_leads, False),
    "coin": (_coin, True),
    "button": (_button, True),
    "necklace": (_necklace, False),
}
