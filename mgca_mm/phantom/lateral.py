"""The lateral chest as thickness maps: anterior on the image's left, the spine on its right."""

import cv2
import numpy as np

from .anatomy import APEX, SIDES, Anatomy, diaphragm
from .geometry import BodyFrame, Scene, as_map, blur, closed_spline, disc, fill, rounded, stroke

_FRONT_Y = (-0.95, -0.70, -0.30, 0.20, 0.60, 1.00)
_FRONT_X = (-0.08, -0.34, -0.55, -0.62, -0.60, -0.56)
_BACK_Y = (-0.95, -0.60, -0.20, 0.30, 0.70, 1.00)
_BACK_X = (0.30, 0.50, 0.64, 0.68, 0.64, 0.58)


def lateral_scene(anatomy: Anatomy, heart_ratio: float, frame: BodyFrame) -> Scene:
    """Draw the normal lateral chest; see ``frontal_scene``. Both lungs project onto one another."""
    outlines = {side: _lung_outline(anatomy, side) for side in SIDES}
    lungs = {side: fill(frame, outlines[side]) for side in SIDES}
    hilum = (0.06, -0.12)
    heart = fill(frame, _heart_outline(anatomy, heart_ratio))

    body = rounded(frame, fill(frame, _torso(anatomy)), 0.55, reduce=4)
    depth = 1.0 + 0.35 * (anatomy.fat - 0.06) / 0.26
    air = sum(0.57 * anatomy.aeration * rounded(frame, lungs[side], 0.20) for side in SIDES)
    soft = 0.30 * heart + 0.40 * rounded(frame, heart, 0.28)
    arch_radius = 0.17 if anatomy.tortuous_aorta else 0.12
    t = np.linspace(-np.pi, 0.15, 16)
    arch = np.stack([0.14 + arch_radius * np.cos(t), -0.36 + arch_radius * np.sin(t)], axis=1)
    soft = soft + 0.30 * blur(frame, as_map(stroke(frame, [arch], 0.13)), 0.015)
    shoulder = fill(frame, disc((0.12, -1.0), (0.42, 0.26)))
    soft = soft + 0.55 * blur(frame, shoulder, 0.09)
    air = air * (1 - np.minimum(cv2.GaussianBlur(soft, (0, 0), 0.8), 0.95))
    trachea = np.array([(-0.06, -1.5), (0.03, -0.18), (0.10, -0.18), (0.03, -1.5)])
    air = air + 0.16 * cv2.GaussianBlur(fill(frame, trachea), (0, 0), 1.2)
    air = air + _stomach(anatomy, frame, lungs["left"])

    return Scene(
        frame=frame,
        view="lateral",
        body=depth * body,
        air=air,
        parenchyma=_vessels(anatomy, frame, hilum, lungs),
        bone=_bones(anatomy, frame, lungs["left"] * (1 - 0.5 * heart)),
        metal=np.zeros((frame.height, frame.width), np.float32),
        heart=heart > 0.5,
        outlines=outlines,
        lungs=lungs,
        hila=dict.fromkeys(SIDES, hilum),
        place=lambda side, across, down, depth: _place(anatomy, side, down, depth),
    )


def _lung_outline(anatomy: Anatomy, side: str) -> np.ndarray:
    dome, angle = diaphragm(anatomy, side)
    angle += 0.05  # the posterior recess reaches lower than the lateral one
    points = [(0.12, APEX), (0.34, -0.86)]
    points += [(float(np.interp(y, _BACK_Y, _BACK_X)), y) for y in (-0.6, -0.2, 0.2, 0.5 * (0.2 + angle))]
    corner = (float(np.interp(angle, _BACK_Y, _BACK_X)), angle)
    points += [corner, corner, (0.38, dome + 0.10), (0.05, dome), (-0.30, dome + 0.02)]
    front = dome + 0.12
    corner = (float(np.interp(front, _FRONT_Y, _FRONT_X)), front)
    points += [corner, corner]
    points += [(float(np.interp(y, _FRONT_Y, _FRONT_X)), y) for y in (0.1, -0.3, -0.68)]
    return closed_spline(points)


def _place(anatomy: Anatomy, side: str, down: float, depth: float) -> tuple[float, float]:
    """Relative lung coordinates to body coordinates, well within the lung field."""
    dome, _ = diaphragm(anatomy, side)
    y = APEX + 0.04 + down * (dome - APEX - 0.04)
    front, back = np.interp(y, _FRONT_Y, _FRONT_X) + 0.10, np.interp(y, _BACK_Y, _BACK_X) - 0.08
    return float(front + depth * (back - front)), y


def _torso(anatomy: Anatomy) -> np.ndarray:
    margin = 0.10 + 0.8 * anatomy.fat
    bust = 0.22 if anatomy.sex == "F" else 0.0
    front = [(-0.22, -1.7), (-0.24, -1.2), (-0.40 - margin, -0.75), (-0.60 - margin, -0.3)]
    front += [(-0.66 - margin - bust, 0.25), (-0.66 - margin, 0.7), (-0.68 - margin, 1.7)]
    back = [(0.66 + margin, 1.7), (0.72 + margin, 0.6), (0.72 + margin, 0.0), (0.62 + margin, -0.6)]
    back += [(0.48 + margin, -1.05), (0.40, -1.4), (0.36, -1.7)]
    return closed_spline(front + back)


def _heart_outline(anatomy: Anatomy, ratio: float) -> np.ndarray:
    dome = 0.5 * sum(diaphragm(anatomy, side)[0] for side in SIDES)
    size = 0.40 * ratio / 0.45
    points = [(-0.20, -0.22), (-0.44, -0.02), (-0.50, 0.55 * dome), (-0.46, dome + 0.04), (-0.20, dome + 0.08)]
    points += [(-0.50 + 1.45 * size, dome + 0.04), (-0.50 + 1.62 * size, 0.55 * dome), (-0.50 + 1.40 * size, -0.02)]
    return closed_spline([*points, (0.02, -0.22)])


def _stomach(anatomy: Anatomy, frame: BodyFrame, lung: np.ndarray) -> np.ndarray:
    dome, _ = diaphragm(anatomy, "left")
    size = 0.19 if anatomy.gastric_gas else 0.07
    bubble = fill(frame, disc((-0.12, dome + 0.12 + size), (1.35 * size, size)))
    return (0.36 if anatomy.gastric_gas else 0.15) * blur(frame, bubble, 0.02) * (1 - lung)


def _vessels(
    anatomy: Anatomy, frame: BodyFrame, hilum: tuple[float, float], lungs: dict[str, np.ndarray]
) -> np.ndarray:
    """Vessels of both lungs, fanning out from the superimposed hila."""
    rng = np.random.default_rng(anatomy.texture)
    angle = np.linspace(0, 2 * np.pi, 22, endpoint=False) + rng.normal(0, 0.12, 22)
    length = rng.uniform(0.3, 0.6, 22)
    t = np.linspace(0, 1, 5)
    turn = angle[:, None] + 0.35 * t
    lines = np.stack([np.cos(turn), np.sin(turn)], axis=2) * (length[:, None] * t)[..., None] + hilum
    canvas = stroke(frame, lines, 0.02, level=0.8)
    size = (0.15, 0.19) if anatomy.prominent_hila else (0.09, 0.12)
    root = blur(frame, fill(frame, disc(hilum, size)), 0.03)
    vessels = 0.11 * cv2.GaussianBlur(as_map(canvas), (0, 0), 1.0)
    return (vessels + (0.32 if anatomy.prominent_hila else 0.16) * root) * np.maximum(lungs["left"], lungs["right"])


def _bones(anatomy: Anatomy, frame: BodyFrame, clear: np.ndarray) -> np.ndarray:
    """Vertebral column, oblique ribs and the sternum."""
    edges = np.linspace(-1.5, 1.5, 16)
    middle = 0.5 * (edges[1:] + edges[:-1])
    x = np.interp(middle, (-1.5, -1.0, -0.2, 0.4, 1.5), (0.14, 0.30, 0.52, 0.53, 0.36)) + 0.02
    canvas = frame.canvas()
    tilt = np.gradient(x, middle)
    corners = np.array([(-0.075, -0.075), (0.075, -0.075), (0.075, 0.075), (-0.075, 0.075)])
    for a, y, lean in zip(x, middle, tilt, strict=True):
        body = corners @ np.array([(1.0, -lean), (lean, 1.0)]) + (a, y)
        stroke(frame, [np.concatenate([body, body[:1]])], 0.02, canvas, 1.0)
        cv2.fillPoly(canvas, [np.rint(frame.to_pixels(body)).astype(np.int32)], 170)
    bone = 0.30 * as_map(canvas)

    t = np.linspace(0, 1, 8)
    ribs = []
    for rib in range(9):
        y0 = -0.88 + 0.17 * rib
        for offset in (0.0, 0.055):  # the two sides never superimpose exactly
            x0 = float(np.interp(y0, _BACK_Y, _BACK_X)) + 0.04
            reach = x0 - float(np.interp(y0 + 0.3, _FRONT_Y, _FRONT_X)) - 0.12
            y = y0 + offset + anatomy.rib_slope * 0.38 * t**1.3
            ribs.append(np.stack([x0 - reach * t, y], axis=1))
    canvas = stroke(frame, ribs, 0.045, level=1.0)
    stroke(frame, ribs, 0.02, canvas, 0.6)
    bone += 0.09 * anatomy.rib_strength * as_map(canvas) * (0.2 + 0.8 * clear)

    y = np.linspace(-0.68, 0.42, 8)
    sternum = np.stack([np.interp(y, _FRONT_Y, _FRONT_X) - 0.055, y], axis=1)
    bone += 0.18 * as_map(stroke(frame, [sternum], 0.05))
    return cv2.GaussianBlur(bone, (0, 0), 0.7)
