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

    width: float = _drawn(1.0, 0.78, 1.18)
    height: float = _drawn(1.0, 0.84, 1.16)
    taper: float = _drawn(0.0, -0.08, 0.20)  # gain of width per unit downwards: a bell-shaped thorax
    droop: float = _drawn(0.0, -0.06, 0.22)  # descent per squared unit from the midline: sloping ribs and shoulders
    dome: float = _drawn(0.0, -0.05, 0.05)  # descent of the diaphragm, less than between lung volumes
    recess: float = _drawn(1.0, 0.8, 1.3)  # depth of the costophrenic angles below it

    depth: float = _drawn(1.0, 0.85, 1.25)  # of the body along the ray
    edge: float = _drawn(1.0, 0.25, 0.8)  # over which the body's thickness rises from its contour
    belly: float = _drawn(1.0, -0.8, 1.4)  # the abdomen's excess of thickness over the chest's
    breasts: float = _drawn(1.0, 0.0, 2.0)
    neck: float = _drawn(1.0, 0.8, 1.6)  # width
    shoulders: float = _drawn(0.0, -0.16, 0.16)  # descent
    girdle: float = _drawn(1.0, 0.9, 1.3)  # width of the shoulders

    heart: float = _drawn(1.0, 0.45, 1.1)
    heart_blur: float = _drawn(0.0, 0.0, 0.035)  # of its border, by its beat
    heart_shift: float = _drawn(0.0, -0.10, 0.08)  # to the left, in widths of the heart
    heart_top: float = _drawn(0.0, -0.25, 0.10)
    apex: float = _drawn(0.0, -0.12, 0.06)  # descent of the heart's apex
    mediastinum: float = _drawn(1.0, 0.75, 1.8)  # width
    airway: float = _drawn(1.0, 0.0, 0.9)

    vessels: float = _drawn(1.0, 0.25, 0.85)
    hila: float = _drawn(1.0, 0.4, 1.6)
    hilar_length: float = _drawn(0.0, 0.02, 0.20)  # over which the vessels leave a hilum, up and down
    wander: float = _drawn(0.25, 0.35, 0.9)  # of the vessels' courses, in radians
    generations: int = 3  # of vessels
    aeration_texture: float = _drawn(0.0, 0.01, 0.15)

    ribs: int = 10
    rib_root: float = _drawn(0.07, 0.01, 0.06)  # distance of the ribs' heads from the midline
    rib_spacing: float = _drawn(1.0, 0.92, 1.2)
    rib_width: float = _drawn(1.0, 0.55, 1.15)
    marrow: float = _drawn(1.0, 0.55, 1.5)  # density of the ribs' inside
    anterior_ribs: float = _drawn(1.0, 0.1, 1.4)
    ribs_below: float = _drawn(0.25, 0.15, 0.8)  # visibility of the ribs in front of heart and abdomen
    clavicles: float = _drawn(1.0, 0.3, 1.6)
    clavicle_rise: float = _drawn(0.14, -0.10, 0.45)
    clavicle_end: float = _drawn(0.95, 0.60, 1.0)  # distance from the midline
    clavicle_y: float = _drawn(-0.83, -0.92, -0.70)
    scapulae: float = _drawn(1.0, 0.2, 2.2)
    scapulae_out: float = _drawn(0.0, -0.06, 0.24)
    spine: float = _drawn(1.0, 0.35, 1.8)
    endplates: float = _drawn(0.0, 0.0, 1.0)  # density of the vertebrae's upper and lower rims
    spine_width: float = _drawn(1.0, 0.85, 1.6)

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
        # A short neck and a high diaphragm, a broad spine and mediastinum, and a thymus now and then.
        return replace(
            habitus,
            thymus=float(rng.uniform(0.12, 0.34)) * bool(rng.random() < 0.35),
            dome=habitus.dome - 0.04,
            shoulders=habitus.shoulders + 0.06,
            width=0.92 * habitus.width,
            neck=1.15 * habitus.neck,
            spine_width=1.15 * habitus.spine_width,
            mediastinum=1.3 * habitus.mediastinum,
            breasts=0.0,
            depth=0.9 * habitus.depth,
        )

    @property
    def warps(self) -> tuple[Warp, ...]:
        """The displacement of everything in the patient's body."""
        if self.seed is None:
            return ()
        waves = Warp.waves_of(np.random.default_rng(self.seed), 0.9, 3.0, 0.5)
        return (Warp(waves, (self.width, self.height), self.taper, self.droop),)


PLAIN = Habitus()
