"""The bodies of the varied appearance: every number by which one chest may differ from the plain one."""

from dataclasses import dataclass, field, fields, replace

import numpy as np

from .geometry import Warp


def _drawn(plain: float, least: float, most: float) -> float:
    """A number whose default draws the plain chest, and the range of the varied ones."""
    return field(default=plain, metadata={"range": (least, most)})


@dataclass(frozen=True)
class Habitus:
    """A patient's body as factors of the plain chest's contrasts and sizes, or as displacements in body units.

    The defaults are the plain chest itself.
    """

    seed: int | None = None  # of the warp; None in the plain appearance
    child: bool = False
    thymus: float = 0.0  # radius of a young child's

    width: float = _drawn(1.0, 0.84, 1.20)
    height: float = _drawn(1.0, 0.84, 1.16)
    taper: float = _drawn(0.0, -0.10, 0.16)  # gain of width per unit downwards: a bell-shaped thorax
    droop: float = _drawn(0.0, -0.12, 0.16)  # descent per squared unit from the midline: sloping ribs and shoulders
    dome: float = _drawn(0.0, -0.12, 0.14)  # descent of the diaphragm

    depth: float = _drawn(1.0, 0.85, 1.25)  # of the body along the ray
    edge: float = _drawn(1.0, 0.35, 1.1)  # over which the body's thickness rises from its contour
    belly: float = _drawn(1.0, -0.4, 1.8)  # the abdomen's excess of thickness over the chest's
    breasts: float = _drawn(1.0, 0.0, 2.0)
    shoulders: float = _drawn(0.0, -0.16, 0.16)  # descent

    heart: float = _drawn(1.0, 0.6, 1.2)
    heart_shift: float = _drawn(0.0, -0.10, 0.08)  # to the left, in widths of the heart
    heart_top: float = _drawn(0.0, -0.14, 0.12)
    apex: float = _drawn(0.0, -0.12, 0.06)  # descent of the heart's apex
    mediastinum: float = _drawn(1.0, 0.75, 1.5)  # width
    airway: float = _drawn(1.0, 0.0, 0.9)

    vessels: float = _drawn(1.0, 0.3, 1.0)
    hila: float = _drawn(1.0, 0.4, 1.6)
    wander: float = _drawn(0.25, 0.2, 0.6)  # of the vessels' courses, in radians
    generations: int = 3  # of vessels
    aeration_texture: float = _drawn(0.0, 0.01, 0.16)

    ribs: int = 10
    rib_spacing: float = _drawn(1.0, 0.92, 1.2)
    rib_width: float = _drawn(1.0, 0.6, 1.35)
    marrow: float = _drawn(1.0, 0.55, 1.5)  # density of the ribs' inside
    anterior_ribs: float = _drawn(1.0, 0.2, 1.8)
    ribs_below: float = _drawn(0.25, 0.2, 1.0)  # visibility of the ribs in front of heart and abdomen
    clavicles: float = _drawn(1.0, 0.3, 1.6)
    clavicle_rise: float = _drawn(0.14, -0.12, 0.36)
    clavicle_y: float = _drawn(-0.83, -0.98, -0.72)
    scapulae: float = _drawn(1.0, 0.2, 2.2)
    scapulae_out: float = _drawn(0.0, -0.06, 0.24)
    spine: float = _drawn(1.0, 0.4, 2.2)
    spine_width: float = _drawn(1.0, 0.8, 1.35)

    tissue_texture: float = _drawn(0.0, 0.01, 0.09)
    bone_texture: float = _drawn(0.0, 0.0, 0.35)

    @classmethod
    def sample(cls, rng: np.random.Generator, child: bool) -> "Habitus":
        """Draw the body of a random patient."""
        drawn = {f.name: float(rng.uniform(*f.metadata["range"])) for f in fields(cls) if f.metadata}
        seed, generations, ribs = (int(rng.integers(*span)) for span in ((0, 1 << 31), (3, 6), (10, 13)))
        habitus = cls(seed, child, generations=generations, ribs=ribs, **drawn)
        if not child:
            return habitus
        # Wide and short, with a high diaphragm, strong bones for so little soft tissue, and a thymus now and then.
        return replace(
            habitus,
            thymus=float(rng.uniform(0.12, 0.34)) * bool(rng.random() < 0.35),
            height=0.94 * habitus.height,
            dome=habitus.dome - 0.10,
            droop=habitus.droop - 0.05,
            shoulders=habitus.shoulders + 0.06,
            spine=1.25 * habitus.spine,
            spine_width=1.2 * habitus.spine_width,
            mediastinum=1.1 * habitus.mediastinum,
            breasts=0.0,
            depth=0.9 * habitus.depth,
        )

    @property
    def warps(self) -> tuple[Warp, ...]:
        """The displacement of everything in the patient's body."""
        if self.seed is None:
            return ()
        waves = Warp.waves_of(np.random.default_rng(self.seed), 0.6, 2.5, 0.5)
        return (Warp((self.width, self.height), self.taper, self.droop, waves),)


PLAIN = Habitus()
