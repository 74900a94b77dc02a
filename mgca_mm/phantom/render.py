"""From a study to the pixels, masks and boxes of one of its images."""

from dataclasses import dataclass

import cv2
import numpy as np

from .anatomy import CARDIOTHORACIC_RATIO
from .detector import Exposure, expose
from .findings import paint
from .frontal import frontal_scene
from .geometry import BodyFrame
from .lateral import lateral_scene
from .patterns import paint_varied
from .study import PhantomStudy
from .variety import enrich

VIEWS = ("PA", "AP", "LATERAL")
_IMAGE, _VARIETY = 2, 8  # streams of random numbers; study.py has 0, 1 and 7, layouts/layout.py 3, 4, 5 and 9


@dataclass(frozen=True)
class PhantomImage:
    """One rendered image with its exact annotation."""

    pixels: np.ndarray  # uint8 (H, W)
    masks: tuple[np.ndarray, ...]  # of the study's findings, in their order, bool (H, W)
    # The tight box (x, y, width, height) around each mask in pixels; None where a finding leaves no trace in this view.
    boxes: tuple[tuple[int, int, int, int] | None, ...]
    # 'right' and 'left' → the projected lung field, bool (H, W), whatever lies in it or in front of it; in a lateral
    # view they lie over one another.
    lungs: dict[str, np.ndarray]


def render(study: PhantomStudy, view: str = "PA", size: int | tuple[int, int] = 256, take: int = 0) -> PhantomImage:
    """Draw one image of a study, at the asked size directly.

    The image depends on the arguments only. Two studies that differ in their findings alone are drawn with the same
    exposure, posture and noise, and in the varied appearance the same body, limbs, folds and textures.

    Args:
        study: What to draw.
        view: ``'PA'``, ``'AP'`` or ``'LATERAL'``; any study can be drawn in any view.
        size: Side of a square image, or (height, width), in pixels.
        take: Number of the exposure among the study's images of this view.
    """
    height, width = (size, size) if isinstance(size, int) else size
    number = (study.study_index, VIEWS.index(view), take)
    rng = np.random.default_rng([study.seed, study.patient_index, _IMAGE, *number])
    exposure, habitus = Exposure.sample(rng, view), study.anatomy.habitus
    variety = np.random.default_rng([study.seed, study.patient_index, _VARIETY, *number])
    varied = habitus.seed is not None
    if varied:
        exposure = exposure.varied(variety)
    scale = exposure.zoom * min(width / 2.25, height / 2.12)
    frame = BodyFrame(height, width, scale, exposure.angle, exposure.shift, habitus.warps)

    ratio = heart_ratio(study)
    if view == "LATERAL":
        scene = lateral_scene(study.anatomy, ratio, frame)
    else:
        # The heart is farther from the detector in an AP view and therefore a little magnified.
        scene = frontal_scene(study.anatomy, ratio * (1.05 if view == "AP" else 1.0), frame, view == "AP")
    if varied:
        enrich(scene, study.anatomy, variety)
    masks = tuple((paint_varied if varied else paint)(scene, finding) for finding in study.findings)
    boxes = tuple(tight_box(mask) for mask in masks)
    lungs = {side: lung > 0.5 for side, lung in scene.lungs.items()}  # findings leave the outlines as they are
    return PhantomImage(expose(scene, exposure, rng), masks, boxes, lungs)


def heart_ratio(study: PhantomStudy) -> float:
    """The cardiothoracic ratio: the patient's own, or one around that of the grade of cardiomegaly."""
    for finding in study.findings:
        if finding.kind == "cardiomegaly":
            spread = np.random.default_rng(finding.texture).uniform(-0.02, 0.02)
            # Grade by grade above a child's own ratio, too, which may be larger than any normal adult's.
            excess = max(0.0, study.anatomy.heart_ratio - 0.495)
            return CARDIOTHORACIC_RATIO[finding.severity] + float(spread) + excess
    return study.anatomy.heart_ratio


def tight_box(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """Smallest box (x, y, width, height) around a mask (H, W), or None if it is empty."""
    return cv2.boundingRect(mask.astype(np.uint8)) if mask.any() else None
