"""The normal chest: what varies between patients and studies, and the shapes both views are computed from."""

from dataclasses import dataclass, replace

import numpy as np

from .habitus import PLAIN, Habitus

SIDES = ("right", "left")
APEX = -0.93  # body y of the lung apices
CARDIOTHORACIC_RATIO = {1: 0.545, 2: 0.605, 3: 0.680}  # cardiomegaly's severity → heart width / thorax width
_WALL_Y = (-0.95, -0.90, -0.80, -0.60, -0.30, 0.10, 0.50, 1.20)
_WALL_X = (0.30, 0.44, 0.56, 0.69, 0.79, 0.86, 0.895, 0.91)


@dataclass(frozen=True)
class Anatomy:
    """Everything about a chest which is not a finding: the patient's build and the posture of one study.

    Signed attributes are positive towards the patient's left. The ranges are the plain appearance's.
    """

    # Of the patient.
    sex: str  # 'F' or 'M'
    age: int  # in years at the first study
    breadth: float  # horizontal scale of the thorax, about 0.93 to 1.07
    fat: float  # soft tissue around the thorax in body units, 0.06 to 0.30
    heart_ratio: float  # cardiothoracic ratio without cardiomegaly, 0.39 to 0.495
    aeration: float  # air path through the lungs, 0.50 to 0.68; it changes their gray as edema does
    rib_strength: float  # contrast of the ribs, about 1
    rib_slope: float  # descent of the ribs, about 1
    scoliosis: int  # -1, 0 or 1: side of the thoracic curve's convexity
    tortuous_aorta: bool  # the aortic knob and the descending aorta are prominent
    calcified_aorta: bool  # the arch carries a calcified rim
    prominent_hila: bool
    elevated_diaphragm: int  # -1 (right), 0 or 1 (left): the hemidiaphragm that stands high
    texture: int  # seed of the vessels
    habitus: Habitus = PLAIN
    # Of the study.
    lung_volume: int = 0  # -1 low, 0 normal, 1 hyperinflated
    rotated: int = 0  # -1 (to the right), 0 or 1 (to the left): about the long axis
    gastric_gas: bool = False  # the stomach is distended with it

    @classmethod
    def sample(cls, rng: np.random.Generator) -> "Anatomy":
        """Draw the anatomy of a random patient."""
        age = int(rng.integers(19, 92))
        old = age > 60
        return cls(
            sex="F" if rng.random() < 0.5 else "M",
            age=age,
            breadth=float(rng.uniform(0.93, 1.07)),
            fat=float(0.06 + 0.26 * rng.beta(1.6, 2.4)),
            heart_ratio=float(rng.uniform(0.39, 0.495)),
            aeration=float(rng.uniform(0.50, 0.68)),
            rib_strength=float(rng.uniform(0.65, 1.35)),
            rib_slope=float(rng.uniform(0.7, 1.3)),
            scoliosis=_sign(rng, 0.16),
            tortuous_aorta=bool(rng.random() < (0.35 if old else 0.08)),
            calcified_aorta=bool(rng.random() < (0.30 if old else 0.03)),
            prominent_hila=bool(rng.random() < 0.12),
            elevated_diaphragm=_sign(rng, 0.14),
            texture=int(rng.integers(1 << 31)),
        )

    def varied(self, rng: np.random.Generator) -> "Anatomy":
        """Another body, two in five of them children's, with the same described attributes."""
        child = bool(rng.random() < 0.55) and not (self.tortuous_aorta or self.calcified_aorta)
        return replace(
            self,
            age=int(rng.integers(0, 14)) if child else self.age,
            fat=float(0.02 + (0.16 if child else 0.42) * rng.beta(1.4, 2.6)),
            heart_ratio=float(rng.uniform(0.42, 0.56)) if child else self.heart_ratio,
            aeration=float(rng.uniform(0.36, 0.72)),
            rib_strength=float(np.exp(rng.uniform(np.log(0.35), np.log(1.8)))),
            rib_slope=float(rng.uniform(0.3, 1.5) if child else rng.uniform(0.5, 1.7)),
            habitus=Habitus.sample(rng, child),
        )


def _sign(rng: np.random.Generator, probability: float) -> int:
    """-1 or 1 with ``probability`` in total, else 0."""
    draw = rng.random()
    return 0 if draw >= probability else (-1 if draw < probability / 2 else 1)


def sample_posture(rng: np.random.Generator) -> dict[str, int | bool]:
    """Draw the attributes of an ``Anatomy`` that change from study to study."""
    volume = rng.random()
    return {
        "lung_volume": -1 if volume < 0.22 else 1 if volume > 0.84 else 0,
        "rotated": _sign(rng, 0.2),
        "gastric_gas": bool(rng.random() < 0.12),
    }


def sign_of(side: str) -> int:
    """-1 for the patient's right, which lies on the image's left by radiological convention, and 1 for the left."""
    return -1 if side == "right" else 1


def chest_wall(y: float | np.ndarray) -> float | np.ndarray:
    """Half width of the thoracic cage's inside at body height ``y``, for ``breadth`` 1."""
    return np.interp(y, _WALL_Y, _WALL_X)


def diaphragm(anatomy: Anatomy, side: str) -> tuple[float, float]:
    """Body y of a hemidiaphragm's dome and of its costophrenic angle."""
    dome = {-1: 0.36, 0: 0.54, 1: 0.70}[anatomy.lung_volume] + (0.03 if side == "left" else 0.0)
    dome += anatomy.habitus.dome
    depth = {-1: 0.20, 0: 0.22, 1: 0.12}[anatomy.lung_volume] * anatomy.habitus.recess
    angle = dome + depth
    if anatomy.elevated_diaphragm == sign_of(side):
        dome -= 0.17
        angle -= 0.05
    return dome, angle
